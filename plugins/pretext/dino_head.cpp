#include "dino_head.h"

#include "vectors.h"

#include "bissl/modules.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <torch/nn/modules/activation.h>

namespace bissl {
namespace {

constexpr double initial_deviation = 0.02;

torch::nn::Sequential make_layers(int64_t features, const DinoHeadOptions& options) {
  torch::nn::Sequential layers;
  int64_t in = features;
  const auto add = [&](int64_t width) {
    Linear layer(in, width);
    const c10::NoGradGuard no_grad;
    layer->weight.normal_(0.0, initial_deviation);
    layer->bias.zero_();
    layers->push_back(layer);
    in = width;
  };
  for (const int64_t width : options.hidden) {
    add(width);
    if (options.batch_norm) {
      layers->push_back(BatchNorm(width));
    }
    layers->push_back(torch::nn::GELU());
  }
  add(options.bottleneck);
  return layers;
}

}  // namespace

DinoHeadImpl::DinoHeadImpl(int64_t features, const DinoHeadOptions& options)
    : layers_(register_module("layers", make_layers(features, options))) {
  const at::Tensor rows = at::zeros({options.prototypes, options.bottleneck});
  rows.normal_(0.0, initial_deviation);
  direction_ = register_parameter("prototypes", unit(rows));
  if (options.scale_prototypes) {
    length_ = register_parameter("prototype_lengths", at::ones({options.prototypes, 1}));
  }
}

at::Tensor DinoHeadImpl::forward(const at::Tensor& features, bool frozen) {
  at::Tensor rows = unit(direction_);
  if (length_.defined()) {
    rows = rows * length_;
  }
  return products(unit(layers_->forward(features)), frozen ? rows.detach() : rows);
}

}  // namespace bissl
