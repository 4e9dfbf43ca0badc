#include "layouts.h"
#include "mask_images.h"

#include "bissl/error.h"

#include <system_error>

namespace bissl {
namespace {

struct VocSegmentationOptions {
  std::string root;
  std::string split = "train";
  ImageOptions image;
};

std::vector<std::string> voc_segmentation_classes() {
  return {"background", "aeroplane", "bicycle",     "bird",  "boat",        "bottle", "bus",
          "car",        "cat",       "chair",       "cow",   "diningtable", "dog",    "horse",
          "motorbike",  "person",    "pottedplant", "sheep", "sofa",        "train",  "tvmonitor"};
}

/// That each file is there; `what` is "images" or "masks".
void require_files(const Layout& layout, const MaskedSet& set, std::string MaskedImage::*file,
                   const char* what) {
  size_t missing = 0;
  std::string first;
  for (const MaskedImage& sample : set.samples) {
    if (!layout.has_file(sample.*file)) {
      first = missing == 0 ? sample.*file : first;
      ++missing;
    }
  }
  if (missing > 0) {
    const std::filesystem::path path = layout.base() / first;
    fail_input(
        "{}: {} of the {} {} that {} names are not there: no file {} first; that folder holds {}. "
        "Unpack the whole archive, or remove from the list what is missing",
        layout.base().string(), missing, set.samples.size(), what, set.annotations.front(),
        path.string(), names_in(path.parent_path()));
  }
}

MaskedSet read_voc_segmentation(const Layout& layout, const std::string& split) {
  const std::string list_file = "ImageSets/Segmentation/" + split + ".txt";
  const TextLines list(layout.file(list_file));
  MaskedSet set;
  set.annotations = {list_file};
  ClassList seen;
  for (const TextLine& line : list.lines()) {
    const std::string name = list.path_within(line, line.text);
    if (!seen.add(name)) {
      list.fail(line, "an image that no line before names");
    }
    set.samples.push_back({"JPEGImages/" + name + ".jpg", "SegmentationClass/" + name + ".png"});
  }
  require_files(layout, set, &MaskedImage::image, "images");
  require_files(layout, set, &MaskedImage::mask, "masks");
  return set;
}

}  // namespace

void add_voc2012_segmentation(Registrar& registrar) {
  const LayoutDescription description{
      "VOC2012",
      {"VOC2012", "VOCdevkit/VOC2012"},
      "ImageSets/Segmentation",
      "ImageSets/Segmentation/train.txt, …, JPEGImages/2007_000032.jpg, … and "
      "SegmentationClass/2007_000032.png, … in `root` or in its folder VOC2012 or "
      "VOCdevkit/VOC2012"};
  auto schema = layout_schema<VocSegmentationOptions>(
      description, {"train", "val", "trainval"},
      "1,464 images to train with, 1,449 to validate with, or both");
  schema.embed(&VocSegmentationOptions::image, mask_image_schema());
  registrar.add<Dataset, VocSegmentationOptions>(
      {"voc2012-segmentation",
       "2,913 photos with masks of 20 kinds of objects and the background; edges do not count",
       "Everingham, Van Gool, Williams, Winn and Zisserman, \"The PASCAL Visual Object Classes "
       "Challenge 2012\""},
      std::move(schema),
      [description](const VocSegmentationOptions& options, const DatasetContext&) {
        const Layout layout(description, options.root);
        return std::make_shared<MaskImages>(
            layout, read_voc_segmentation(layout, options.split),
            MaskValues(voc_segmentation_classes(), {}, std::nullopt, "VOC2012"), options.image);
      });
}

}  // namespace bissl
