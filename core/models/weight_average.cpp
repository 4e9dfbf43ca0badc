#include "models/weight_average.h"

#include "bissl/error.h"
#include "models/module_state.h"

#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <map>

namespace bissl::host {
namespace {

constexpr const char* steps_name = "steps";

}  // namespace

WeightAverage::WeightAverage(double decay, Modules modules)
    : decay_(decay), modules_(std::move(modules)) {
  for (const auto& [name, tensor] : weights()) {
    average_.emplace_back(name, tensor.detach().clone());
  }
}

NamedTensors WeightAverage::weights() const {
  NamedTensors all;
  for (const auto& [module_name, module] : modules_) {
    for (const auto& [name, tensor] : module_state(*module)) {
      all.emplace_back(module_name + "." + name, tensor);
    }
  }
  return all;
}

void WeightAverage::update() {
  const c10::NoGradGuard no_grad;
  ++steps_;
  const auto t = static_cast<double>(steps_);
  const double share = 1.0 - std::min(decay_, (1.0 + t) / (10.0 + t));
  const NamedTensors now = weights();
  for (size_t i = 0; i < now.size(); ++i) {
    at::Tensor& average = average_[i].tensor;
    if (average.is_floating_point()) {
      average.lerp_(now[i].tensor.detach(), share);
    } else {
      average.copy_(now[i].tensor);
    }
  }
}

void WeightAverage::put() const {
  const c10::NoGradGuard no_grad;
  NamedTensors now = weights();
  for (size_t i = 0; i < now.size(); ++i) {
    now[i].tensor.copy_(average_[i].tensor);
  }
}

void WeightAverage::swap() {
  const c10::NoGradGuard no_grad;
  NamedTensors now = weights();
  for (size_t i = 0; i < now.size(); ++i) {
    const at::Tensor weights = now[i].tensor.detach().clone();
    now[i].tensor.copy_(average_[i].tensor);
    average_[i].tensor.copy_(weights);
  }
}

NamedTensors WeightAverage::state() const {
  NamedTensors state = average_;
  state.emplace_back(steps_name, at::tensor(steps_));
  return state;
}

void WeightAverage::load_state(const NamedTensors& state) {
  const std::map<std::string, at::Tensor> given = by_name(state);
  const auto find = [&](const std::string& name, const at::Tensor& like) {
    const auto found = given.find(name);
    if (found == given.end() || found->second.sizes() != like.sizes()) {
      fail_input("the checkpoint's average of the weights has no \"{}\" of the network's shape",
                 name);
    }
    return found->second;
  };
  TensorList values;
  for (const auto& [name, tensor] : average_) {
    values.push_back(find(name, tensor));
  }
  const auto steps = find(steps_name, at::tensor(steps_)).item<int64_t>();
  const c10::NoGradGuard no_grad;
  for (size_t i = 0; i < values.size(); ++i) {
    average_[i].tensor.copy_(values[i]);
  }
  steps_ = steps;
}

}  // namespace bissl::host
