#pragma once

#include "bissl/export.h"

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

namespace bissl {

/// The targets of a batch of N samples, on the device of the outputs. The host makes it.
struct BISSL_API TargetBatch {
  /// By the kind of targets (bissl/targets.h), with K and what does not count as there:
  ///
  /// - category: (N), int64, 0 … K − 1;
  /// - multi_label and values: (N, K), float32;
  /// - mask: (N, H, W), int64, for the pixels of the first view; 255 where none counts;
  /// - none: undefined.
  at::Tensor dense;

  /// Which entries of multi_label and values targets count: bool, of the shape of `dense`.
  at::Tensor counted() const;

  /// `dense` of these kinds with 0 for the entries that do not count, so that no NaN reaches a loss
  /// (NaN · 0 is NaN):
  ///
  ///     const at::Tensor counted = targets.counted();
  ///     const at::Tensor squares = (outputs - targets.known()).square() * counted;
  ///     return squares.sum() / counted.sum().clamp_min(1);
  at::Tensor known() const;

  /// The same on a device; `dense` itself where it is there already, and where there is none.
  TargetBatch to(c10::Device device) const;
};

}  // namespace bissl
