#include "vit_module.h"

#include "bissl/error.h"
#include "recompute.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/upsample_bicubic2d.h>
#include <ATen/ops/zeros.h>

#include <torch/nn/init.h>

#include <cmath>

namespace bissl {
namespace {

namespace nn = torch::nn;

constexpr double norm_epsilon = 1e-6;  // as in the published code, and in timm

/// As timm's: deviations of 0.02 (its bounds, 2, lie a hundred of them away) and no bias.
Linear linear(int64_t in, int64_t out) {
  Linear layer(in, out);
  nn::init::normal_(layer->weight, 0, 0.02);
  const c10::NoGradGuard no_grad;
  layer->bias.zero_();
  return layer;
}

FastLayerNorm layer_norm(int64_t width) { return FastLayerNorm(width, norm_epsilon); }

/// Attention of several heads, each over its part of the channels (equations 5 to 7 of the paper's
/// appendix A).
class VitAttention : public nn::Module {
 public:
  VitAttention(int64_t width, int64_t heads) : heads_(heads) {
    qkv_ = register_module("qkv", linear(width, 3 * width));
    proj_ = register_module("proj", linear(width, width));
  }

  /// (N, T, D) → the same shape.
  at::Tensor forward(const at::Tensor& x) {
    const int64_t samples = x.size(0);
    const int64_t tokens = x.size(1);
    const int64_t width = x.size(2);
    const at::Tensor parts = qkv_(x)
                                 .reshape({samples, tokens, 3, heads_, width / heads_})
                                 .permute({2, 0, 3, 1, 4});  // (3, N, heads, T, D/heads)
    const double scale = 1 / std::sqrt(double(width / heads_));
    const at::Tensor scores = at::matmul(parts[0] * scale, parts[1].transpose(2, 3));
    const at::Tensor mixed = at::matmul(scores.softmax(3), parts[2]);
    return proj_(mixed.transpose(1, 2).reshape({samples, tokens, width}));
  }

 private:
  int64_t heads_;
  Linear qkv_{nullptr};
  Linear proj_{nullptr};
};

class VitPerceptron : public nn::Module {
 public:
  VitPerceptron(int64_t width, int64_t hidden) {
    fc1_ = register_module("fc1", linear(width, hidden));
    fc2_ = register_module("fc2", linear(hidden, width));
  }

  at::Tensor forward(const at::Tensor& x) { return fc2_(fast_gelu(fc1_(x))); }

 private:
  Linear fc1_{nullptr};
  Linear fc2_{nullptr};
};

/// Channels times a weight that starts small (Touvron et al. 2021, arXiv 2103.17239, equation 2).
class VitLayerScale : public nn::Module {
 public:
  VitLayerScale(int64_t width, double start) {
    gamma_ = register_parameter("gamma", at::ones({width}) * start);
  }

  at::Tensor forward(const at::Tensor& x) { return x * gamma_; }

 private:
  at::Tensor gamma_;
};

/// sin and cos of a position with D/4 wavelengths, (positions, D/2).
at::Tensor waves(const at::Tensor& positions, int64_t width) {
  const int64_t quarter = width / 4;
  const at::Tensor octaves = at::arange(quarter, at::kDouble) / double(quarter);
  const at::Tensor angles =
      positions.to(at::kDouble).unsqueeze(1) * at::pow(10000.0, -octaves).unsqueeze(0);
  return at::cat({angles.sin(), angles.cos()}, 1);
}

/// Positions in two dimensions that are not learnt, (rows·columns, width): the first half of the
/// channels has the column, the second the row (Chen et al. 2021, arXiv 2104.02057, section 4).
at::Tensor sincos_positions(int64_t rows, int64_t columns, int64_t width) {
  const at::Tensor across = waves(at::arange(columns), width);
  const at::Tensor down = waves(at::arange(rows), width);
  return at::cat({across.unsqueeze(0).expand({rows, columns, width / 2}),
                  down.unsqueeze(1).expand({rows, columns, width / 2})},
                 2)
      .reshape({rows * columns, width})
      .to(at::kFloat);
}

/// Throws unless patches cut the images into whole numbers of them.
void require_patches(int64_t patch, int64_t height, int64_t width, const char* what) {
  if (height % patch != 0 || width % patch != 0 || height == 0 || width == 0) {
    fail_input(
        "patches of {0}x{0} pixels (patch = {0}) do not cut {1} of {2}x{3} pixels: height and "
        "width must be multiples of {0}",
        patch, what, height, width);
  }
}

}  // namespace

class VitBlock : public nn::Module {
 public:
  VitBlock(const VitOptions& options, double drop_path) : drop_path_(drop_path) {
    norm1_ = register_module("norm1", layer_norm(options.width));
    attention_ =
        register_module("attn", std::make_shared<VitAttention>(options.width, options.heads));
    norm2_ = register_module("norm2", layer_norm(options.width));
    const auto hidden = int64_t(std::llround(double(options.width) * options.mlp_ratio));
    mlp_ = register_module("mlp", std::make_shared<VitPerceptron>(options.width, hidden));
    if (options.layer_scale > 0) {
      for (const char* name : {"ls1", "ls2"}) {
        scales_.push_back(register_module(
            name, std::make_shared<VitLayerScale>(options.width, options.layer_scale)));
      }
    }
  }

  at::Tensor forward(const at::Tensor& x) {
    const at::Tensor y = x + branch(attention_->forward(norm1_(x)), 0);
    return y + branch(mlp_->forward(norm2_(y)), 1);
  }

