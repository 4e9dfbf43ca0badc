#include "bissl/minres.h"
#include "bissl/hypergradient.h"
#include "bissl/linear_system.h"
#include "bissl/plugin.h"

#include <c10/core/GradMode.h>

namespace bissl {
namespace {

struct Options {
  SystemOptions system;
  int64_t iterations = 10;
  double tolerance = 0.0;
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema.add("iterations", &Options::iterations, "most steps; each makes one Hessian product")
      .at_least(1)
      .unit("iterations");
  schema
      .add("tolerance", &Options::tolerance,
           "stop when the residual falls below this share of ‖u‖; 0 uses all iterations")
      .at_least(0)
      .less_than(1);
  schema.embed(&Options::system, system_schema());
  return schema;
}

class Minres : public Hypergradient {
 public:
  explicit Minres(Options options) : options_(std::move(options)) {}

  HypergradientSolution solve(const TensorList& u, ImplicitSystem& system) override {
    const c10::NoGradGuard no_grad;
    LinearSystem apply(system, options_.system);
    if (norm(u) == 0) {
      return apply.zero_solution(u);
    }
    MinresResult result = minres([&](const TensorList& x) { return apply(x); }, u,
                                 options_.iterations, options_.tolerance);
    HypergradientSolution solution;
    solution.v = std::move(result.x);
    solution.iterations = result.iterations;
    solution.relative_residual = result.relative_residual;
    solution.status = !result.finite     ? SolveStatus::diverged
                      : result.converged ? SolveStatus::converged
                                         : SolveStatus::iteration_limit;
    apply.finish(solution, u);
    return solution;
  }

  HypergradientNeeds needs() const override { return options_.system.needs(options_.iterations); }

 private:
  Options options_;
};

}  // namespace
}  // namespace bissl

BISSL_PLUGIN("minres", "2.0.0", "MIT", registrar) {
  using namespace bissl;
  registrar.add<Hypergradient, Minres>(
      {.name = "minres",
       .summary = "least residual of (I + H/(λ + δ))·v = u over the Krylov space; H may be "
                  "indefinite",
       .source = "Paige and Saunders 1975, SIAM J. Numer. Anal. 12(4), section 6"},
      schema());
}
