#include "layouts.h"

namespace bissl {
namespace {

struct FgvcAircraftOptions {
  std::string root;
  std::string split = "train";
  std::string level = "variant";
  std::string broken = "error";
  ImageOptions image;
};

ListedSet read_fgvc_aircraft(const Layout& layout, const FgvcAircraftOptions& options) {
  const std::string classes_file =
      options.level == "family" ? "data/families.txt" : fmt::format("data/{}s.txt", options.level);
  const std::string list_file = fmt::format("data/images_{}_{}.txt", options.level, options.split);
  const ClassList classes = read_class_list(layout.file(classes_file));
  const TextLines list(layout.file(list_file));
  ListedSet set{
      TargetSpec::named(TargetKind::category, classes.names()), {}, {list_file, classes_file}};
  for (const TextLine& line : list.lines()) {
    // Names of classes have spaces: "0787226 Abingdon Spherical Free Balloon".
    const size_t space = line.text.find(' ');
    if (space == std::string::npos) {
      list.fail(line, "the number of an image, a space and its class");
    }
    const std::string image = list.path_within(line, line.text.substr(0, space));
    const std::string name = line.text.substr(line.text.find_first_not_of(' ', space));
    set.images.push_back({"data/images/" + image + ".jpg", category_of(list, line, classes, name)});
  }
  return set;
}

}  // namespace

void add_fgvc_aircraft(Registrar& registrar) {
  const LayoutDescription description{
      "FGVC-Aircraft",
      {"fgvc-aircraft-2013b"},
      "data/variants.txt",
      "data/variants.txt, families.txt, manufacturers.txt, images_variant_train.txt, … (for each "
      "level and split) and images/0034309.jpg, … in `root` or in its folder fgvc-aircraft-2013b"};
  auto schema = layout_schema<FgvcAircraftOptions>(
      description, {"train", "val", "trainval", "test"},
      "3,334 images to train with, 3,333 to validate with, both, or 3,333 to test with");
  schema
      .add("level", &FgvcAircraftOptions::level,
           "what the classes are: 100 variants, 70 families or 30 manufacturers")
      .choices({"variant", "family", "manufacturer"});
  add_layout<FgvcAircraftOptions>(
      registrar,
      {"fgvc-aircraft", "10,000 photos of aircraft, classes on three levels",
       "Maji, Rahtu, Kannala, Blaschko and Vedaldi, \"Fine-Grained Visual Classification of "
       "Aircraft\", arXiv 1306.5151"},
      schema, description, read_fgvc_aircraft);
}

}  // namespace bissl
