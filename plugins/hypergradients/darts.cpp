#include "bissl/hypergradient.h"
#include "bissl/linear_system.h"
#include "bissl/plugin.h"

#include <c10/core/GradMode.h>

namespace bissl {
namespace {

struct Options {
  std::optional<double> step;
  double damping = 10.0;
  double epsilon = 0.01;
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema
      .add("step", &Options::step,
           "ξ, the length of the gradient step that replaces the lower level; 1/(λ + damping) if "
           "absent")
      .at_least(0);
  schema.add("damping", &Options::damping, "δ in the default of step")
      .at_least(0)
      .only_without("step");
  schema
      .add("epsilon", &Options::epsilon,
           "length of the finite difference's shift in the weights, as a whole")
      .more_than(0);
  return schema;
}

/// v = u − ξ·H·u with H·u ≈ (∇L(θ + h·u) − ∇L(θ − h·u))/(2h), h = epsilon/‖u‖ (Liu, Simonyan and
/// Yang 2019, equations 7 and 8). It is the derivative of one step θ_D − ξ·∇L_P(θ_D) of the lower
/// level that starts at the upper backbone: I − ξ·H. With ξ = 1/(λ + δ) it is the Neumann series
/// after its second term.
class Darts : public Hypergradient {
 public:
  explicit Darts(Options options) : options_(options) {}

  HypergradientSolution solve(const TensorList& u, ImplicitSystem& system) override {
    const c10::NoGradGuard no_grad;
    HypergradientSolution solution;
    solution.v = copy(u);
    if (!options_.step) {
      solution.damping = options_.damping;
    }
    const double length = norm(u);
    if (length == 0) {
      return solution;
    }
    const double h = options_.epsilon / length;
    TensorList shift = copy(u);
    scale(shift, h);
    TensorList product = system.gradient(shift);
    scale(shift, -1.0);
    add_scaled(product, -1.0, system.gradient(shift));
    const double step = options_.step.value_or(1.0 / (system.weight() + options_.damping));
    add_scaled(solution.v, -step / (2 * h), product);
    solution.gradients = 2;
    replace_if_diverged(solution, u);
    return solution;
  }

  HypergradientNeeds needs() const override { return {.solve = {.gradients = 2}}; }

 private:
  Options options_;
};

}  // namespace
}  // namespace bissl

BISSL_PLUGIN("darts", "2.0.0", "MIT", registrar) {
  using namespace bissl;
  registrar.add<Hypergradient, Darts>(
      {.name = "darts",
       .summary = "v = u − ξ·H·u, one unrolled gradient step, by a difference of two gradients; "
                  "can be further from the solution than v = u: audit it",
       .source = "Liu, Simonyan and Yang 2019, arXiv 1806.09055, equations 7 and 8"},
      schema());
}
