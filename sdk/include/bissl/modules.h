#pragma once

#include "bissl/layers.h"

#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

namespace bissl {

// LibTorch's modules with the layers of bissl/layers.h in their forward passes: same options,
// parameters, buffers and names. Include this in .cpp files only: it includes LibTorch's modules.

/// torch::nn::Conv2d. Padding by name ("same") or by other values than zeros goes LibTorch's way.
class Conv2dImpl : public torch::nn::Conv2dImpl {
 public:
  using torch::nn::Conv2dImpl::Conv2dImpl;

  /// (N, I, H, W) → (N, O, H', W').
  at::Tensor forward(const at::Tensor& input) {
    // The variants are c10's before LibTorch 2.1 and the standard library's since.
    const auto* padding = get_if<torch::ExpandingArray<2>>(&options.padding());
    const bool zeros = get_if<torch::enumtype::kZeros>(&options.padding_mode()) != nullptr;
    if (padding == nullptr || !zeros) {
      return torch::nn::Conv2dImpl::forward(input);
    }
    const auto pair = [](const auto& expanded) {
      return std::array<int64_t, 2>{expanded->at(0), expanded->at(1)};
    };
    return layers::conv2d(input, weight, bias,
                          {.stride = pair(options.stride()),
                           .padding = pair(*padding),
                           .dilation = pair(options.dilation()),
                           .groups = options.groups()});
  }
};
TORCH_MODULE(Conv2d);

/// torch::nn::BatchNorm1d, 2d and 3d in one: (N, C, …) → the same shape.
class BatchNormImpl
    : public torch::nn::NormImplBase<2, BatchNormImpl, torch::nn::BatchNormOptions> {
 public:
  using NormImplBase::NormImplBase;

  /// (N, C, …) → the same shape.
  at::Tensor forward(const at::Tensor& input) {
    return layers::batch_norm(input, weight, bias, next_state());
  }

  /// relu(forward(input) + residual) as one layer: layers::batch_norm_relu.
  at::Tensor forward_relu(const at::Tensor& input, const at::Tensor& residual = {}) {
    return layers::batch_norm_relu(input, weight, bias, next_state(), residual);
  }

 protected:
  /// LibTorch's check of the number of dimensions: any will do.
  void _check_input_dim(const at::Tensor& /*input*/) override {}

 private:
  /// Of the next call, which is counted in training.
  layers::BatchNormState next_state() {
    double share = options.momentum().value_or(0.0);
    if (is_training() && num_batches_tracked.defined()) {
      num_batches_tracked.add_(1);
      if (!options.momentum()) {  // then the running statistics are plain means
        share = 1.0 / num_batches_tracked.item<double>();
      }
    }
    return {.running_mean = running_mean,
            .running_var = running_var,
            .training = is_training() || !running_mean.defined(),
            .momentum = share,
            .epsilon = options.eps()};
  }
};
TORCH_MODULE(BatchNorm);

/// torch::nn::Linear.
class LinearImpl : public torch::nn::LinearImpl {
 public:
  using torch::nn::LinearImpl::LinearImpl;

  /// (…, I) → (…, O).
  at::Tensor forward(const at::Tensor& input) { return layers::linear(input, weight, bias); }
};
TORCH_MODULE(Linear);

}  // namespace bissl
