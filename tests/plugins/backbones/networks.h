#pragma once

#include "bissl/backbone.h"
#include "reference/golden.h"

#include <torch/nn/module.h>

#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace bissl::host::test {

/// tests/reference/golden/backbones.json.
inline const nlohmann::json& backbones() {
  static const nlohmann::json content = golden("backbones.json");
  return content;
}

/// Parameters and buffers in the order of their names.
inline std::map<std::string, at::Tensor> state_of(torch::nn::Module& module) {
  std::map<std::string, at::Tensor> tensors;
  for (const auto& item : module.named_parameters()) {
    tensors.emplace(item.key(), item.value());
  }
  for (const auto& item : module.named_buffers()) {
    tensors.emplace(item.key(), item.value());
  }
  return tensors;
}

inline std::map<std::string, std::vector<int64_t>> shapes_of(torch::nn::Module& module) {
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const auto& [name, tensor] : state_of(module)) {
    shapes[name] = tensor.sizes().vec();
  }
  return shapes;
}

inline int64_t count_parameters(torch::nn::Module& module) {
  int64_t count = 0;
  for (const at::Tensor& parameter : module.parameters()) {
    count += parameter.numel();
  }
  return count;
}

/// As set_weights in tests/reference/backbones.py. Buffers called `kept` are left as they are.
inline void set_network_weights(torch::nn::Module& module, const std::string& kept = "") {
  const c10::NoGradGuard no_grad;
  module.to(at::kDouble);
  int64_t k = -1;
  for (auto& [name, tensor] : state_of(module)) {
    ++k;
    if (!tensor.is_floating_point() || name == kept) {
      continue;
    }
    const at::Tensor values = pattern(k, tensor.sizes());
    if (tensor.dim() >= 2) {
      tensor.copy_(values * std::sqrt(12.0 / static_cast<double>(tensor[0].numel())));
    } else if (name.ends_with("bias") || name.ends_with("running_mean")) {
      tensor.copy_(values * 0.2);
    } else {
      tensor.copy_(values * 0.5 + 1);
    }
  }
}

/// Compares the gradients' norms with golden ones, a number a name.
inline void expect_gradient_norms(torch::nn::Module& module, const nlohmann::json& expected,
                                  double tolerance = 1e-9) {
  const auto norms = expected.get<std::map<std::string, double>>();
  const auto tensors = state_of(module);
  ASSERT_EQ(norms.size(), module.parameters().size());
  for (const auto& [key, size] : norms) {
    ASSERT_TRUE(tensors.at(key).grad().defined()) << key;
    EXPECT_NEAR(tensors.at(key).grad().norm().item<double>(), size, tolerance * (1 + size)) << key;
  }
}

}  // namespace bissl::host::test
