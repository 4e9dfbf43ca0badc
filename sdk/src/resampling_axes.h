#pragma once

#include "bissl/crops.h"

#include <cmath>
#include <cstdint>

namespace bissl {

/// One direction of a resampling: `length` samples become `resized`, of which those from `first`
/// on, `count` of them, are wanted.
struct Axis {
  int64_t length = 0;
  int64_t resized = 0;
  int64_t first = 0;
  int64_t count = 0;
};

/// Of resize_and_center_crop, for the side of this length beside one of length `other`.
inline Axis centered_axis(int64_t length, int64_t other, int64_t size) {
  const int64_t resized = length <= other ? size : size * length / other;
  // As Python rounds: halves to the even neighbour.
  const auto first = static_cast<int64_t>(std::nearbyint(static_cast<double>(resized - size) / 2));
  return {length, resized, first, size};
}

/// Where the wanted samples of both axes lie in the image that the box is cut from.
inline ViewGeometry geometry_of(const Box& box, const Axis& vertical, const Axis& horizontal) {
  const auto scale = [](const Axis& axis) {
    return static_cast<double>(axis.length) / static_cast<double>(axis.resized);
  };
  ViewGeometry geometry;
  geometry.xx = scale(horizontal);
  geometry.x0 = static_cast<double>(box.left) + geometry.xx * static_cast<double>(horizontal.first);
  geometry.yy = scale(vertical);
  geometry.y0 = static_cast<double>(box.top) + geometry.yy * static_cast<double>(vertical.first);
  return geometry;
}

}  // namespace bissl
