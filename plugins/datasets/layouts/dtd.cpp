#include "layouts.h"

#include <set>

namespace bissl {
namespace {

struct DtdOptions {
  std::string root;
  std::string split = "train";
  int64_t partition = 1;
  std::string broken = "error";
  ImageOptions image;
};

ListedSet read_dtd(const Layout& layout, const DtdOptions& options) {
  // There is no list of classes: they are the folders that the three lists of a partition name.
  ListedSet set;
  std::set<std::string> folders;
  std::vector<std::pair<std::string, std::string>> chosen;  // folder and file of each image
  for (const std::string part : {"train", "val", "test"}) {
    const std::string list_file = fmt::format("labels/{}{}.txt", part, options.partition);
    const TextLines list(layout.file(list_file));
    set.annotations.push_back(list_file);
    for (const TextLine& line : list.lines()) {
      const std::string path = list.path_within(line, line.text);
      const size_t slash = path.find('/');
      if (slash == std::string::npos) {
        list.fail(line, "a class, a slash and an image, as in banded/banded_0002.jpg");
      }
      folders.insert(path.substr(0, slash));
      if (part == options.split || (options.split == "trainval" && part != "test")) {
        chosen.emplace_back(path.substr(0, slash), path);
      }
    }
  }
  ClassList classes;
  for (const std::string& folder : folders) {
    classes.add(folder);
  }
  for (const auto& [folder, path] : chosen) {
    set.images.push_back({"images/" + path, classes.find(folder)});
  }
  set.targets = TargetSpec::named(TargetKind::category, classes.names());
  return set;
}

}  // namespace

void add_dtd(Registrar& registrar) {
  const LayoutDescription description{
      "DTD",
      {"dtd"},
      "labels/train1.txt",
      "labels/train1.txt, val1.txt, test1.txt to train10.txt, val10.txt, test10.txt and "
      "images/CLASS/CLASS_0002.jpg, … in `root` or in its folder dtd"};
  auto schema = layout_schema<DtdOptions>(
      description, {"train", "val", "trainval", "test"},
      "40 images of each class to train with, 40 to validate with, both, or 40 to test with");
  schema.add("partition", &DtdOptions::partition, "which of the ten official partitions")
      .at_least(1)
      .at_most(10);
  add_layout<DtdOptions>(registrar,
                         {"dtd", "5,640 photos of textures, 47 classes",
                          "Cimpoi, Maji, Kokkinos, Mohamed and Vedaldi, \"Describing Textures in "
                          "the Wild\", CVPR 2014"},
                         schema, description, read_dtd);
}

}  // namespace bissl
