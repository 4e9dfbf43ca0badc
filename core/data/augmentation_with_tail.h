#pragma once

#include "bissl/augmentation.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

namespace bissl::host {

/// An augmentation that can make the views of a batch in two parts: the head of each image by
/// itself, then the tail of all rows at once, on the batch's device (bissl/batch_transform.h).
/// apply() makes both of one image, with the same result.
class AugmentationWithTail : public Augmentation {
 public:
  /// Whether view number `view` has a tail; all of another is its head.
  virtual bool has_tail(int64_t view) const = 0;

  /// As apply(), without the tail.
  virtual ViewGeometry apply_head(const Image& image, int64_t view, RandomStream& stream,
                                  std::span<float> output) const = 0;

  /// Changes view number `view` of a batch, (N, C, H, W), float32 and contiguous, in place.
  /// `streams`: those of the rows, whatever apply_head() has drawn from them. `geometry`: where the
  /// rows lie in their images, as apply_head() returned it; afterwards where the changed ones do.
  virtual void apply_tail(const at::Tensor& images, int64_t view,
                          std::span<const RandomStream> streams,
                          std::span<ViewGeometry> geometry) const = 0;
};

}  // namespace bissl::host
