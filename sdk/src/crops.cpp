#include "bissl/crops.h"

#include <algorithm>
#include <cmath>

namespace bissl {
namespace {

int64_t rounded(double value) { return static_cast<int64_t>(std::nearbyint(value)); }

}  // namespace

Box random_box(const ImageShape& image, const CropRange& range, RandomStream& stream) {
  const auto area = static_cast<double>(image.height * image.width);
  const double lowest = std::log(range.smallest_ratio);
  const double highest = std::log(range.largest_ratio);
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double target = area * stream.uniform(range.smallest_area, range.largest_area);
    const double ratio = std::exp(stream.uniform(lowest, highest));
    const int64_t width = rounded(std::sqrt(target * ratio));
    const int64_t height = rounded(std::sqrt(target / ratio));
    if (width > 0 && width <= image.width && height > 0 && height <= image.height) {
      const auto top =
          static_cast<int64_t>(stream.below(static_cast<uint64_t>(image.height - height + 1)));
      const auto left =
          static_cast<int64_t>(stream.below(static_cast<uint64_t>(image.width - width + 1)));
      return {top, left, height, width};
    }
  }
  const double ratio = static_cast<double>(image.width) / static_cast<double>(image.height);
  const double allowed = std::clamp(ratio, range.smallest_ratio, range.largest_ratio);
  const auto fitted = [](double length, int64_t limit) {
    return std::clamp<int64_t>(rounded(length), 1, limit);
  };
  const int64_t height = ratio < allowed
                             ? fitted(static_cast<double>(image.width) / allowed, image.height)
                             : image.height;
  const int64_t width = ratio > allowed
                            ? fitted(static_cast<double>(image.height) * allowed, image.width)
                            : image.width;
  return {(image.height - height) / 2, (image.width - width) / 2, height, width};
}

Box centered_box(const ImageShape& image, const ImageShape& output) {
  // Compared crosswise, so that an equal ratio gives the whole image exactly.
  Box box{0, 0, image.height, image.width};
  if (image.width * output.height > output.width * image.height) {
    box.width = std::max<int64_t>(image.height * output.width / output.height, 1);
  } else {
    box.height = std::max<int64_t>(image.width * output.height / output.width, 1);
  }
  box.top = (image.height - box.height) / 2;
  box.left = (image.width - box.width) / 2;
  return box;
}

ViewGeometry crop(const Planes& image, const Box& box, Planes output) {
  for (int64_t channel = 0; channel < image.shape.channels; ++channel) {
    for (int64_t y = 0; y < box.height; ++y) {
      const float* row = image.plane(channel) + (box.top + y) * image.shape.width + box.left;
      std::copy(row, row + box.width, output.plane(channel) + y * box.width);
    }
  }
  return {.x0 = static_cast<double>(box.left), .y0 = static_cast<double>(box.top)};
}

}  // namespace bissl