 private:
  at::Tensor branch(const at::Tensor& y, size_t number) {
    return drop_path(scales_.empty() ? y : scales_[number]->forward(y), drop_path_, is_training());
  }

  double drop_path_;
  FastLayerNorm norm1_{nullptr};
  FastLayerNorm norm2_{nullptr};
  std::shared_ptr<VitAttention> attention_;
  std::shared_ptr<VitPerceptron> mlp_;
  std::vector<std::shared_ptr<VitLayerScale>> scales_;
};

VitModule::VitModule(const VitOptions& options, const ImageShape& input)
    : patch_(options.patch),
      width_(options.width),
      registers_count_(options.registers),
      mean_pool_(options.pool == "mean"),
      recompute_(options.recompute) {
  require_patches(patch_, input.height, input.width, "images");
  if (options.class_token) {
    class_token_ = register_parameter("cls_token", at::zeros({1, 1, width_}));
    nn::init::normal_(class_token_, 0, 1e-6);
  }
  if (options.registers > 0) {
    registers_ = register_parameter("reg_token", at::zeros({1, options.registers, width_}));
    nn::init::normal_(registers_, 0, 1e-6);
  }
  make_positions(options, input);
  embedding_ = Conv2d(nn::Conv2dOptions(input.channels, width_, patch_).stride(patch_));
  register_module("patch_embed", std::make_shared<nn::Module>())
      ->register_module("proj", embedding_);
  const auto blocks = register_module("blocks", std::make_shared<nn::Module>());
  for (int64_t i = 0; i < options.depth; ++i) {
    blocks_.push_back(blocks->register_module(
        std::to_string(i),
        std::make_shared<VitBlock>(options, drop_path_rate(options.drop_path, i, options.depth))));
  }
  norm_ = register_module("norm", layer_norm(width_));
}

void VitModule::make_positions(const VitOptions& options, const ImageShape& input) {
  const int64_t height = options.position_size.value_or(input.height);
  const int64_t width = options.position_size.value_or(input.width);
  require_patches(patch_, height, width, "position_size, an image");
  rows_ = height / patch_;
  columns_ = width / patch_;
  const int64_t in_front = class_token_.defined() && !registers_.defined() ? 1 : 0;
  if (options.positions == "learnt") {
    positions_ =
        register_parameter("pos_embed", at::zeros({1, in_front + rows_ * columns_, width_}));
    nn::init::normal_(positions_, 0, 0.02);
  } else {
    const at::Tensor grid = sincos_positions(rows_, columns_, width_);
    positions_ = register_buffer(
        "pos_embed", at::cat({at::zeros({in_front, width_}), grid}).unsqueeze(0).contiguous());
  }
}

at::Tensor VitModule::positions_for(int64_t rows, int64_t columns) const {
  const int64_t places = rows_ * columns_;
  const at::Tensor grid = positions_.narrow(1, positions_.size(1) - places, places);
  if (rows == rows_ && columns == columns_) {
    return grid;
  }
  const at::Tensor map = grid.reshape({1, rows_, columns_, width_}).permute({0, 3, 1, 2});
  return at::upsample_bicubic2d(map, {rows, columns}, /*align_corners=*/false)
      .flatten(2)
      .transpose(1, 2);
}

at::Tensor VitModule::with_extra_tokens(const at::Tensor& patches) const {
  std::vector<at::Tensor> parts;
  if (class_token_.defined()) {
    parts.push_back(registers_.defined() ? class_token_
                                         : class_token_ + positions_.narrow(1, 0, 1));
  }
  if (registers_.defined()) {
    parts.push_back(registers_);
  }
  for (at::Tensor& part : parts) {
    part = part.expand({patches.size(0), -1, -1});
  }
  parts.push_back(patches);
  return at::cat(parts, 1);
}

at::Tensor VitModule::tokens(const at::Tensor& images, const PatchSelection& selection) {
  require_patches(patch_, images.size(2), images.size(3), "images");
  const int64_t rows = images.size(2) / patch_;
  const int64_t columns = images.size(3) / patch_;
  at::Tensor x = embedding_(images).flatten(2).transpose(1, 2);
  if (selection.masked.defined()) {
    TORCH_CHECK(selection.masked.sizes() == x.sizes().slice(0, 2), "masked patches have shape ",
                selection.masked.sizes(), ", the images' patches ", x.sizes().slice(0, 2));
    const at::Tensor masked = selection.masked.unsqueeze(2).to(x.scalar_type());
    x = x * (1 - masked) + masked * selection.mask_token;
  }
  x = x + positions_for(rows, columns);
  if (selection.kept.defined()) {
    TORCH_CHECK(selection.kept.dim() == 2 && selection.kept.size(0) == x.size(0),
                "kept patches have shape ", selection.kept.sizes(), ", (", x.size(0),
                ", K) is expected");
    x = x.gather(1, selection.kept.unsqueeze(2).expand({-1, -1, width_}));
  }
  x = with_extra_tokens(x);
  for (const auto& block : blocks_) {
    x = through_block(block, x, recompute_);
  }
  return norm_(x);
}

at::Tensor VitModule::forward(const at::Tensor& images) {
  const at::Tensor all = tokens(images, {});
  if (!mean_pool_) {
    return all.select(1, 0);
  }
  return all.narrow(1, extra_tokens(), all.size(1) - extra_tokens()).mean(1);
}

}  // namespace bissl
