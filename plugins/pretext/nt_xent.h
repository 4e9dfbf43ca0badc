#pragma once

#include <ATen/core/Tensor.h>

namespace bissl {

/// The normalised temperature-scaled cross entropy of SimCLR (Chen et al. 2020, arXiv 2002.05709,
/// equation 1), averaged over all 2·N embeddings.
///
/// `first` and `second` are (N, D): embeddings of two views of the same samples, N ≥ 2. They are
/// normalised here. Twice differentiable; a scalar.
at::Tensor nt_xent(const at::Tensor& first, const at::Tensor& second, double temperature);

}  // namespace bissl
