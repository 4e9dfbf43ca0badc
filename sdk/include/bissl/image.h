#pragma once

#include <cstdint>
#include <memory>

namespace bissl {

/// The size of an image or of a view.
struct ImageShape {
  int64_t channels = 0;  ///< 1 (gray) or 3 (red, green, blue)
  int64_t height = 0;    ///< rows
  int64_t width = 0;     ///< columns

  /// The number of values.
  int64_t elements() const { return channels * height * width; }
  /// Equal in all three.
  friend bool operator==(const ImageShape&, const ImageShape&) = default;
};

/// A float image in planes (CHW) in somebody else's memory: one channel after the other, each with
/// its rows from top to bottom. Values lie in [0, 1] until the image is normalised.
struct Planes {
  ImageShape shape;       ///< 1 channel or 3
  float* data = nullptr;  ///< shape.elements() floats

  /// The number of values of a channel.
  int64_t area() const { return shape.height * shape.width; }
  /// The first value of a channel.
  float* plane(int64_t channel) const { return data + channel * area(); }
};

/// An image as a dataset hands it out: 8-bit samples, rows from top to bottom, the channels of a
/// pixel beside each other (HWC), 1 channel (gray) or 3 (red, green, blue).
struct Image {
  ImageShape shape;                 ///< height, width and channels
  const uint8_t* pixels = nullptr;  ///< shape.elements() bytes
  /// Keeps `pixels` alive; empty when the dataset itself does as long as it lives.
  std::shared_ptr<const void> owner;
};

}  // namespace bissl
