#include "conformance/optimizer_trial.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>

namespace bissl::host {

Quadratic::Quadratic(const Checker& checker, const NamedTensors& of) : parameters(of) {
  make_targets();
  optimizer = checker.make<Optimizer>({parameters});
}

Quadratic::Quadratic(const ComponentChoice& choice) : parameters(small_parameters()) {
  make_targets();
  optimizer = choice.create<Optimizer>({parameters});
}

void Quadratic::make_targets() {
  for (const auto& entry : parameters) {
    targets_.push_back(normal_numbers(entry.tensor.sizes(), 51).to(at::kFloat) * 0.1);
  }
}

double Quadratic::loss() const {
  const c10::NoGradGuard no_grad;
  double sum = 0;
  for (size_t i = 0; i < parameters.size(); ++i) {
    sum += 0.5 * (parameters[i].tensor - targets_[i]).square().sum().item<double>();
  }
  return sum;
}

TensorList Quadratic::gradients() const {
  const c10::NoGradGuard no_grad;
  TensorList gradients;
  for (size_t i = 0; i < parameters.size(); ++i) {
    gradients.push_back(parameters[i].tensor.detach() - targets_[i]);
  }
  return gradients;
}

void Quadratic::give_gradients() {
  const TensorList now = gradients();
  for (size_t i = 0; i < parameters.size(); ++i) {
    parameters[i].tensor.mutable_grad() = now[i];
  }
}

void Quadratic::step(double lr_scale) {
  const c10::NoGradGuard no_grad;
  give_gradients();
  optimizer->step(lr_scale);
}

void Quadratic::step_without_gradients(double lr_scale) {
  const c10::NoGradGuard no_grad;
  for (auto& entry : parameters) {
    entry.tensor.mutable_grad() = at::zeros_like(entry.tensor);
  }
  optimizer->step(lr_scale);
}

TensorList Quadratic::values() const {
  TensorList values;
  for (const auto& entry : parameters) {
    values.push_back(entry.tensor.detach().clone());
  }
  return values;
}

void Quadratic::set(const TensorList& values) {
  const c10::NoGradGuard no_grad;
  for (size_t i = 0; i < values.size(); ++i) {
    at::Tensor parameter = parameters[i].tensor;
    parameter.copy_(values[i]);
  }
}

bool same(const TensorList& a, const TensorList& b) {
  if (a.size() != b.size()) {
    return false;
  }
  for (size_t i = 0; i < a.size(); ++i) {
    if (!a[i].equal(b[i])) {
      return false;
    }
  }
  return true;
}

NamedTensors copy_of(const NamedTensors& state) {
  NamedTensors copies;
  for (const auto& [name, tensor] : state) {
    copies.emplace_back(name, tensor.clone());
  }
  return copies;
}

}  // namespace bissl::host
