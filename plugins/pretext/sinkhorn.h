#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace bissl {

/// Assignments of samples (rows) to prototypes (columns) from their similarities: each row sums to
/// 1, each column to about the same (Caron et al. 2020, arXiv 2006.09882, section 3.1, equation 3,
/// and Cuturi 2013, arXiv 1306.0895). In logarithms, so that no epsilon is too small.
at::Tensor sinkhorn(const at::Tensor& similarities, double epsilon, int64_t iterations);

}  // namespace bissl
