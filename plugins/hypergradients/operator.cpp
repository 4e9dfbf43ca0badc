#include "operator.h"

namespace bissl {

int64_t ProductOptions::gradients_each() const {
  if (products == "exact") {
    return 0;
  }
  return products == "central-difference" ? 2 : 1;
}

HypergradientNeeds product_needs(const ProductOptions& options, int64_t products, int64_t shared) {
  const int64_t each = options.gradients_each();
  if (each == 0) {
    return {.hessian_products = products, .shared_products = shared};
  }
  return {.gradients = each * products, .shared_gradients = each * shared};
}

TensorList HessianProducts::operator()(LowerProblem& lower, const TensorList& x) {
  if (options_.gradients_each() == 0) {
    ++products_;
    return lower.hessian_product(x);
  }
  return difference(lower, x);
}

TensorList HessianProducts::difference(LowerProblem& lower, const TensorList& x) {
  const double length = norm(x);
  if (length == 0) {
    return zeros_like(x);
  }
  const double step = options_.difference_step * (1.0 + norm(lower.parameters())) / length;
  TensorList shift = copy(x);
  scale(shift, step);
  TensorList result = lower.gradient(shift);
  ++gradients_;
  double span = step;
  if (options_.products == "central-difference") {
    scale(shift, -1.0);
    add_scaled(result, -1.0, lower.gradient(shift));
    ++gradients_;
    span = 2 * step;
  } else {
    add_scaled(result, -1.0, lower.gradient({}));  // the lower problem of a round keeps this one
  }
  scale(result, 1.0 / span);
  return result;
}

void HessianProducts::count_into(HypergradientSolution& solution) const {
  solution.hessian_products = products_;
  solution.gradients = gradients_;
}

TensorList SystemOperator::operator()(const TensorList& x) {
  TensorList product = hessian_product(x);
  scale(product, 1.0 / weight_);
  add_scaled(product, 1.0, x);
  return product;
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
