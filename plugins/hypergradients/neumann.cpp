#include "bissl/hypergradient.h"
#include "bissl/linear_system.h"
#include "bissl/plugin.h"

#include <c10/core/GradMode.h>

#include <cmath>

namespace bissl {
namespace {

struct Options {
  SystemOptions system;
  int64_t terms = 5;
  double step = 1.0;
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema.add("terms", &Options::terms, "terms after the first; each makes one Hessian product")
      .at_least(1)
      .unit("terms");
  schema
      .add("step", &Options::step,
           "s in v = s·Σ (I − s·(I + H/(λ + δ)))ᵏ·u; the series converges if s is below 2 over the "
           "largest eigenvalue of I + H/(λ + δ), and all eigenvalues are positive")
      .more_than(0);
  schema.embed(&Options::system, system_schema());
  return schema;
}

/// v = s·Σ tₖ with t₀ = u and tₖ₊₁ = (I − s·A)·tₖ, A = I + H/(λ + δ). The residual u − A·v of the
/// sum up to tₖ is tₖ₊₁ itself, so a term longer than the one before it says that the series does
/// not converge: the solve then counts as diverged. Of the whole sum the residual is not known.
class Neumann : public Hypergradient {
 public:
  explicit Neumann(Options options) : options_(std::move(options)) {}

  HypergradientSolution solve(const TensorList& u, ImplicitSystem& system) override {
    const c10::NoGradGuard no_grad;
    LinearSystem apply(system, options_.system);
    double length = norm(u);
    if (length == 0) {
      return apply.zero_solution(u);
    }
    HypergradientSolution solution;
    solution.status = SolveStatus::iteration_limit;
    solution.v = copy(u);
    scale(solution.v, options_.step);
    TensorList term = copy(u);
    for (int64_t k = 0; k < options_.terms; ++k) {
      add_scaled(term, -options_.step, apply(term));
      const double next = norm(term);
      if (!std::isfinite(next) || next > length) {
        solution.status = SolveStatus::diverged;
        break;
      }
      length = next;
      add_scaled(solution.v, options_.step, term);
      ++solution.iterations;
    }
    apply.finish(solution, u);
    return solution;
  }

  HypergradientNeeds needs() const override { return options_.system.needs(options_.terms); }

 private:
  Options options_;
};

}  // namespace
}  // namespace bissl

BISSL_PLUGIN("neumann", "2.0.0", "MIT", registrar) {
  using namespace bissl;
  registrar.add<Hypergradient, Neumann>(
      {.name = "neumann",
       .summary = "truncated Neumann series of (I + H/(λ + δ))⁻¹·u",
       .source = "Lorraine et al. 2020, arXiv 1911.02590, equation 9"},
      schema());
}
