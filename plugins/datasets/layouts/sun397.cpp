#include "layouts.h"

#include "bissl/error.h"

namespace bissl {
namespace {

struct Sun397Options {
  std::string root;
  std::string split = "train";
  int64_t partition = 1;
  std::string broken = "error";
  ImageOptions image;
};

/// The list of a partition, below the base: beside the images or in Partitions/.
std::string sun397_list(const Layout& layout, const Sun397Options& options) {
  const std::string name = fmt::format(
      "{}_{:02}.txt", options.split == "train" ? "Training" : "Testing", options.partition);
  return layout.has_file(name) ? name : "Partitions/" + name;
}

/// Lines are paths from the base with a slash in front: "/a/abbey/sun_….jpg".
std::string sun397_path(const TextLines& list, const TextLine& line) {
  if (line.text.front() != '/') {
    list.fail(line, "a path that begins with a slash, as in /a/abbey");
  }
  return list.path_within(line, line.text.substr(1));
}

ListedSet read_sun397(const Layout& layout, const Sun397Options& options) {
  const std::string classes_file = "ClassName.txt";
  const TextLines names(layout.file(classes_file));
  ClassList folders;
  ListedSet set{{}, {}, {classes_file}};
  std::vector<std::string> classes;
  for (const TextLine& line : names.lines()) {
    const std::string folder = sun397_path(names, line);
    if (!folders.add(folder)) {
      names.fail(line, "a class that no line before names");
    }
    // "a/abbey": the letter is not part of the name.
    classes.push_back(folder.substr(folder.find('/') + 1));
  }
  set.targets = TargetSpec::named(TargetKind::category, classes);
  if (options.split == "all") {
    for (int64_t category = 0; category < folders.size(); ++category) {
      const std::string& folder = folders.names()[static_cast<size_t>(category)];
      const std::vector<std::string> files = layout.files_in(folder);
      if (files.empty()) {
        fail_input(
            "{}: holds no images, and {} names it as a class. Unpack the archive again, or take "
            "the line away",
            layout.folder(folder).string(), classes_file);
      }
      for (const std::string& file : files) {
        set.images.push_back({folder + "/" + file, category});
      }
    }
    return set;
  }
  const std::string list_file = sun397_list(layout, options);
  set.annotations.insert(set.annotations.begin(), list_file);
  const TextLines list(layout.file(list_file));
  for (const TextLine& line : list.lines()) {
    const std::string path = sun397_path(list, line);
    set.images.push_back({path, category_of(list, line, folders, before_last(path, '/'))});
  }
  return set;
}

}  // namespace

void add_sun397(Registrar& registrar) {
  const LayoutDescription description{
      "SUN397",
      {"SUN397"},
      "ClassName.txt",
      "ClassName.txt and a/abbey/sun_….jpg, … in `root` or in its folder SUN397, and beside "
      "ClassName.txt, or in a folder Partitions there, the lists Training_01.txt and "
      "Testing_01.txt "
      "to Training_10.txt and Testing_10.txt of the official partitions"};
  auto schema = layout_schema<Sun397Options>(
      description, {"train", "test", "all"},
      "50 images of each class to train with or 50 to test with, as a partition has them, or all "
      "108,754");
  schema.add("partition", &Sun397Options::partition, "which of the ten official partitions")
      .at_least(1)
      .at_most(10)
      .only_with("split", {std::string("train"), std::string("test")});
  add_layout<Sun397Options>(registrar,
                            {"sun397", "photos of scenes, 397 classes",
                             "Xiao, Hays, Ehinger, Oliva and Torralba, \"SUN Database: Large-Scale "
                             "Scene Recognition from "
                             "Abbey to Zoo\", CVPR 2010"},
                            schema, description, read_sun397);
}

}  // namespace bissl
