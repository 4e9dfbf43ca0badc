#include "layer_derivatives.h"

#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/utils.h>

#include <cmath>
#include <string>

namespace bissl::host {

TensorList gradients(const at::Tensor& scalar, const TensorList& inputs, bool more) {
  TensorList result = torch::autograd::grad({scalar}, inputs, {}, true, more, true);
  for (size_t i = 0; i < result.size(); ++i) {
    result[i] = result[i].defined() ? result[i] : at::zeros_like(inputs[i]);
  }
  return result;
}

double relative_difference(const TensorList& a, const TensorList& b) {
  double squared = 0;
  double scale = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    squared += (a[i] - b[i]).detach().to(at::kDouble).square().sum().item<double>();
    scale += b[i].detach().to(at::kDouble).square().sum().item<double>();
  }
  return scale > 0 ? std::sqrt(squared / scale) : std::sqrt(squared);
}

namespace {

/// A scalar, its gradient, a derivative of that along random directions, and one more.
struct Derivatives {
  at::Tensor output;
  TensorList first;
  TensorList second;
  TensorList third;
};

/// Σ fields·directions: what a Hessian product differentiates.
at::Tensor along(const TensorList& fields, const TensorList& directions) {
  at::Tensor sum = at::zeros({}, fields[0].options());
  for (size_t i = 0; i < fields.size(); ++i) {
    sum = sum + (fields[i] * directions[i]).sum();
  }
  return sum;
}

TensorList directions_for(const TensorList& inputs, uint64_t seed) {
  torch::manual_seed(seed);
  TensorList directions;
  for (const at::Tensor& input : inputs) {
    directions.push_back(at::randn_like(input, at::MemoryFormat::Contiguous));
  }
  return directions;
}

Derivatives derivatives(const Layer& layer, const TensorList& inputs, bool third) {
  Derivatives result;
  result.output = layer(inputs);
  torch::manual_seed(7);
  const at::Tensor weights = at::randn_like(result.output, at::MemoryFormat::Contiguous);
  // Cubic in the output, so that no derivative up to the third is trivial.
  const at::Tensor scalar =
      (weights * result.output * (result.output * result.output * 0.1 + 1.0)).sum();
  result.first = gradients(scalar, inputs, true);
  const at::Tensor product = along(result.first, directions_for(inputs, 8));
  result.second = gradients(product, inputs, third);
  if (third) {
    result.third = gradients(along(result.second, directions_for(inputs, 9)), inputs, false);
  }
  return result;
}

/// Input by input, in the orders that `wanted` has.
void expect_near(const Derivatives& found, const Derivatives& wanted) {
  const double bound = wanted.output.scalar_type() == at::kDouble ? 1e-10 : 1e-5;
  EXPECT_LE(relative_difference({found.output}, {wanted.output}), bound);
  for (size_t i = 0; i < wanted.first.size(); ++i) {
    SCOPED_TRACE("input " + std::to_string(i));
    EXPECT_LE(relative_difference({found.first[i]}, {wanted.first[i]}), bound);
    EXPECT_LE(relative_difference({found.second[i]}, {wanted.second[i]}), bound);
    if (!wanted.third.empty()) {
      EXPECT_LE(relative_difference({found.third[i]}, {wanted.third[i]}), bound);
    }
  }
}

}  // namespace

void expect_equal(const Layer& ours, const Layer& theirs, const TensorList& inputs) {
  const Derivatives wanted = derivatives(theirs, inputs, false);
  for (const bool with_graph : {false, true}) {
    expect_near(derivatives(ours, inputs, with_graph), wanted);
  }
}

void expect_equal_to_third(const Layer& ours, const Layer& theirs, const TensorList& inputs) {
  expect_near(derivatives(ours, inputs, true), derivatives(theirs, inputs, true));
}

void expect_true_derivatives(const Layer& layer, const TensorList& inputs) {
  const auto moved = [&](double step, uint64_t seed) {
    const TensorList directions = directions_for(inputs, seed);
    TensorList result;
    for (size_t i = 0; i < inputs.size(); ++i) {
      result.push_back((inputs[i].detach() + step * directions[i]).requires_grad_());
    }
    return derivatives(layer, result, false);
  };
  const double step = 1e-5;
  const auto difference = [&](uint64_t seed, TensorList Derivatives::*member) {
    const Derivatives ahead = moved(step, seed);
    const Derivatives behind = moved(-step, seed);
    TensorList result;
    for (size_t i = 0; i < inputs.size(); ++i) {
      result.push_back(((ahead.*member)[i] - (behind.*member)[i]) / (2 * step));
    }
    return result;
  };
  const Derivatives exact = derivatives(layer, inputs, true);
  EXPECT_LE(relative_difference(exact.second, difference(8, &Derivatives::first)), 1e-7);
  EXPECT_LE(relative_difference(exact.third, difference(9, &Derivatives::second)), 1e-7);
}

}  // namespace bissl::host
