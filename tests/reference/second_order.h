#pragma once

#include "bissl/tensor_list.h"
#include "reference/golden.h"

#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>

#include <functional>

namespace bissl::host::test {

/// Fails unless the product of the Hessian of `loss` with a vector, by differentiating twice, is
/// the central difference of gradients along that vector. `parameters` are double leaves.
inline void expect_hessian_products(TensorList parameters, const std::function<at::Tensor()>& loss,
                                    double tolerance) {
  TensorList x;
  for (const at::Tensor& parameter : parameters) {
    x.push_back(pattern(77 + static_cast<int64_t>(x.size()), parameter.sizes()));
  }
  const auto gradient = [&](bool create_graph) {
    return torch::autograd::grad({loss()}, parameters, {}, true, create_graph);
  };
  const TensorList first = gradient(true);
  at::Tensor along = first[0].mul(x[0]).sum();
  for (size_t i = 1; i < x.size(); ++i) {
    along = along + first[i].mul(x[i]).sum();
  }
  TensorList product =
      torch::autograd::grad({along}, parameters, {}, {}, false, /*allow_unused=*/true);
  for (size_t i = 0; i < product.size(); ++i) {
    if (!product[i].defined()) {
      product[i] = parameters[i].detach().mul(0);
    }
  }
  const double step = 1e-5 / norm(x);
  const auto shift = [&](double by) { add_scaled(parameters, by * step, x); };
  shift(1);
  TensorList difference = gradient(false);
  shift(-2);
  add_scaled(difference, -1, gradient(false));
  shift(1);
  scale(difference, 1 / (2 * step));
  const double size = norm(difference);
  EXPECT_GT(size, 1e-3) << "nothing to compare";
  add_scaled(difference, -1, product);
  EXPECT_LT(norm(difference), tolerance * size);
}

}  // namespace bissl::host::test
