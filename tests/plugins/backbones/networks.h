#pragma once

#include "bissl/autocast.h"
#include "bissl/backbone.h"
#include "reference/golden.h"

#include <ATen/ops/zeros.h>
#include <torch/autograd.h>
#include <torch/nn/module.h>
#include <torch/utils.h>

#include <cmath>
#include <cstdint>
#include <map>
#include <set>
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

/// The features of a network in single precision are near those under LibTorch's autocast in
/// bfloat16, and the latter's derivatives, the second ones included, are finite.
inline void expect_near_in_bf16(Backbone& backbone, const at::Tensor& images) {
  const auto features = [&](bool cast) {
    const AutocastScope scope(c10::DeviceType::CPU,
                              {.enabled = cast, .type = at::kBFloat16, .cached = false});
    return backbone.forward(images).to(at::kFloat);
  };
  torch::nn::Module& module = backbone.module();
  module.eval();
  const at::Tensor single = features(false);
  const double difference =
      (features(true) - single).norm().item<double>() / single.norm().item<double>();
  EXPECT_GT(difference, 0) << "nothing was computed in bfloat16";
  EXPECT_LT(difference, 0.3);
  module.train();
  const std::vector<at::Tensor> parameters = module.parameters();
  const auto sum_of_squares = [](const std::vector<at::Tensor>& gradients) {
    at::Tensor sum = at::zeros({});
    for (const at::Tensor& gradient : gradients) {
      if (gradient.defined()) {
        EXPECT_EQ(gradient.scalar_type(), at::kFloat);
        sum = sum + gradient.square().sum();
      }
    }
    return sum;
  };
  const at::Tensor first = sum_of_squares(
      torch::autograd::grad({features(true).square().mean()}, parameters, {}, /*retain_graph=*/true,
                            /*create_graph=*/true, /*allow_unused=*/true));
  const at::Tensor second = sum_of_squares(
      torch::autograd::grad({first}, parameters, {}, /*retain_graph=*/false, /*create_graph=*/false,
                            /*allow_unused=*/true));
  EXPECT_GT(first.item<double>(), 0);
  EXPECT_TRUE(std::isfinite(first.item<double>()));
  EXPECT_TRUE(std::isfinite(second.item<double>()));
}

/// As set_weights in tests/reference/backbones.py. Buffers called `kept` are left as they are.
inline void set_network_weights(torch::nn::Module& module, const std::string& kept = "") {
  const c10::NoGradGuard no_grad;
  std::set<std::string> whole_numbers;  // which to() turns into others
  for (const auto& [name, tensor] : state_of(module)) {
    if (!tensor.is_floating_point()) {
      whole_numbers.insert(name);
    }
  }
  module.to(at::kDouble);
  int64_t k = -1;
  for (auto& [name, tensor] : state_of(module)) {
    ++k;
    if (whole_numbers.contains(name) || name == kept) {
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

/// Loss, gradient, a Hessian product and the buffers of a backbone in training.
inline std::vector<at::Tensor> trained_once(Backbone& backbone, const at::Tensor& images) {
  torch::nn::Module& module = backbone.module();
  set_network_weights(module);
  torch::manual_seed(5);  // of what is dropped
  const std::vector<at::Tensor> parameters = module.parameters();
  const at::Tensor features = backbone.forward(images);
  const at::Tensor loss = features.square().mul(pattern(2, features.sizes())).sum();
  std::vector<at::Tensor> all = torch::autograd::grad({loss}, parameters, {}, true, true);
  at::Tensor along = all[0].mul(pattern(77, all[0].sizes())).sum();
  for (size_t i = 1; i < all.size(); ++i) {
    along = along + all[i].mul(pattern(77 + static_cast<int64_t>(i), all[i].sizes())).sum();
  }
  all.push_back(loss);
  for (const at::Tensor& product :
       torch::autograd::grad({along}, parameters, {}, false, false, /*allow_unused=*/true)) {
    all.push_back(product.defined() ? product : at::zeros({1}, images.options()));
  }
  for (const at::Tensor& buffer : module.buffers()) {
    all.push_back(buffer.to(at::kDouble));
  }
  return all;
}

/// Fails unless the second backbone, which computes its blocks again, does what the first does.
inline void expect_the_same_recomputed(Backbone& plain, Backbone& again, const at::Tensor& images) {
  const auto expected = trained_once(plain, images);
  const auto found = trained_once(again, images);
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    const double size = expected[i].norm().item<double>();
    EXPECT_LE((found[i] - expected[i]).norm().item<double>(), 1e-9 * (1 + size)) << i;
  }
}

}  // namespace bissl::host::test
