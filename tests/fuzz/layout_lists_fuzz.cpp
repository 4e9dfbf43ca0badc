#include "bissl/dataset.h"
#include "dataset_trees.h"
#include "sdk/plugin_library.h"
#include "support/temporary_folder.h"
#include "targets.h"

#include <cmath>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

/// A list of a dataset that says which images a split has, or which targets they have.
struct LayoutList {
  const char* dataset;
  const char* split;
  const char* file;
};

constexpr LayoutList layout_lists[] = {
    {"voc2007", "trainval", "VOCdevkit/VOC2007/ImageSets/Main/trainval.txt"},
    {"voc2007", "trainval", "VOCdevkit/VOC2007/ImageSets/Main/chair_trainval.txt"},
    {"voc2012-segmentation", "train", "VOCdevkit/VOC2012/ImageSets/Segmentation/train.txt"},
    {"oxford-pets", "trainval", "oxford-iiit-pet/annotations/trainval.txt"},
    {"cub-200-2011", "train", "CUB_200_2011/images.txt"},
    {"cub-200-2011", "train", "CUB_200_2011/image_class_labels.txt"},
    {"cub-200-2011", "train", "CUB_200_2011/train_test_split.txt"},
    {"cub-200-2011", "train", "CUB_200_2011/classes.txt"},
    {"fgvc-aircraft", "train", "fgvc-aircraft-2013b/data/images_variant_train.txt"},
    {"fgvc-aircraft", "train", "fgvc-aircraft-2013b/data/variants.txt"},
    {"food-101", "train", "food-101/meta/train.txt"},
    {"sun397", "train", "SUN397/Training_01.txt"},
    {"flowers-102", "train", "flowers-102/setid.mat"},
    {"stanford-cars", "train", "stanford_cars/devkit/cars_train_annos.mat"},
    {"dtd", "train", "dtd/labels/train1.txt"}};

/// Made-up datasets of all of these.
struct LayoutTrees {
  TemporaryFolder folder;

  LayoutTrees() {
    for (void (*make)(const fs::path&) :
         {make_voc2007, make_voc2012, make_oxford_pets, make_cub200, make_fgvc_aircraft,
          make_food101, make_dtd, make_sun397, make_flowers102, make_stanford_cars}) {
      make(folder.path());
    }
  }
};

void require_targets(const Dataset& data) {
  const TargetSpec spec = data.targets();
  const auto names = static_cast<int64_t>(spec.names.size());
  promise(data.size() > 0, "a split without images is refused");
  for (int64_t i = 0; i < data.size() && spec.kind != TargetKind::mask; ++i) {
    const Target target = data.target(i);
    if (spec.kind == TargetKind::category) {
      promise(target.category >= 0 && target.category < names, "categories are those of classes");
      continue;
    }
    promise(static_cast<int64_t>(target.values.size()) == names, "each label has an entry");
    for (const float value : target.values) {
      promise(value == 0.0F || value == 1.0F || std::isnan(value),
              "an entry is 0 or 1, or does not count");
    }
  }
}

}  // namespace

/// The bytes are in turn each of the lists; the others are as they should be.
void fuzz_layout_lists(std::string_view bytes) {
  static const LayoutTrees trees;
  for (const LayoutList& list : layout_lists) {
    const fs::path file = trees.folder.path() / list.file;
    const std::string right = read_file(file);
    write_file(file, std::string(bytes));
    refusing([&] {
      require_targets(*shared_library("image-layouts")
                           .make<Dataset>(list.dataset, {{"root", trees.folder.path().string()},
                                                         {"split", std::string(list.split)}}));
    });
    write_file(file, right);
  }
}

}  // namespace bissl::host::test
