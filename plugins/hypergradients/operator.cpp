#include "operator.h"

namespace bissl {

HypergradientNeeds product_needs(const ProductOptions& options, int64_t products, int64_t shared) {
  if (options.products == "exact") {
    return {.hessian_products = products, .shared_products = shared};
  }
  const int64_t each = options.products == "central-difference" ? 2 : 1;
  return {.gradients = each * products, .shared_gradients = each * shared};
}

SystemOperator::SystemOperator(LowerProblem& lower, const ProductOptions& options)
    : lower_(lower), options_(options), weight_(lower.lambda() + options.damping) {}

TensorList SystemOperator::operator()(const TensorList& x) {
  TensorList product = hessian_product(x);
  scale(product, 1.0 / weight_);
  add_scaled(product, 1.0, x);
  return product;
}

TensorList SystemOperator::hessian_product(const TensorList& x) {
  if (options_.products == "exact") {
    ++products_;
    return lower_.hessian_product(x);
  }
  return difference(x);
}

TensorList SystemOperator::difference(const TensorList& x) {
  const double length = norm(x);
  if (length == 0) {
    return zeros_like(x);
  }
  const double step = options_.difference_step * (1.0 + norm(lower_.parameters())) / length;
  TensorList shift = copy(x);
  scale(shift, step);
  TensorList result = lower_.gradient(shift);
  ++gradients_;
  double span = step;
  if (options_.products == "central-difference") {
    scale(shift, -1.0);
    add_scaled(result, -1.0, lower_.gradient(shift));
    ++gradients_;
    span = 2 * step;
  } else {
    add_scaled(result, -1.0, lower_.gradient({}));  // the lower problem keeps this one
  }
  scale(result, 1.0 / span);
  return result;
}

void SystemOperator::count_into(HypergradientSolution& solution) const {
  solution.hessian_products = products_;
  solution.gradients = gradients_;
}

HypergradientSolution zero_solution(const TensorList& u) {
  HypergradientSolution zero;
  zero.v = copy(u);
  zero.status = SolveStatus::converged;
  zero.relative_residual = 0;
  return zero;
}

void replace_if_diverged(HypergradientSolution& solution, const TensorList& u) {
  if (solution.status == SolveStatus::diverged || !all_finite(solution.v)) {
    solution.status = SolveStatus::diverged;
    solution.v = copy(u);
    solution.relative_residual = -1.0;
  }
}

}  // namespace bissl
