#include "layouts.h"

#include "bissl/error.h"
#include "bissl/random.h"

#include <algorithm>

namespace bissl {
namespace {

struct Caltech101Options {
  std::string root;
  std::string split = "train";
  int64_t train_per_class = 30;
  int64_t split_seed = 0;
  bool background = false;
  std::string broken = "error";
  ImageOptions image;
};

constexpr const char* categories_folder = "101_ObjectCategories";

/// Which of a class's images are in the split: the first `train_per_class` of a permutation from
/// the stream (split_seed, "caltech-101/CLASS") are there to train with. In the order of the files.
std::vector<std::string> chosen_images(const std::vector<std::string>& images,
                                       const std::string& name, const Caltech101Options& options) {
  if (options.split == "all") {
    return images;
  }
  RandomStream stream(static_cast<uint64_t>(options.split_seed), "caltech-101/" + name);
  std::vector<int64_t> order = permutation(stream, std::ssize(images));
  const auto middle = order.begin() + options.train_per_class;
  if (options.split == "train") {
    order.erase(middle, order.end());
  } else {
    order.erase(order.begin(), middle);
  }
  std::sort(order.begin(), order.end());
  std::vector<std::string> chosen;
  chosen.reserve(order.size());
  for (const int64_t place : order) {
    chosen.push_back(images[static_cast<size_t>(place)]);
  }
  return chosen;
}

ListedSet read_caltech101(const Layout& layout, const Caltech101Options& options) {
  std::vector<std::string> classes = layout.folders_in(categories_folder);
  if (!options.background) {
    std::erase(classes, "BACKGROUND_Google");
  }
  if (classes.empty()) {
    fail_input("{}: has no folder of a class; expected one for each, with its images",
               layout.folder(categories_folder).string());
  }
  ListedSet set;
  for (int64_t category = 0; category < std::ssize(classes); ++category) {
    const std::string& name = classes[static_cast<size_t>(category)];
    const std::string folder = fmt::format("{}/{}", categories_folder, name);
    std::vector<std::string> images = layout.files_in(folder);
    std::erase_if(images, [](const std::string& file) { return !file.ends_with(".jpg"); });
    if (images.empty()) {
      fail_input(
          "{}: holds no images (.jpg); expected image_0001.jpg, … in the folder of each class. "
          "Unpack the archive again, or take the folder away",
          layout.folder(folder).string());
    }
    if (options.split != "all" && std::ssize(images) <= options.train_per_class) {
      fail_input("{}: holds {} images (.jpg); a split with train_per_class = {} needs more",
                 layout.folder(folder).string(), images.size(), options.train_per_class);
    }
    for (const std::string& file : chosen_images(images, name, options)) {
      set.images.push_back({folder + "/" + file, category});
    }
  }
  set.targets = TargetSpec::named(TargetKind::category, std::move(classes));
  return set;
}

}  // namespace

void add_caltech101(Registrar& registrar) {
  const LayoutDescription description{
      "Caltech-101",
      {"caltech-101", "caltech101"},
      categories_folder,
      "101_ObjectCategories/CLASS/image_0001.jpg, … in `root` or in its folder caltech-101"};
  auto schema =
      layout_schema<Caltech101Options>(description, {"train", "test", "all"},
                                       "the dataset has no split of its own: train_per_class "
                                       "images of each class, drawn at random, to "
                                       "train with, the others to test with, or all");
  schema
      .add("train_per_class", &Caltech101Options::train_per_class,
           "images of each class to train with")
      .at_least(1)
      .at_most(1000)
      .only_with("split", {std::string("train"), std::string("test")});
  schema.add("split_seed", &Caltech101Options::split_seed, "another seed draws another split")
      .at_least(0)
      .only_with("split", {std::string("train"), std::string("test")});
  schema.add("background", &Caltech101Options::background,
             "whether BACKGROUND_Google is a class, the 102nd");
  add_layout<Caltech101Options>(
      registrar,
      {"caltech-101", "9,144 images of objects, 101 classes and a background",
       "Fei-Fei, Fergus and Perona, \"Learning Generative Visual Models from Few Training "
       "Examples\", CVPR workshop 2004"},
      schema, description, read_caltech101);
}

}  // namespace bissl
