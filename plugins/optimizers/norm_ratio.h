#pragma once

#include <ATen/core/Tensor.h>

namespace bissl {

/// factor·‖above‖/‖below‖, or 1 where one of the norms is 0 or no number: a tensor of one number,
/// of `below`'s type and on its device. A step that works with it does not wait for a GPU, as one
/// does that reads the norms.
inline at::Tensor norm_ratio(const at::Tensor& above, const at::Tensor& below, double factor) {
  const at::Tensor numerator = above.norm().to(at::kDouble);
  const at::Tensor denominator = below.norm().to(at::kDouble);
  const at::Tensor both = numerator.gt(0).logical_and(denominator.gt(0));
  return numerator.mul(factor)
      .div(denominator)
      .masked_fill(both.logical_not(), 1.0)
      .to(below.scalar_type());
}

}  // namespace bissl
