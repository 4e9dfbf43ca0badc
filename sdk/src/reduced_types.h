#pragma once

#include <ATen/core/Tensor.h>

namespace bissl {

/// Whether the numbers are of 16 bits. On the CPU, layers that normalise take such input to single
/// precision and stay there: sums of it keep no digits, and LibTorch lacks some operations on it.
inline bool is_reduced(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kBFloat16 || tensor.scalar_type() == at::kHalf;
}

}  // namespace bissl
