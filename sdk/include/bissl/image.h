#pragma once

#include <cstdint>
#include <memory>

namespace bissl {

/// The size of an image or of a view.
struct ImageShape {
  int64_t channels = 0;  ///< 1 (gray), 3 (red, green, blue) or any other number of bands
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
  ImageShape shape;       ///< of the image
  float* data = nullptr;  ///< shape.elements() floats

  /// The number of values of a channel.
  int64_t area() const { return shape.height * shape.width; }
  /// The first value of a channel.
  float* plane(int64_t channel) const { return data + channel * area(); }
};

/// The type of an image's samples.
enum class PixelType {
  uint8,   ///< 0 … 255; as a float the sample divided by 255
  uint16,  ///< 0 … 65535 in the machine's byte order; as a float the sample divided by 65535
};

/// An image as a dataset hands it out: rows from top to bottom, the channels of a pixel beside each
/// other (HWC).
struct Image {
  ImageShape shape;  ///< height, width and channels
  /// bytes() bytes: shape.elements() samples. Of 16-bit samples it is the first byte, at an address
  /// that is a multiple of 2.
  const uint8_t* pixels = nullptr;
  /// Keeps `pixels` alive; empty when the dataset itself does as long as it lives.
  std::shared_ptr<const void> owner;
  PixelType type = PixelType::uint8;  ///< of the samples

  /// The size of the pixels.
  int64_t bytes() const { return shape.elements() * (type == PixelType::uint16 ? 2 : 1); }
  /// The samples of a 16-bit image.
  const uint16_t* pixels16() const { return reinterpret_cast<const uint16_t*>(pixels); }
};

}  // namespace bissl
