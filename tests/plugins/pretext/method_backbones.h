#pragma once

#include "bissl/backbone.h"
#include "bissl/backbone_abilities.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/where.h>
#include <torch/nn/modules/linear.h>

#include <memory>
#include <string>
#include <string_view>

namespace bissl::host::test {

// The backbones of tests/reference/methods.py, in double precision.

class MomentBackbone : public Backbone {
 public:
  MomentBackbone() : layer_(9, 6) { layer_->to(at::kDouble); }
  at::Tensor forward(const at::Tensor& images) override {
    const at::Tensor x = at::linspace(-1, 1, images.size(3), images.options());
    const at::Tensor y = at::linspace(-1, 1, images.size(2), images.options()).unsqueeze(1);
    return at::tanh(layer_(
        at::cat({images.mean({2, 3}), (images * x).mean({2, 3}), (images * y).mean({2, 3})}, 1)));
  }
  int64_t features() const override { return 6; }
  torch::nn::Module& module() override { return *layer_; }

 private:
  torch::nn::Linear layer_;
};

/// Patches of 2x2 pixels, mixed with their mean; one extra token, which is the features.
class PatchBackbone : public Backbone, public Tokens, public FeatureMaps {
 public:
  PatchBackbone() {
    embed_ = module_->register_module("embed", torch::nn::Linear(12, width));
    places_ = module_->register_module(
        "places", torch::nn::Linear(torch::nn::LinearOptions(2, width).bias(false)));
    mix_ = module_->register_module("mix", torch::nn::Linear(width, width));
    module_->to(at::kDouble);
  }

  at::Tensor forward(const at::Tensor& images) override { return tokens(images, {}).select(1, 0); }
  int64_t features() const override { return width; }
  torch::nn::Module& module() override { return *module_; }
  void* capability(std::string_view id) override { return provide<Tokens, FeatureMaps>(*this, id); }

  Patch patch() const override { return {side, side}; }
  int64_t token_width() const override { return width; }
  int64_t extra_tokens() const override { return 1; }
  at::Tensor tokens(const at::Tensor& images, const PatchSelection& selection) override {
    const int64_t rows = images.size(2) / side;
    const int64_t columns = images.size(3) / side;
    at::Tensor embedded = embed_(images.unfold(2, side, side)
                                     .unfold(3, side, side)
                                     .permute({0, 2, 3, 1, 4, 5})
                                     .flatten(1, 2)
                                     .flatten(2));
    if (selection.masked.defined()) {
      embedded = at::where(selection.masked.unsqueeze(2), selection.mask_token, embedded);
    }
    const at::Tensor y = at::linspace(-1, 1, rows, images.options()).repeat_interleave(columns);
    const at::Tensor x = at::linspace(-1, 1, columns, images.options()).repeat({rows});
    embedded = embedded + places_(at::stack({y, x}, 1));
    if (selection.kept.defined()) {
      embedded = embedded.gather(1, selection.kept.unsqueeze(2).expand({-1, -1, width}));
    }
    const at::Tensor hidden = at::tanh(embedded);
    const at::Tensor mixed = at::tanh(mix_(hidden + hidden.mean(1, /*keepdim=*/true)));
    return at::cat({mixed.mean(1, /*keepdim=*/true), mixed}, 1);
  }

  std::vector<Level> map_levels() const override { return {{.channels = width, .stride = side}}; }
  TensorList maps(const at::Tensor& images) override {
    const at::Tensor all = tokens(images, {});
    return {all.narrow(1, 1, all.size(1) - 1)
                .transpose(1, 2)
                .reshape({images.size(0), width, images.size(2) / side, images.size(3) / side})};
  }

 private:
  static constexpr int64_t side = 2;
  static constexpr int64_t width = 6;
  std::shared_ptr<torch::nn::Module> module_ = std::make_shared<torch::nn::Module>();
  torch::nn::Linear embed_{nullptr};
  torch::nn::Linear places_{nullptr};
  torch::nn::Linear mix_{nullptr};
};

/// The same without tokens: a convolutional network, as far as a task can see.
class MapBackbone : public PatchBackbone {
 public:
  void* capability(std::string_view id) override { return provide<FeatureMaps>(*this, id); }
};

inline std::shared_ptr<Backbone> backbone_of(const std::string& name) {
  if (name == "patches") {
    return std::make_shared<PatchBackbone>();
  }
  if (name == "maps") {
    return std::make_shared<MapBackbone>();
  }
  return std::make_shared<MomentBackbone>();
}

}  // namespace bissl::host::test
