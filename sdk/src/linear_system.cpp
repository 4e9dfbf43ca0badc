#include "bissl/linear_system.h"

#include "bissl/error.h"

#include <fmt/format.h>

namespace bissl {

Schema<ProductOptions> product_schema() {
  using Options = ProductOptions;
  Schema<Options> schema;
  schema
      .add(
          "products", &Options::products,
          "how H·x is got: \"exact\" by differentiating twice, \"finite-difference\" from one more "
          "gradient, \"central-difference\" from two. Differences can be further from the solution "
          "than v = u: audit them")
      .choices({"exact", "finite-difference", "central-difference"});
  schema
      .add("difference_step", &Options::difference_step,
           "length of a finite difference's shift, as a share of 1 + ‖θ‖")
      .more_than(0)
      .only_with("products", {"finite-difference", "central-difference"});
  return schema;
}

Schema<SystemOptions> system_schema() {
  Schema<SystemOptions> schema;
  add_damping(schema, &SystemOptions::damping);
  schema.embed(&SystemOptions::product, product_schema());
  return schema;
}

int64_t ProductOptions::gradients_each() const {
  if (products == "exact") {
    return 0;
  }
  return products == "central-difference" ? 2 : 1;
}

HypergradientNeeds ProductOptions::needs(int64_t of_a_solve, int64_t shared) const {
  const int64_t each = gradients_each();
  if (each == 0) {
    return {.solve = {.products = of_a_solve}, .shared = {.products = shared}};
  }
  return {.solve = {.gradients = each * of_a_solve}, .shared = {.gradients = each * shared}};
}

TensorList HessianProducts::operator()(ImplicitSystem& system, const TensorList& x) {
  if (options_.gradients_each() == 0) {
    ++products_;
    return system.hessian_product(x);
  }
  return difference(system, x);
}

TensorList HessianProducts::difference(ImplicitSystem& system, const TensorList& x) {
  const double length = norm(x);
  if (length == 0) {
    return zeros_like(x);
  }
  const double step = options_.difference_step * (1.0 + norm(system.parameters())) / length;
  TensorList shift = copy(x);
  scale(shift, step);
  TensorList result = system.gradient(shift);
  ++gradients_;
  double span = step;
  if (options_.products == "central-difference") {
    scale(shift, -1.0);
    add_scaled(result, -1.0, system.gradient(shift));
    ++gradients_;
    span = 2 * step;
  } else {
    add_scaled(result, -1.0, system.gradient({}));  // the system of a round keeps this one
  }
  scale(result, 1.0 / span);
  return result;
}

void HessianProducts::count_into(HypergradientSolution& solution) const {
  solution.hessian_products = products_;
  solution.gradients = gradients_;
}

TensorList LinearSystem::operator()(const TensorList& x) {
  TensorList product = hessian_product(x);
  scale(product, 1.0 / weight());
  add_scaled(product, 1.0, x);
  return product;
}

TensorList LinearSystem::residual(const TensorList& u, const TensorList& v) {
  TensorList rest = copy(u);
  add_scaled(rest, -1.0, (*this)(v));
  return rest;
}

HypergradientSolution LinearSystem::zero_solution(const TensorList& u) const {
  HypergradientSolution zero;
  zero.v = copy(u);
  zero.status = SolveStatus::converged;
  zero.relative_residual = 0;
  zero.damping = damping_;
  return zero;
}

void LinearSystem::finish(HypergradientSolution& solution, const TensorList& u) const {
  products_.count_into(solution);
  solution.damping = damping_;
  replace_if_diverged(solution, u);
}

void replace_if_diverged(HypergradientSolution& solution, const TensorList& u) {
  if (solution.status == SolveStatus::diverged || !all_finite(solution.v)) {
    solution.status = SolveStatus::diverged;
    solution.v = copy(u);
    solution.relative_residual = -1.0;
  }
}

TensorList WarmStart::begin(const TensorList& u) const {
  // A solve of a u that was not finite leaves such a vector; it is no beginning for the next one.
  if (last_.size() != u.size() || !all_finite(last_)) {
    return {};
  }
  for (size_t i = 0; i < u.size(); ++i) {
    if (last_[i].sizes() != u[i].sizes() || last_[i].scalar_type() != u[i].scalar_type()) {
      return {};
    }
  }
  TensorList start = copy(last_);
  for (size_t i = 0; i < u.size(); ++i) {
    start[i] = start[i].to(u[i].device());
  }
  return start;
}

NamedTensors WarmStart::state() const {
  NamedTensors state;
  for (size_t i = 0; i < last_.size(); ++i) {
    state.emplace_back(fmt::format("v/{}", i), last_[i]);
  }
  return state;
}

void WarmStart::load_state(const NamedTensors& state) {
  TensorList loaded;
  for (size_t i = 0; i < state.size(); ++i) {
    const std::string expected = fmt::format("v/{}", i);
    if (state[i].name != expected) {
      fail_input("the checkpoint holds a state \"{}\" of the warm start where \"{}\" belongs",
                 state[i].name, expected);
    }
    loaded.push_back(state[i].tensor);
  }
  last_ = copy(loaded);
}

}  // namespace bissl
