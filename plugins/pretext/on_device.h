#pragma once

#include <ATen/core/Tensor.h>

namespace bissl {

/// `drawn` on the device of `like`. Random numbers are drawn on the CPU, so that a seed gives the
/// same ones whatever the device. A GPU gets them in its own time: a step does not wait for it.
inline at::Tensor on_device_of(const at::Tensor& like, const at::Tensor& drawn) {
  return drawn.to(at::TensorOptions(like.device()), /*non_blocking=*/true);
}

}  // namespace bissl
