#pragma once

#include "bissl/layers.h"

#include <vector>

namespace bissl::layers {

/// batch_norm in training of a batch that is divided over processes: with the mean and variance of
/// all parts, and the running statistics that follow from them.
at::Tensor divided_batch_norm(const at::Tensor& input, const at::Tensor& weight,
                              const at::Tensor& bias, const BatchNormState& state);

/// One value for each channel, in double precision, or a constant where the tensor is undefined.
std::vector<double> per_channel(const at::Tensor& tensor, int64_t channels, double otherwise);

}  // namespace bissl::layers
