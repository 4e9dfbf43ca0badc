#include "small_models.h"

#include <torch/nn/functional/activation.h>
#include <torch/types.h>

namespace bissl::host::test {

SmallBackbone::SmallBackbone() : module_(std::make_shared<torch::nn::Module>()) {
  first_ = module_->register_module("first", torch::nn::Linear(4, 4));
  normalisation_ = module_->register_module("normalisation", torch::nn::BatchNorm1d(4));
  second_ = module_->register_module("second", torch::nn::Linear(4, 3));
  module_->to(torch::kDouble);
}

at::Tensor SmallBackbone::forward(const at::Tensor& images) {
  return torch::tanh(second_(torch::tanh(normalisation_(first_(images)))));
}

SmallPretext::SmallPretext(double noise)
    : noise_(noise), module_(std::make_shared<torch::nn::Module>()) {
  head_ = module_->register_module("head", torch::nn::Linear(3, 2));
  module_->to(torch::kDouble);
}

at::Tensor SmallPretext::loss(Backbone& backbone, const Batch& batch) {
  const Views& views = batch.views;
  at::Tensor first = head_(backbone.forward(views[0]));
  const at::Tensor second = head_(backbone.forward(views[1]));
  if (noise_ != 0) {
    first = first + noise_ * torch::randn_like(first) * first;
  }
  return -(torch::log_softmax(torch::mm(first, second.t()), 1).diagonal()).mean() +
         0.1 * (first - second).pow(2).mean();
}

SmallDownstream::SmallDownstream() : module_(std::make_shared<torch::nn::Module>()) {
  head_ = module_->register_module("head", torch::nn::Linear(3, 2));
  module_->to(torch::kDouble);
}

at::Tensor SmallDownstream::loss(const at::Tensor& outputs, const TargetBatch& targets) {
  return torch::nll_loss(torch::log_softmax(outputs, 1), targets.dense);
}

void PlainDescent::step(double lr_scale) {
  const torch::NoGradGuard no_grad;
  for (auto& [name, parameter] : parameters_) {
    parameter.add_(parameter.grad(), -lr_ * lr_scale);
  }
}

Views small_views(int64_t views, int64_t samples) {
  const at::Tensor places =
      torch::arange(views * samples * 4, torch::kDouble).view({views, samples, 4});
  return (torch::sin(places * 1.7) + 0.3 * torch::cos(places * places * 0.05)).unbind();
}

TargetBatch small_targets(int64_t samples) { return {torch::arange(samples, torch::kLong) % 2}; }

}  // namespace bissl::host::test
