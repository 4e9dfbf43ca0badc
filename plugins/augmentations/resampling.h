#pragma once

#include "planes.h"

#include "bissl/image.h"
#include "bissl/view_geometry.h"

namespace bissl {

/// A rectangle of whole pixels inside an image.
struct Box {
  int64_t top = 0;
  int64_t left = 0;
  int64_t height = 0;
  int64_t width = 0;
  friend bool operator==(const Box&, const Box&) = default;
};

// Both functions resample as PIL does and torchvision with antialias=True: bilinear interpolation
// with a triangle filter that widens with the factor of a reduction; weights are cut at the edge of
// the box and add up to 1. `output` receives values in [0, 1] (a sample divided by 255) and must
// have the image's channels. Returned is where the output lies in the image.
// Threads: any number at once; the scratch memory is each thread's own.

/// Scales the part `box` of the image to the shape of `output`.
ViewGeometry resized_crop(const Image& image, const Box& box, Planes output);

/// Scales the whole image so that its shorter side is `output`'s (which must be square), and takes
/// the middle of the longer one: torchvision's Resize(size) followed by CenterCrop(size).
ViewGeometry resize_and_center_crop(const Image& image, Planes output);

}  // namespace bissl
