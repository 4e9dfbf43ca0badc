#pragma once

#include "bissl/image.h"
#include "bissl/modules.h"

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

// What several backbones are made of.

namespace bissl {

/// Stochastic depth (Huang et al. 2016, arXiv 1603.09382): in training each sample's `branch`,
/// (N, …), is 0 with probability `rate`, else divided by 1 − rate. Draws from LibTorch's generator
/// where training and a rate above 0 ask for it.
at::Tensor drop_path(const at::Tensor& branch, double rate, bool training);

/// Rate of block `index` of `blocks`: rises from 0 to `rate`.
double drop_path_rate(double rate, int64_t index, int64_t blocks);

/// A convolution with padding kernel / 2.
Conv2d same_convolution(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t groups,
                        bool bias);

/// Convolutions' weights normal with variance 2/(fan out), biases 0 (He et al. 2015, arXiv
/// 1502.01852).
void start_for_relu(torch::nn::Module& network);

/// Weights of convolutions and linear layers normal with deviation 0.02, biases 0.
void start_small(torch::nn::Module& network);

/// Throws Error(input) where an image is smaller than `least` pixels; `network` is the component's
/// name.
void require_size(const ImageShape& input, int64_t least, const std::string& network);

/// Layers under the names "0", "1", …, as torch::nn::Sequential has them.
class Numbered : public torch::nn::Module {
 public:
  /// Adds a layer under the next name.
  template <class Layer>
  Layer add(Layer layer) {
    return register_module(std::to_string(next_++), std::move(layer));
  }
  /// Leaves out as many names: layers without weights.
  void skip(int64_t layers) { next_ += layers; }

 private:
  int64_t next_ = 0;
};

/// A convolution without bias and a batch normalisation, called "0" and "1".
class NormedConvolution : public Numbered {
 public:
  NormedConvolution(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t groups);
  at::Tensor forward(const at::Tensor& x) { return norm_(convolution_(x)); }
  at::Tensor forward_relu(const at::Tensor& x) { return norm_->forward_relu(convolution_(x)); }

 private:
  Conv2d convolution_{nullptr};
  BatchNorm norm_{nullptr};
};

}  // namespace bissl
