#pragma once

#include "bissl/backbone.h"
#include "reference/golden.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <torch/autograd.h>
#include <torch/nn/modules/linear.h>

#include <memory>
#include <vector>

namespace bissl::host::test {

/// Features of images of any size with three channels, as tests/reference/pretext.py has them:
/// tanh(W·(mean of each channel) + b), in double precision.
class ChannelBackbone : public Backbone {
 public:
  ChannelBackbone() : layer_(3, 6) { layer_->to(at::kDouble); }
  at::Tensor forward(const at::Tensor& images) override {
    return at::tanh(layer_(images.mean({2, 3})));
  }
  int64_t features() const override { return 6; }
  torch::nn::Module& module() override { return *layer_; }

 private:
  torch::nn::Linear layer_;
};

/// Gives parameter i the numbers 2·pattern(k + i).
inline void fill(int64_t k, const std::vector<at::Tensor>& parameters) {
  const c10::NoGradGuard no_grad;
  for (const at::Tensor& parameter : parameters) {
    parameter.copy_(pattern(k++, parameter.sizes()) * 2);
  }
}

/// Those of one module after the other.
inline std::vector<at::Tensor> parameters_of(
    const std::vector<std::shared_ptr<torch::nn::Module>>& modules) {
  std::vector<at::Tensor> all;
  for (const auto& module : modules) {
    for (const at::Tensor& parameter : module->parameters()) {
      all.push_back(parameter);
    }
  }
  return all;
}

/// A step of gradient descent at the rate of tests/reference/pretext.py.
inline void descend(const std::vector<at::Tensor>& parameters,
                    const std::vector<at::Tensor>& gradients) {
  const c10::NoGradGuard no_grad;
  for (size_t i = 0; i < parameters.size(); ++i) {
    parameters[i].sub_(gradients[i], 0.3);
  }
}

/// H·x with x of pattern(77), pattern(78), …
inline std::vector<at::Tensor> hessian_product(const at::Tensor& loss,
                                               const std::vector<at::Tensor>& parameters) {
  const std::vector<at::Tensor> gradients =
      torch::autograd::grad({loss}, parameters, {}, true, /*create_graph=*/true);
  at::Tensor along = at::zeros({}, at::kDouble);
  for (size_t i = 0; i < parameters.size(); ++i) {
    along = along + (gradients[i] * pattern(77 + int64_t(i), parameters[i].sizes())).sum();
  }
  return torch::autograd::grad({along}, parameters);
}

/// The tensors as one row.
inline at::Tensor flat(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> rows;
  for (const at::Tensor& tensor : tensors) {
    rows.push_back(tensor.detach().flatten());
  }
  return at::cat(rows);
}

}  // namespace bissl::host::test
