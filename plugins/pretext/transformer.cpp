#include "transformer.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/softmax.h>

#include <cmath>

namespace bissl {
namespace {

torch::nn::LayerNorm layer_norm(int64_t width) {
  constexpr double epsilon = 1e-6;
  return torch::nn::LayerNorm(torch::nn::LayerNormOptions({width}).eps(epsilon));
}

}  // namespace

class Transformer::Block : public torch::nn::Module {
 public:
  explicit Block(const TransformerSize& size) : heads_(size.heads) {
    constexpr int64_t ratio = 4;
    const int64_t width = size.width;
    norm1_ = register_module("norm1", layer_norm(width));
    qkv_ = register_module("qkv", Linear(width, 3 * width));
    proj_ = register_module("proj", Linear(width, width));
    norm2_ = register_module("norm2", layer_norm(width));
    fc1_ = register_module("fc1", Linear(width, ratio * width));
    fc2_ = register_module("fc2", Linear(ratio * width, width));
  }

  at::Tensor forward(const at::Tensor& tokens) {
    const at::Tensor mixed = tokens + attention(norm1_(tokens));
    return mixed + fc2_(at::gelu(fc1_(norm2_(mixed))));
  }

 private:
  at::Tensor attention(const at::Tensor& tokens) {
    const int64_t width = tokens.size(2);
    const at::Tensor parts =
        qkv_(tokens)
            .reshape({tokens.size(0), tokens.size(1), 3, heads_, width / heads_})
            .permute({2, 0, 3, 1, 4});  // (3, N, heads, T, D/heads)
    const at::Tensor scores =
        parts[0].matmul(parts[1].transpose(2, 3)) / std::sqrt(double(width / heads_));
    const at::Tensor mixed = at::softmax(scores, -1).matmul(parts[2]);
    return proj_(mixed.transpose(1, 2).reshape(tokens.sizes()));
  }

  int64_t heads_;
  torch::nn::LayerNorm norm1_{nullptr};
  Linear qkv_{nullptr};
  Linear proj_{nullptr};
  torch::nn::LayerNorm norm2_{nullptr};
  Linear fc1_{nullptr};
  Linear fc2_{nullptr};
};

Transformer::Transformer(const TransformerSize& size) {
  for (int64_t i = 0; i < size.depth; ++i) {
    blocks_.push_back(register_module("block" + std::to_string(i), std::make_shared<Block>(size)));
  }
  norm_ = register_module("norm", layer_norm(size.width));
}

at::Tensor Transformer::forward(const at::Tensor& tokens) {
  at::Tensor hidden = tokens;
  for (const auto& block : blocks_) {
    hidden = block->forward(hidden);
  }
  return norm_(hidden);
}

at::Tensor wave_positions(const PatchGrid& grid, int64_t width, const at::TensorOptions& options) {
  const int64_t waves = width / 4;
  const auto numbers = options.requires_grad(false);
  const at::Tensor frequencies =
      (at::arange(waves, numbers) * (-std::log(10000.0) / double(waves))).exp();
  const auto along = [&](int64_t length) {  // (length, width / 2)
    const at::Tensor angles = at::arange(length, numbers).unsqueeze(1) * frequencies;
    return at::cat({angles.sin(), angles.cos()}, 1);
  };
  const at::Tensor rows = along(grid.rows).unsqueeze(1).expand({-1, grid.columns, -1});
  const at::Tensor columns = along(grid.columns).unsqueeze(0).expand({grid.rows, -1, -1});
  return at::cat({rows, columns}, 2).flatten(0, 1);
}

Schema<TransformerSize> transformer_schema(const std::string& name, const std::string& what) {
  Schema<TransformerSize> schema;
  schema
      .add(name + "_width", &TransformerSize::width,
           "channels of a token in " + what + ", a multiple of 4")
      .at_least(4)
      .at_most(8192)
      .unit("channels");
  schema.add(name + "_depth", &TransformerSize::depth, "blocks of " + what)
      .at_least(1)
      .at_most(256);
  schema.add(name + "_heads", &TransformerSize::heads, "heads of the attention in " + what)
      .at_least(1)
      .at_most(256);
  schema.rule([name](const TransformerSize& size, std::vector<Finding>& findings) {
    if (size.width % 4 != 0) {
      findings.push_back({Finding::Severity::error, name + "_width",
                          fmt::format("must be a multiple of 4; {} is not", size.width)});
    }
    if (size.width % size.heads != 0) {
      findings.push_back(
          {Finding::Severity::error, name + "_heads",
           fmt::format("must divide {}_width = {}; {} does not", name, size.width, size.heads)});
    }
  });
  return schema;
}

}  // namespace bissl
