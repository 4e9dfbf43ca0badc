#include "layouts.h"
#include "mat_reader.h"

#include "bissl/error.h"

#include <algorithm>

namespace bissl {
namespace {

constexpr const char* flower_labels = "imagelabels.mat";
constexpr const char* flower_splits = "setid.mat";
constexpr int64_t most_flowers = 102;

/// The variable of setid.mat that lists the images of a split.
std::string flower_variable(const std::string& split) {
  return split == "train" ? "trnid" : split == "val" ? "valid" : "tstid";
}

ListedSet read_flowers102(const Layout& layout, const LayoutOptions& options) {
  const std::filesystem::path labels_file = layout.file(flower_labels);
  const std::filesystem::path splits_file = layout.file(flower_splits);
  const std::vector<int64_t> labels =
      mat_integers(labels_file, read_mat(labels_file, {"labels"}), "labels");
  int64_t classes = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < 1 || labels[i] > most_flowers) {
      fail_input("{}: label {} of image {} is out of range; expected 1 to {}", labels_file.string(),
                 labels[i], i + 1, most_flowers);
    }
    classes = std::max(classes, labels[i]);
  }
  const std::string variable = flower_variable(options.split);
  ListedSet set{{}, {}, {flower_splits, flower_labels}};
  for (const int64_t image :
       mat_integers(splits_file, read_mat(splits_file, {variable}), variable)) {
    if (image < 1 || image > std::ssize(labels)) {
      fail_input("{}: its \"{}\" names image {}; expected 1 to {}, the number of labels in {}",
                 splits_file.string(), variable, image, labels.size(), flower_labels);
    }
    set.images.push_back(
        {fmt::format("jpg/image_{:05}.jpg", image), labels[static_cast<size_t>(image - 1)] - 1});
  }
  std::vector<std::string> names;
  for (int64_t label = 1; label <= classes; ++label) {
    names.push_back(std::to_string(label));
  }
  set.targets = TargetSpec::named(TargetKind::category, std::move(names));
  return set;
}

}  // namespace

void add_flowers102(Registrar& registrar) {
  const LayoutDescription description{"Flowers-102",
                                      {"flowers-102"},
                                      flower_labels,
                                      "imagelabels.mat, setid.mat and jpg/image_00001.jpg, … in "
                                      "`root` or in its folder flowers-102"};
  add_layout<LayoutOptions>(
      registrar,
      {"flowers-102", "8,189 photos of flowers, 102 classes, which its files call by numbers",
       "Nilsback and Zisserman, \"Automated Flower Classification over a Large Number of "
       "Classes\", "
       "ICVGIP 2008"},
      layout_schema<LayoutOptions>(
          description, {"train", "val", "test"},
          "1,020 images to train with, 1,020 to validate with or 6,149 to test with"),
      description, read_flowers102);
}

}  // namespace bissl
