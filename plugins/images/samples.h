#pragma once

#include "image_files.h"

#include <algorithm>
#include <cstdint>
#include <limits>

namespace bissl {

/// Samples of more than 8 bits as those of an image, of 8 bits or 16: linear from range[0] ↦ 0 to
/// range[1] ↦ the largest value, rounded and clamped; without a range the highest bits of an
/// unsigned sample.
class SampleScale {
 public:
  explicit SampleScale(const ImageOptions& options)
      : given_(!options.range.empty()),
        low_(given_ ? options.range[0] : 0.0),
        span_(given_ ? options.range[1] - options.range[0] : 1.0) {}

  /// Whether a range is given.
  bool given() const { return given_; }

  /// By the range, which must be given. What is not a number becomes 0.
  template <class Sample>
  Sample by_range(double sample) const {
    constexpr double most = std::numeric_limits<Sample>::max();
    const double value = (sample - low_) / span_ * most + 0.5;
    return value >= 1.0 ? static_cast<Sample>(std::min(value, most)) : Sample{0};
  }

  /// Of 16 bits.
  template <class Sample>
  Sample of(uint16_t sample) const {
    return given_ ? by_range<Sample>(sample)
                  : static_cast<Sample>(sample >> (16 - 8 * sizeof(Sample)));
  }

 private:
  bool given_;
  double low_;
  double span_;
};

/// c·k in shares of 255, rounded: what Pillow computes in MULDIV255.
inline int product_of_shares(int a, int b) {
  const int product = a * b + 128;
  return ((product >> 8) + product) >> 8;
}

/// Writes red, green and blue of a pixel in cyan, magenta, yellow and black (255 is full ink), as
/// Pillow converts CMYK to RGB.
inline void cmyk_to_rgb(const uint8_t* cmyk, uint8_t* rgb) {
  const int light = 255 - cmyk[3];
  for (int c = 0; c < 3; ++c) {
    rgb[c] = static_cast<uint8_t>(std::clamp(light - product_of_shares(cmyk[c], light), 0, 255));
  }
}

}  // namespace bissl
