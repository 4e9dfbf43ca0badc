#pragma once

#include "bissl/image.h"

namespace bissl {

/// A float image in planes (CHW) in somebody else's memory, 1 channel or 3. Values lie in [0, 1]
/// until the image is normalised.
struct Planes {
  ImageShape shape;
  float* data = nullptr;  ///< shape.elements() floats

  int64_t area() const { return shape.height * shape.width; }
  float* plane(int64_t channel) const { return data + channel * area(); }
};

}  // namespace bissl
