#include "layouts.h"
#include "mat_reader.h"

#include "bissl/error.h"

#include <cmath>

namespace bissl {
namespace {

constexpr const char* cars_meta = "devkit/cars_meta.mat";

ClassList read_car_names(const std::filesystem::path& file) {
  const MatVariables variables = read_mat(file, {"class_names"});
  const auto found = variables.find("class_names");
  if (found == variables.end() || found->second.kind != MatKind::cell) {
    fail_input("{}: has no cell array \"class_names\"; expected one with the name of each class",
               file.string());
  }
  ClassList classes;
  for (const MatArray& name : found->second.parts) {
    if (name.kind != MatKind::text || name.text.empty() || !classes.add(name.text)) {
      fail_input("{}: the name of class {} is no text, is empty or occurs twice", file.string(),
                 classes.size() + 1);
    }
  }
  return classes;
}

/// The labels of the test set are a download of their own, which lies beside the images, as
/// torchvision has it, or in the folder of the archive's other lists.
std::string test_labels(const Layout& layout) {
  const std::string name = "cars_test_annos_withlabels.mat";
  return !layout.has_file(name) && layout.has_file("devkit/" + name) ? "devkit/" + name : name;
}

ListedSet read_stanford_cars(const Layout& layout, const LayoutOptions& options) {
  const bool train = options.split == "train";
  const std::string list_file = train ? "devkit/cars_train_annos.mat" : test_labels(layout);
  const ClassList classes = read_car_names(layout.file(cars_meta));
  const std::string file = layout.file(list_file).string();
  const MatVariables variables = read_mat(file, {"annotations"});
  const auto found = variables.find("annotations");
  if (found == variables.end() || found->second.kind != MatKind::structure) {
    fail_input(
        "{}: has no structure \"annotations\"; expected one with the fields \"fname\" and "
        "\"class\" of each image",
        file);
  }
  const MatArray& annotations = found->second;
  ListedSet set{
      TargetSpec::named(TargetKind::category, classes.names()), {}, {list_file, cars_meta}};
  for (int64_t i = 0; i < annotations.size(); ++i) {
    const MatArray* const name = annotations.field(i, "fname");
    const MatArray* const label = annotations.field(i, "class");
    if (name == nullptr || label == nullptr || label->kind != MatKind::numbers ||
        label->size() != 1) {
      fail_input("{}: entry {} has no fields \"fname\" and \"class\"{}", file, i + 1,
                 train ? "" : "; the file with the labels of the test set is needed");
    }
    if (name->kind != MatKind::text || !stays_within(name->text)) {
      fail_input("{}: the \"fname\" of entry {} is no name of a file; expected one as 00001.jpg",
                 file, i + 1);
    }
    const double category = label->number(0);
    if (!(category >= 1 && category <= static_cast<double>(classes.size())) ||
        std::floor(category) != category) {
      fail_input(
          "{}: the class of entry {} is {}; expected a whole number from 1 to {}, the number of "
          "names in {}",
          file, i + 1, category, classes.size(), cars_meta);
    }
    set.images.push_back(
        {(train ? "cars_train/" : "cars_test/") + name->text, static_cast<int64_t>(category) - 1});
  }
  return set;
}

}  // namespace

void add_stanford_cars(Registrar& registrar) {
  const LayoutDescription description{
      "Stanford Cars",
      {"stanford_cars"},
      cars_meta,
      "devkit/cars_meta.mat, devkit/cars_train_annos.mat, cars_test_annos_withlabels.mat, "
      "cars_train/00001.jpg, … and cars_test/00001.jpg, … in `root` or in its folder "
      "stanford_cars"};
  add_layout<LayoutOptions>(
      registrar,
      {"stanford-cars", "16,185 photos of cars, 196 models",
       "Krause, Stark, Deng and Fei-Fei, \"3D Object Representations for Fine-Grained "
       "Categorization\", ICCV workshop 2013"},
      layout_schema<LayoutOptions>(description, {"train", "test"},
                                   "8,144 images to train with or 8,041 to test with"),
      description, read_stanford_cars);
}

}  // namespace bissl
