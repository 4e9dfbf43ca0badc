#pragma once

#include "bissl/parameters.h"

#include <ATen/core/Tensor.h>

namespace bissl {

/// Weights of VICReg's three terms.
struct VarianceWeights {
  double invariance = 25.0;
  double variance = 25.0;
  double covariance = 1.0;
};
Schema<VarianceWeights> variance_schema();

/// VICReg's loss of two lists of embeddings, (N, D), row i of one with row i of the other, N ≥ 2
/// (Bardes, Ponce and LeCun 2022, arXiv 2105.04906, equations 1 to 6; the weights as in algorithm
/// 1, where the distance is a mean over the dimensions).
at::Tensor variance_loss(const at::Tensor& first, const at::Tensor& second,
                         const VarianceWeights& weights);

}  // namespace bissl
