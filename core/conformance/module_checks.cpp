#include "conformance/module_checks.h"

#include "conformance/checker.h"
#include "models/module_state.h"

#include <fmt/ranges.h>

namespace bissl::host {

std::vector<std::string> structure_of(const torch::nn::Module& module) {
  std::vector<std::string> structure;
  for (const auto& [name, tensor] : module_state(module)) {
    structure.push_back(fmt::format("\"{}\" of shape [{}] and type {}", name,
                                    fmt::join(tensor.sizes(), ", "),
                                    std::string(tensor.dtype().name())));
  }
  return structure;
}

void require_structure(const torch::nn::Module& module, const std::vector<std::string>& before,
                       const char* when) {
  const std::vector<std::string> now = structure_of(module);
  const std::string advice =
      "names, shapes and types must be final when the factory returns, or no later stage can load "
      "the weights";
  for (size_t i = 0; i < std::min(before.size(), now.size()); ++i) {
    require(before[i] == now[i], "{}, {} became {}; {}", when, before[i], now[i], advice);
  }
  require(now.size() <= before.size(), "{}, there is {} more: {}; {}", when,
          now.size() - before.size(), now.size() > before.size() ? now.back() : "", advice);
  require(now.size() >= before.size(), "{}, {} is gone; {}", when,
          now.size() < before.size() ? before.back() : "", advice);
}

void require_alike(const torch::nn::Module& first, const torch::nn::Module& second) {
  require_structure(second, structure_of(first), "in another instance");
  const NamedTensors a = module_state(first);
  const NamedTensors b = module_state(second);
  for (size_t i = 0; i < a.size(); ++i) {
    require(a[i].tensor.numel() == 0 || a[i].tensor.data_ptr() != b[i].tensor.data_ptr(),
            "two instances share \"{}\"; each must own its tensors", a[i].name);
  }
}

ModuleCopy::ModuleCopy(const torch::nn::Module& module) {
  for (const auto& [name, tensor] : module_state(module)) {
    state_.emplace_back(name, tensor.detach().clone());
  }
}

std::string ModuleCopy::changed(const torch::nn::Module& module) const {
  const NamedTensors now = module_state(module);
  for (size_t i = 0; i < state_.size() && i < now.size(); ++i) {
    if (!now[i].tensor.equal(state_[i].tensor)) {
      return now[i].name;
    }
  }
  return "";
}

}  // namespace bissl::host
