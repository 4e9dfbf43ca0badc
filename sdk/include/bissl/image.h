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

/// An image as a dataset hands it out: 8-bit samples, rows from top to bottom, the channels of a
/// pixel beside each other (HWC), 1 channel (gray) or 3 (red, green, blue).
struct Image {
  ImageShape shape;                 ///< height, width and channels
  const uint8_t* pixels = nullptr;  ///< shape.elements() bytes
  /// Keeps `pixels` alive; empty when the dataset itself does as long as it lives.
  std::shared_ptr<const void> owner;
};

}  // namespace bissl
