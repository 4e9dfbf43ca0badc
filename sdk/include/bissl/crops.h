#pragma once

#include "bissl/export.h"
#include "bissl/image.h"
#include "bissl/random.h"
#include "bissl/view_geometry.h"

namespace bissl {

/// A rectangle of whole pixels inside an image.
struct Box {
  int64_t top = 0;     ///< rows above it
  int64_t left = 0;    ///< columns to its left
  int64_t height = 0;  ///< rows
  int64_t width = 0;   ///< columns
  /// Equal in all four.
  friend bool operator==(const Box&, const Box&) = default;
};

/// What a random resized crop may cut out.
struct CropRange {
  double smallest_area = 0.0;   ///< as a fraction of the image's area
  double largest_area = 1.0;    ///< see smallest_area
  double smallest_ratio = 1.0;  ///< width / height
  double largest_ratio = 1.0;   ///< see smallest_ratio
};

/// A random box inside an image of shape `image`, drawn as torchvision's RandomResizedCrop does:
/// area uniform, logarithm of the ratio uniform, position uniform; after ten boxes that do not fit,
/// the largest box in the middle with an allowed ratio.
BISSL_API Box random_box(const ImageShape& image, const CropRange& range, RandomStream& stream);

/// The largest box in the middle of the image with the proportions of `output`.
BISSL_API Box centered_box(const ImageShape& image, const ImageShape& output);

/// Copies the part `box` of the image, whose size `output` has. Returns where that lies.
BISSL_API ViewGeometry crop(const Planes& image, const Box& box, Planes output);

// Both functions resample as PIL does and torchvision with antialias=True: bilinear interpolation
// with a triangle filter that widens with the factor of a reduction; weights are cut at the edge of
// the box and add up to 1. `output` receives values in [0, 1] (a sample divided by 255, or by 65535
// where the image has 16 bits) and must have the image's channels. Returned is where the output
// lies in the image. Threads: any number at once; the scratch memory is each thread's own.

/// Scales the part `box` of the image to the shape of `output`.
BISSL_API ViewGeometry resized_crop(const Image& image, const Box& box, Planes output);

/// Scales the whole image so that its shorter side is `output`'s (which must be square), and takes
/// the middle of the longer one: torchvision's Resize(size) followed by CenterCrop(size).
BISSL_API ViewGeometry resize_and_center_crop(const Image& image, Planes output);

}  // namespace bissl
