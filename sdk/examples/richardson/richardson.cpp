// An approximator of the hypergradient: solves A·v = u, A = I + H/(λ + δ), by Richardson's
// iteration with momentum, v ← v + s·(u − A·v) + m·(v − v_before) (Polyak 1964), and tells how it
// ended.

#include "bissl/hypergradient.h"
#include "bissl/linear_system.h"
#include "bissl/plugin.h"

#include <cmath>

namespace bissl {
namespace {

struct Options {
  SystemOptions system;
  int64_t iterations = 5;
  double step = 0.9;
  double momentum = 0.1;
  double tolerance = 0.0;
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema.add("iterations", &Options::iterations, "most iterations; each makes a Hessian product")
      .at_least(1)
      .unit("iterations");
  schema.add("step", &Options::step, "s, below 2·(1 + m) over the largest eigenvalue of A")
      .more_than(0);
  schema.add("momentum", &Options::momentum, "m, share of the last change that is repeated")
      .at_least(0)
      .less_than(1);
  schema.add("tolerance", &Options::tolerance, "stop when ‖u − A·v‖ is below this share of ‖u‖")
      .at_least(0)
      .less_than(1);
  schema.embed(&Options::system, system_schema());  // damping, and how products are made
  return schema;
}

class Richardson : public Hypergradient {
 public:
  explicit Richardson(const Options& options) : options_(options) {}

  HypergradientSolution solve(const TensorList& u, ImplicitSystem& system) override {
    LinearSystem apply(system, options_.system);
    const double length = norm(u);
    if (length == 0) {
      return apply.zero_solution(u);
    }
    HypergradientSolution solution;
    solution.v = copy(u);  // not zero: near the identity this is most of the way
    solution.status = SolveStatus::iteration_limit;
    TensorList change = zeros_like(u);
    while (solution.iterations < options_.iterations) {
      const TensorList residual = apply.residual(u, solution.v);
      ++solution.iterations;
      solution.relative_residual = norm(residual) / length;
      if (!std::isfinite(solution.relative_residual) ||
          solution.relative_residual > divergence_limit) {
        solution.status = SolveStatus::diverged;
        break;
      }
      if (solution.relative_residual <= options_.tolerance) {
        solution.status = SolveStatus::converged;
        break;
      }
      scale(change, options_.momentum);
      add_scaled(change, options_.step, residual);
      add_scaled(solution.v, 1.0, change);
    }
    apply.finish(solution, u);  // counts the products; u in the place of what diverged
    return solution;
  }

  HypergradientNeeds needs() const override { return options_.system.needs(options_.iterations); }

 private:
  Options options_;
};

}  // namespace
}  // namespace bissl

BISSL_PLUGIN("richardson", "2.0.0", "MIT", registrar) {
  using namespace bissl;
  registrar.add<Hypergradient, Richardson>(
      {.name = "richardson",
       .summary = "Richardson's iteration with momentum on (I + H/(λ + δ))·v = u",
       .source = "Polyak 1964, USSR Comput. Math. Math. Phys. 4(5), section 2"},
      schema());
}
