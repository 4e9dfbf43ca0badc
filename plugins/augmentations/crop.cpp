#include "crop.h"

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

CropRange crop_range(const std::vector<double>& scale, const std::vector<double>& ratio) {
  return {scale[0], scale[1], ratio[0], ratio[1]};
}

void check_range(const std::string& parameter, const std::vector<double>& range,
                 std::vector<Finding>& findings) {
  if (range[0] > range[1]) {
    findings.push_back(
        {Finding::Severity::error, parameter,
         fmt::format("the bounds [{0}, {1}] are in the wrong order: the smaller number "
                     "comes first, [{1}, {0}]",
                     range[0], range[1])});
  }
}

void check_crop_range(const std::vector<double>& scale, const std::vector<double>& ratio,
                      std::vector<Finding>& findings) {
  check_range("crop_scale", scale, findings);
  check_range("crop_ratio", ratio, findings);
}

}  // namespace bissl
