#pragma once

#include "fast_layers.h"
#include "parts.h"

#include "bissl/backbone_abilities.h"
#include "bissl/image.h"
#include "bissl/modules.h"

#include <torch/nn/module.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bissl {

/// The shape of a vision transformer and how it starts.
struct VitOptions {
  int64_t patch = 16;
  int64_t width = 192;
  int64_t depth = 12;
  int64_t heads = 3;
  double mlp_ratio = 4;
  std::string pool = "token";
  bool class_token = true;
  int64_t registers = 0;
  std::string positions = "learnt";
  std::optional<int64_t> position_size = {};
  double drop_path = 0;
  double layer_scale = 0;
  bool recompute = false;
};

/// One block: attention, then a perceptron, each with a layer norm before it and the identity
/// beside it.
class VitBlock;

/// The vision transformer without its classifier (Dosovitskiy et al. 2020, arXiv 2010.11929,
/// equations 1 to 4). Names of parameters are those of timm's vision_transformer.
class VitModule : public torch::nn::Module {
 public:
  /// Throws Error(input) where patches do not cut `input` or the positions' image.
  VitModule(const VitOptions& options, const ImageShape& input);

  /// (N, C, H, W) → (N, extra_tokens() + P or K, width), after the last layer norm. Images of
  /// another size than the positions' see these interpolated. Throws Error(input) where patches do
  /// not cut the images.
  at::Tensor tokens(const at::Tensor& images, const PatchSelection& selection);

  /// (N, C, H, W) → (N, width): the class token or the mean over the patches.
  at::Tensor forward(const at::Tensor& images);

  /// Class token and registers.
  int64_t extra_tokens() const { return (class_token_.defined() ? 1 : 0) + registers_count_; }
  int64_t width() const { return width_; }
  int64_t patch() const { return patch_; }

 private:
  void make_positions(const VitOptions& options, const ImageShape& input);
  /// The embedding of each place of a grid, (1, rows·columns, width).
  at::Tensor positions_for(int64_t rows, int64_t columns) const;
  at::Tensor with_extra_tokens(const at::Tensor& patches) const;

  int64_t patch_;
  int64_t width_;
  int64_t registers_count_;
  bool mean_pool_;
  bool recompute_;
  int64_t rows_ = 0;     ///< of the positions' grid
  int64_t columns_ = 0;  ///< of the positions' grid
  Conv2d embedding_{nullptr};
  at::Tensor class_token_;  ///< (1, 1, width), or undefined
  at::Tensor registers_;    ///< (1, R, width), or undefined
  /// (1, rows·columns, width), with the class token's in front if there is one and no register is.
  at::Tensor positions_;
  std::vector<std::shared_ptr<VitBlock>> blocks_;
  FastLayerNorm norm_{nullptr};
};

}  // namespace bissl
