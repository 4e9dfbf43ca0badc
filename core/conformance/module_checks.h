#pragma once

#include "bissl/tensor_list.h"

#include <string>
#include <vector>

namespace torch::nn {
class Module;
}

namespace bissl::host {

// What the checks of components with a module have in common.

/// Name, shape and type of each parameter and buffer, in order.
std::vector<std::string> structure_of(const torch::nn::Module& module);

/// Throws a Violation where the module differs from `before`; `when` says after what.
void require_structure(const torch::nn::Module& module, const std::vector<std::string>& before,
                       const char* when);

/// Throws a Violation where two instances differ in names, shapes or types, or share a tensor.
void require_alike(const torch::nn::Module& first, const torch::nn::Module& second);

/// Copies of all parameters and buffers, to compare with.
class ModuleCopy {
 public:
  explicit ModuleCopy(const torch::nn::Module& module);
  /// The name of the first tensor of the module that is not as it was, or an empty text.
  std::string changed(const torch::nn::Module& module) const;

 private:
  NamedTensors state_;
};

}  // namespace bissl::host
