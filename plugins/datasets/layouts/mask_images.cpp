#include "mask_images.h"

#include "memory_images.h"

#include "bissl/error.h"

#include <algorithm>
#include <memory>

namespace bissl {
namespace {

constexpr int64_t most_values = 256;

/// The values of the classes in words: "0 to 3", "0, 128, 200".
std::string listed_values(const std::vector<int64_t>& values) {
  bool in_a_row = values.size() > 1;
  std::string text;
  for (size_t i = 0; i < values.size(); ++i) {
    in_a_row = in_a_row && values[i] == values[0] + static_cast<int64_t>(i);
    text += fmt::format("{}{}", i == 0 ? "" : ", ", values[i]);
  }
  return in_a_row ? fmt::format("{} to {}", values.front(), values.back()) : text;
}

}  // namespace

MaskValues::MaskValues(std::vector<std::string> names, const std::vector<int64_t>& values,
                       std::optional<int64_t> ignore, const std::string& place)
    : names_(std::move(names)) {
  const auto classes = static_cast<int64_t>(names_.size());
  if (classes > not_counted_pixel) {
    fail_input("{}: has {} classes; masks tell at most {} apart", place, classes,
               int{not_counted_pixel});
  }
  if (!values.empty() && static_cast<int64_t>(values.size()) != classes) {
    fail_input("{}: has {} classes, but `values` has {} numbers; expected one for each", place,
               classes, values.size());
  }
  categories_.fill(unknown);
  for (int64_t i = 0; i < classes; ++i) {
    const int64_t value = values.empty() ? i : values[static_cast<size_t>(i)];
    int16_t& category = categories_[static_cast<size_t>(value)];
    if (category != unknown) {
      fail_input("`values` gives {} to two classes, \"{}\" and \"{}\"", value,
                 names_[static_cast<size_t>(category)], names_[static_cast<size_t>(i)]);
    }
    category = static_cast<int16_t>(i);
  }
  int16_t& ignored = categories_[static_cast<size_t>(ignore.value_or(not_counted_pixel))];
  if (ignored == unknown) {
    ignored = not_counted_pixel;
  } else if (ignore) {
    fail_input("ignore = {} is the value of the class \"{}\"", *ignore,
               names_[static_cast<size_t>(ignored)]);
  }
}

std::string MaskValues::meaning() const {
  std::vector<int64_t> of_classes(names_.size());
  std::string ignored;
  for (int64_t value = 0; value < most_values; ++value) {
    const int16_t category = categories_[static_cast<size_t>(value)];
    if (category >= 0 && static_cast<size_t>(category) < names_.size()) {
      of_classes[static_cast<size_t>(category)] = value;
    } else if (category == not_counted_pixel) {
      ignored = fmt::format(", and {} does not count", value);
    }
  }
  return fmt::format("the {} classes have {}{}", names_.size(), listed_values(of_classes), ignored);
}

Image MaskValues::categories(const Image& mask, const std::string& path) const {
  const int64_t count = mask.shape.elements();
  const auto pixels = std::make_shared_for_overwrite<uint8_t[]>(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    const int16_t category = categories_[mask.pixels[i]];
    if (category == unknown) {
      fail_input(
          "{}: has the value {} at column {} of row {}; {}. Name its class in `class_names`, give "
          "`values` of the classes, or set `ignore`",
          path, int{mask.pixels[i]}, i % mask.shape.width, i / mask.shape.width, meaning());
    }
    pixels[static_cast<size_t>(i)] = static_cast<uint8_t>(category);
  }
  return {mask.shape, pixels.get(), pixels, PixelType::uint8};
}

Schema<ImageOptions> mask_image_schema() {
  Schema<ImageOptions> schema;
  schema
      .add("channels", &ImageOptions::channels,
           "three colours, gray, or as the image's file: gray, three colours, or all bands of a "
           "TIFF with several")
      .choices({"rgb", "gray", "as-file"});
  schema
      .add("max_pixels", &ImageOptions::max_pixels,
           "a file with more pixels is refused before memory is taken for them")
      .at_least(1)
      .at_most(int64_t{1} << 32)
      .unit("pixels");
  return schema;
}

MaskImages::MaskImages(const Layout& layout, MaskedSet set, MaskValues values, ImageOptions image)
    : base_(layout.base().string() + "/"),
      set_(std::move(set)),
      values_(std::move(values)),
      image_(std::move(image)) {
  if (set_.samples.empty()) {
    fail_input("{}: has no image with a mask", layout.base().string());
  }
}

std::vector<DataFile> MaskImages::data_files() const {
  std::vector<DataFile> files;
  files.reserve(set_.annotations.size() + 2 * set_.samples.size());
  for (const std::string& name : set_.annotations) {
    files.push_back({name, base_ + name});
  }
  for (const MaskedImage& sample : set_.samples) {
    files.push_back({sample.image, base_ + sample.image});
    files.push_back({sample.mask, base_ + sample.mask});
  }
  return files;
}

Sample MaskImages::get(int64_t index) const {
  check_index(index, size());
  const MaskedImage& files = set_.samples[static_cast<size_t>(index)];
  Sample sample{.image = read_image(base_ + files.image, image_)};
  const std::string path = base_ + files.mask;
  const Image mask = read_mask(path, image_.max_pixels);
  const ImageShape& shape = sample.image.shape;
  if (mask.shape.height != shape.height || mask.shape.width != shape.width) {
    fail_input("{}: is of {} x {} pixels, and its image {} of {} x {}; expected one size", path,
               mask.shape.width, mask.shape.height, base_ + files.image, shape.width, shape.height);
  }
  sample.target.mask = values_.categories(mask, path);
  return sample;
}

}  // namespace bissl
