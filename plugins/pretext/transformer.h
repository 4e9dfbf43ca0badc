#pragma once

#include "patches.h"

#include "bissl/modules.h"
#include "bissl/parameters.h"

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/modules/normalization.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace bissl {

/// The size of a small transformer that a task has of its own: a decoder, a predictor.
struct TransformerSize {
  int64_t width = 0;
  int64_t depth = 0;
  int64_t heads = 1;  ///< divides width
};

/// Blocks of attention and a perceptron of four times the width, layer norms in front of both
/// (Dosovitskiy et al. 2020, arXiv 2010.11929, equations 2 to 4), and a last layer norm.
class Transformer : public torch::nn::Module {
 public:
  explicit Transformer(const TransformerSize& size);

  /// (N, T, width) → the same shape.
  at::Tensor forward(const at::Tensor& tokens);

 private:
  class Block;
  std::vector<std::shared_ptr<Block>> blocks_;
  torch::nn::LayerNorm norm_{nullptr};
};

/// Fixed embeddings of the places of a grid, (P, width): sines and cosines of the row in the first
/// half, of the column in the second, of wave lengths from 2π to 10000·2π. `width` is a multiple of
/// 4.
at::Tensor wave_positions(const PatchGrid& grid, int64_t width, const at::TensorOptions& options);

/// Declares `name`_width, `name`_depth and `name`_heads; `what` is their owner in texts: "the
/// decoder".
Schema<TransformerSize> transformer_schema(const std::string& name, const std::string& what);

}  // namespace bissl
