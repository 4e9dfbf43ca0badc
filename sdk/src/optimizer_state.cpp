#include "bissl/optimizer_state.h"

#include "bissl/error.h"

#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace bissl {

StateBuffers::StateBuffers(std::string name, const NamedTensors& parameters) {
  tensors_.reserve(parameters.size());
  for (const auto& [parameter_name, parameter] : parameters) {
    tensors_.emplace_back(fmt::format("{}/{}", name, parameter_name),
                          at::zeros_like(parameter.detach()));
  }
}

void StateBuffers::save(NamedTensors& state) const {
  state.insert(state.end(), tensors_.begin(), tensors_.end());
}

void StateBuffers::check(const NamedTensors& state) const {
  for (const auto& [name, tensor] : tensors_) {
    find_state(state, name, tensor);
  }
}

void StateBuffers::load(const NamedTensors& state) {
  check(state);
  const c10::NoGradGuard no_grad;
  for (auto& [name, tensor] : tensors_) {
    tensor.copy_(find_state(state, name, tensor));
  }
}

const at::Tensor& find_state(const NamedTensors& state, const std::string& name,
                             const at::Tensor& shape_of) {
  const auto found = std::find_if(state.begin(), state.end(),
                                  [&](const auto& entry) { return entry.name == name; });
  if (found == state.end()) {
    fail_input("the optimizer's saved state has no \"{}\"", name);
  }
  if (found->tensor.sizes() != shape_of.sizes()) {
    fail_input("the optimizer's saved state \"{}\" has shape [{}], expected [{}]", name,
               fmt::join(found->tensor.sizes(), ", "), fmt::join(shape_of.sizes(), ", "));
  }
  return found->tensor;
}

bool applies_to(const at::Tensor& parameter, bool one_dimensional) {
  return one_dimensional || parameter.dim() > 1;
}

}  // namespace bissl
