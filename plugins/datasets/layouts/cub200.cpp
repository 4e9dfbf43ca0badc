#include "layouts.h"

#include "bissl/error.h"

#include <map>

namespace bissl {
namespace {

/// A file of CUB has a number in front of each line. Calls `take(line, number, rest)` for each.
template <class Take>
void read_numbered(const TextLines& list, const std::string& expected, Take take) {
  for (const TextLine& line : list.lines()) {
    const std::vector<std::string> fields =
        list.fields(line, 2, fmt::format("a number and {}", expected));
    take(line, list.number(line, fields[0], 1, 1'000'000'000, "a number"), fields[1]);
  }
}

/// The name of a class or of its folder without the number in front: "001.Black_footed_Albatross".
std::string bird_of(const std::string& name) { return name.substr(name.find('.') + 1); }

/// The classes, whose lines are numbered from 1 on; names have that number once more in front.
ClassList read_cub_classes(const TextLines& list) {
  ClassList classes;
  read_numbered(list, "a class",
                [&](const TextLine& line, int64_t number, const std::string& name) {
                  if (number != classes.size() + 1 || !classes.add(bird_of(name))) {
                    list.fail(line, fmt::format("class {}, with a name that no line before has",
                                                classes.size() + 1));
                  }
                });
  return classes;
}

/// The value of each image in a file of image numbers and values from `least` to `most`.
std::map<int64_t, int64_t> read_cub_values(const Layout& layout, const std::string& file,
                                           const std::string& what, int64_t least, int64_t most) {
  const TextLines list(layout.file(file));
  std::map<int64_t, int64_t> values;
  read_numbered(list, what, [&](const TextLine& line, int64_t image, const std::string& value) {
    if (!values.emplace(image, list.number(line, value, least, most, what)).second) {
      list.fail(line, "an image that no line before has");
    }
  });
  return values;
}

ListedSet read_cub200(const Layout& layout, const LayoutOptions& options) {
  ListedSet set{
      {}, {}, {"images.txt", "image_class_labels.txt", "train_test_split.txt", "classes.txt"}};
  const ClassList classes = read_cub_classes(TextLines(layout.file("classes.txt")));
  const auto labels =
      read_cub_values(layout, "image_class_labels.txt", "a class, a number", 1, classes.size());
  const auto in_training =
      read_cub_values(layout, "train_test_split.txt", "1 (training) or 0, a number", 0, 1);
  const TextLines list(layout.file("images.txt"));
  const int64_t wanted = options.split == "train" ? 1 : 0;
  read_numbered(
      list, "an image", [&](const TextLine& line, int64_t image, const std::string& file) {
        const auto label = labels.find(image);
        const auto part = in_training.find(image);
        if (label == labels.end() || part == in_training.end()) {
          list.fail(line,
                    "an image that image_class_labels.txt and train_test_split.txt have as well");
        }
        const std::string path = list.path_within(line, file);
        const std::string& bird = classes.names()[static_cast<size_t>(label->second - 1)];
        if (bird_of(path.substr(0, path.find('/'))) != bird) {
          list.fail(line,
                    fmt::format("an image in the folder of {}, its class by image_class_labels.txt",
                                bird));
        }
        if (part->second == wanted) {
          set.images.push_back({"images/" + path, label->second - 1});
        }
      });
  set.targets = TargetSpec::named(TargetKind::category, classes.names());
  return set;
}

}  // namespace

void add_cub200(Registrar& registrar) {
  const LayoutDescription description{
      "CUB-200-2011",
      {"CUB_200_2011"},
      "image_class_labels.txt",
      "images.txt, image_class_labels.txt, train_test_split.txt, classes.txt and "
      "images/001.Black_footed_Albatross/….jpg, … in `root` or in its folder CUB_200_2011"};
  add_layout<LayoutOptions>(
      registrar,
      {"cub-200-2011", "11,788 photos of birds, 200 species",
       "Wah, Branson, Welinder, Perona and Belongie, \"The Caltech-UCSD Birds-200-2011 Dataset\", "
       "technical report, California Institute of Technology, 2011"},
      layout_schema<LayoutOptions>(description, {"train", "test"},
                                   "5,994 images to train with or 5,794 to test with"),
      description, read_cub200);
}

}  // namespace bissl
