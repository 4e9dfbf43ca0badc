#include "conformance/differences.h"

#include "bilevel/hessian.h"
#include "conformance/checker.h"
#include "conformance/samples.h"
#include "models/gradients.h"

#include <c10/core/GradMode.h>

#include <cmath>

namespace bissl::host {
namespace {

/// What `evaluate` gives at parameters + step·direction; they come back to the bit.
template <class Evaluate>
auto at_shift(const TensorList& parameters, const TensorList& direction, double step,
              const Evaluate& evaluate) {
  const TensorList saved = copy(parameters);
  TensorList data;
  for (const at::Tensor& parameter : parameters) {
    data.push_back(parameter.variable_data());
  }
  add_scaled(data, step, direction);
  const auto restore = [&] {
    const c10::NoGradGuard no_grad;
    for (size_t i = 0; i < data.size(); ++i) {
      data[i].copy_(saved[i]);
    }
  };
  try {
    auto result = evaluate();
    restore();
    return result;
  } catch (...) {
    restore();
    throw;
  }
}

/// A direction of length 1: a step along it is that long whatever the number of parameters.
TensorList unit_direction(const TensorList& parameters, uint64_t seed) {
  TensorList direction = normal_like(parameters, seed);
  scale(direction, 1.0 / norm(direction));
  return direction;
}

}  // namespace

void require_gradient(const LossFunction& loss, const TensorList& parameters) {
  const TensorList direction = unit_direction(parameters, 11);
  const double found = dot(gradients_of(loss(), parameters), direction);
  constexpr double step = 1e-6;
  const auto value = [&](double h) {
    return at_shift(parameters, direction, h, [&] { return loss().item<double>(); });
  };
  const double expected = (value(step) - value(-step)) / (2 * step);
  const double scale = std::abs(found) + std::abs(expected) + 1e-6;
  require(std::abs(found - expected) <= 1e-4 * scale,
          "the gradient along a direction is {}, a difference of losses gives {}", found, expected);
}

void require_symmetric_hessian(const LossFunction& loss, const TensorList& parameters) {
  const TensorList x = unit_direction(parameters, 13);
  const TensorList y = unit_direction(parameters, 14);
  const HessianOperator hessian(loss(), parameters);
  const TensorList product_x = hessian.product(x);
  const TensorList product_y = hessian.product(y);
  require(all_finite(product_x) && all_finite(product_y), "H·x is not finite");
  const double size = norm(product_x) + norm(product_y) + 1e-8;
  const double left = dot(y, product_x);
  const double right = dot(x, product_y);
  require(std::abs(left - right) <= 1e-6 * size,
          "yᵀHx is {} and xᵀHy is {}: a Hessian is symmetric, so a derivative of an operation of "
          "your own is wrong",
          left, right);
  TensorList sum = copy(x);
  scale(sum, 2.0);
  add_scaled(sum, 3.0, y);
  TensorList rest = hessian.product(sum);
  add_scaled(rest, -2.0, product_x);
  add_scaled(rest, -3.0, product_y);
  require(norm(rest) <= 1e-6 * size,
          "H(2x + 3y) differs from 2·Hx + 3·Hy by {:.2g} of its size: an operation of your own is "
          "not linear in the gradient that it is given",
          norm(rest) / size);
}

void require_second_derivative(const LossFunction& loss, const TensorList& parameters) {
  const TensorList direction = unit_direction(parameters, 12);
  const TensorList product = HessianOperator(loss(), parameters).product(direction);
  constexpr double step = 1e-7;
  const auto gradient = [&](double h) {
    return at_shift(parameters, direction, h, [&] { return gradients_of(loss(), parameters); });
  };
  TensorList difference = gradient(step);
  add_scaled(difference, -1.0, gradient(-step));
  scale(difference, 1.0 / (2 * step));
  const double size = norm(difference) + norm(product);
  add_scaled(difference, -1.0, product);
  // Rounding of gradients is amplified by the step: below that there is nothing to compare.
  const double rounding = 1e-8 * (1 + norm(gradients_of(loss(), parameters)));
  require(norm(difference) <= 1e-3 * size + rounding,
          "H·x differs from a difference of gradients by {:.2g} of its size",
          norm(difference) / size);
}

}  // namespace bissl::host
