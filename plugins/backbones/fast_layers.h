#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <cstdint>

namespace bissl {

// Layers whose second derivatives are fast, beside those of bissl/layers.h: LibTorch's double
// backward of both is a long chain of small passes. Values, gradients and second derivatives are
// those of LibTorch's own layers; third ones are right as well, and slow. Differentiable; they keep
// to the gradient mode. Threads: any.

/// Layer normalisation over the last dimension (Ba, Kiros and Hinton 2016, arXiv 1607.06450,
/// equation 3), with the variance whose divisor is the width. `input` is (…, C); `weight` and
/// `bias` are (C), or undefined for ones and zeros; `epsilon` is added to the variance. Throws
/// c10::Error where shapes do not fit.
at::Tensor fast_layer_norm(const at::Tensor& input, const at::Tensor& weight,
                           const at::Tensor& bias, double epsilon);

/// x·Φ(x), Φ the normal distribution function (Hendrycks and Gimpel 2016, arXiv 1606.08415,
/// equation 1), without an approximation by tanh. Any shape.
at::Tensor fast_gelu(const at::Tensor& input);

/// torch::nn::LayerNorm over the last dimension, with weight and bias.
class FastLayerNormImpl : public torch::nn::Module {
 public:
  /// Of `width` channels; `epsilon` is added to the variance.
  FastLayerNormImpl(int64_t width, double epsilon);

  /// (…, width) → the same shape.
  at::Tensor forward(const at::Tensor& input) {
    return fast_layer_norm(input, weight_, bias_, epsilon_);
  }

 private:
  at::Tensor weight_;  ///< starts at 1
  at::Tensor bias_;    ///< starts at 0
  double epsilon_;
};
TORCH_MODULE(FastLayerNorm);

}  // namespace bissl
