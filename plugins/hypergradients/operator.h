#pragma once

#include "bissl/hypergradient.h"
#include "bissl/parameters.h"

#include <cstdint>
#include <string>

// What the approximators of this folder share: the operator of the linear system and the options
// that choose how it is applied.
namespace bissl {

/// How H·x is got. Aggregates of options derive from it.
struct ProductOptions {
  std::string products = "exact";
  double difference_step = 1e-2;

  /// Shifted gradients that a product takes: 0 for exact ones.
  int64_t gradients_each() const;
};

/// Options of everything that solves (I + H/(λ + δ))·v = u by products.
struct SystemOptions : ProductOptions {
  double damping = 10.0;
};

/// Declares ProductOptions for an aggregate that derives from them.
template <class Options>
void add_product_options(Schema<Options>& schema) {
  schema
      .add(
          "products", static_cast<std::string Options::*>(&ProductOptions::products),
          "how H·x is got: \"exact\" by differentiating twice, \"finite-difference\" from one more "
          "gradient, \"central-difference\" from two. Differences can be further from the solution "
          "than v = u: audit them")
      .choices({"exact", "finite-difference", "central-difference"});
  schema
      .add("difference_step", static_cast<double Options::*>(&ProductOptions::difference_step),
           "length of a finite difference's shift, as a share of 1 + ‖θ‖")
      .more_than(0);
  schema.rule([](const Options& options, std::vector<Finding>& findings) {
    if (options.products == "exact" &&
        options.difference_step != ProductOptions{}.difference_step) {
      findings.push_back({Finding::Severity::warning, "difference_step",
                          "has no effect with products = \"exact\""});
    }
  });
}

/// Declares the damping δ of everything that solves the system, by products or not.
template <class Options>
void add_damping(Schema<Options>& schema, double Options::*member) {
  schema
      .add("damping", member,
           "δ: the system solved is (I + H/(λ + δ))·v = u; large values draw v towards u")
      .at_least(0);
}

/// Declares SystemOptions.
template <class Options>
void add_system_options(Schema<Options>& schema) {
  add_damping(schema, static_cast<double Options::*>(&SystemOptions::damping));
  add_product_options(schema);
}

/// What `products` products of one solve, and `shared` ones for a whole round, ask of the lower
/// problem.
HypergradientNeeds product_needs(const ProductOptions& options, int64_t products, int64_t shared);

/// Products with Hessians, counted.
///
/// A finite difference is (∇L(θ + h·x) − ∇L(θ))/h with h = difference_step·(1 + ‖θ‖)/‖x‖, its
/// central form (∇L(θ + h·x) − ∇L(θ − h·x))/(2h) (Pearlmutter 1994, equations 1 and 2). Rounding
/// of the gradients is amplified by about 1/difference_step, and so are their jumps at kinks of
/// ReLUs that lie within the step, which is why the default is not smaller.
class HessianProducts {
 public:
  explicit HessianProducts(const ProductOptions& options) : options_(options) {}

  /// H·x of `lower`.
  TensorList operator()(LowerProblem& lower, const TensorList& x);

  /// Notes in `solution` what was spent.
  void count_into(HypergradientSolution& solution) const;

 private:
  TensorList difference(LowerProblem& lower, const TensorList& x);

  const ProductOptions& options_;
  int64_t products_ = 0;
  int64_t gradients_ = 0;
};

/// A = I + H/(λ + δ), counting what its products cost.
class SystemOperator {
 public:
  SystemOperator(LowerProblem& lower, const SystemOptions& options)
      : lower_(lower), products_(options), weight_(lower.lambda() + options.damping) {}

  /// A·x.
  TensorList operator()(const TensorList& x);

  /// H·x.
  TensorList hessian_product(const TensorList& x) { return products_(lower_, x); }

  /// λ + δ.
  double weight() const { return weight_; }

  void count_into(HypergradientSolution& solution) const { products_.count_into(solution); }

 private:
  LowerProblem& lower_;
  HessianProducts products_;
  double weight_;
};

/// The solution v = 0 of u = 0.
HypergradientSolution zero_solution(const TensorList& u);

/// A residual that has grown to this multiple of ‖u‖ will not come back.
inline constexpr double divergence_limit = 1e6;

/// Puts u in the place of a solution that diverged or is not finite: the first-order gradient is
/// better than such an iterate. The residual, which was the iterate's, becomes unknown.
void replace_if_diverged(HypergradientSolution& solution, const TensorList& u);

}  // namespace bissl
