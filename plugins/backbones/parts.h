#pragma once

#include "bissl/modules.h"

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <cstdint>

// What several backbones are made of.

namespace bissl {

/// Stochastic depth (Huang et al. 2016, arXiv 1603.09382): in training each sample's `branch`,
/// (N, …), is 0 with probability `rate`, else divided by 1 − rate. Draws from LibTorch's generator
/// where training and a rate above 0 ask for it.
at::Tensor drop_path(const at::Tensor& branch, double rate, bool training);

/// Rate of block `index` of `blocks`: rises from 0 to `rate`.
double drop_path_rate(double rate, int64_t index, int64_t blocks);

}  // namespace bissl
