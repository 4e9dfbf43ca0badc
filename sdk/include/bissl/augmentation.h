#pragma once

#include "bissl/component.h"
#include "bissl/export.h"
#include "bissl/image.h"
#include "bissl/random.h"
#include "bissl/view_geometry.h"

#include <cstdint>
#include <span>

namespace bissl {

/// Makes a view, a float image in planes (CHW), of an image (HWC).
///
/// `apply` is a pure function of its arguments: same image, same stream, same view, same result.
/// Threads: after construction all methods are called from several threads at once.
class BISSL_API Augmentation : public Component {
 public:
  ~Augmentation() override;

  /// The shape of view number `view` of images of shape `input`. Views are numbered from 0, for
  /// augmentations that treat them differently. Throws Error(ErrorKind::input) for an input that
  /// cannot be handled.
  virtual ImageShape view_shape(const ImageShape& input, int64_t view) const = 0;

  /// Whether images with samples of this type are taken: those of 8 bits, by default. The host
  /// passes no others, and refuses data of another type before training.
  virtual bool takes(PixelType type) const;

  /// Writes view number `view` of `image` into `output` (view_shape(image.shape, view).elements()
  /// floats): each of them, and none beside them. What `output` holds before has no meaning.
  /// `stream` is fresh for each (sample, epoch, view). Returns where the view lies in the image.
  virtual ViewGeometry apply(const Image& image, int64_t view, RandomStream& stream,
                             std::span<float> output) const = 0;
};

/// What the factory of an augmentation is given besides its options.
struct AugmentationContext {};

}  // namespace bissl
