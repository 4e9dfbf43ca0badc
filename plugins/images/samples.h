#pragma once

#include "image_files.h"

#include <algorithm>
#include <cstdint>

namespace bissl {

/// Samples of more than 8 bits as bytes: linear from range[0] ↦ 0 to range[1] ↦ 255, rounded and
/// clamped; without a range the 8 highest bits of an unsigned sample.
class SampleScale {
 public:
  explicit SampleScale(const ImageOptions& options)
      : given_(!options.range.empty()),
        low_(given_ ? options.range[0] : 0.0),
        factor_(given_ ? 255.0 / (options.range[1] - options.range[0]) : 0.0) {}

  /// Whether a range is given.
  bool given() const { return given_; }

  /// By the range, which must be given. What is not a number becomes 0.
  uint8_t by_range(double sample) const {
    const double value = (sample - low_) * factor_ + 0.5;
    return value >= 1.0 ? static_cast<uint8_t>(std::min(value, 255.0)) : 0;
  }

  /// Of 16 bits.
  uint8_t of(uint16_t sample) const {
    return given_ ? by_range(sample) : static_cast<uint8_t>(sample >> 8);
  }

 private:
  bool given_;
  double low_;
  double factor_;
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
