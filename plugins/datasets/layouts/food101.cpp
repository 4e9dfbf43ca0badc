#include "layouts.h"

namespace bissl {
namespace {

ListedSet read_food101(const Layout& layout, const LayoutOptions& options) {
  const std::string classes_file = "meta/classes.txt";
  const std::string list_file = "meta/" + options.split + ".txt";
  const ClassList classes = read_class_list(layout.file(classes_file));
  const TextLines list(layout.file(list_file));
  ListedSet set{
      TargetSpec::named(TargetKind::category, classes.names()), {}, {list_file, classes_file}};
  for (const TextLine& line : list.lines()) {
    const std::string name = list.path_within(line, line.text);
    const int64_t category = category_of(list, line, classes, name.substr(0, name.find('/')));
    set.images.push_back({"images/" + name + ".jpg", category});
  }
  return set;
}

}  // namespace

void add_food101(Registrar& registrar) {
  const LayoutDescription description{
      "Food-101",
      {"food-101"},
      "meta/classes.txt",
      "meta/classes.txt, meta/train.txt, meta/test.txt and images/CLASS/ID.jpg in `root` or in its "
      "folder food-101"};
  add_layout<LayoutOptions>(
      registrar,
      {"food-101", "101,000 photos of dishes, 101 classes",
       "Bossard, Guillaumin and Van Gool, \"Food-101 – Mining Discriminative Components with "
       "Random "
       "Forests\", ECCV 2014"},
      layout_schema<LayoutOptions>(description, {"train", "test"},
                                   "75,750 images to train with or 25,250 to test with"),
      description, read_food101);
}

}  // namespace bissl
