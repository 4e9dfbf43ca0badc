#include "bissl/minres.h"

#include "first_look.h"

#include "bissl/hypergradient.h"
#include "bissl/linear_system.h"
#include "bissl/plugin.h"

#include <c10/core/GradMode.h>

namespace bissl {
namespace {

struct Options {
  SystemOptions system;
  int64_t iterations = 10;
  double tolerance = 0.1;
  int64_t ask_every = 1;
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema.add("iterations", &Options::iterations, "most steps; each makes one Hessian product")
      .at_least(1)
      .unit("iterations");
  schema
      .add("tolerance", &Options::tolerance,
           "stop when the residual falls below this share of ‖u‖, after the first product where "
           "v = u is that near; 0 uses all iterations")
      .at_least(0)
      .less_than(1);
  schema
      .add("ask_every", &Options::ask_every,
           "once v = u is within the tolerance, take it without a product until this many upper "
           "steps later; 1 asks at each")
      .at_least(1)
      .unit("upper steps")
      .only_above("tolerance", 0);
  schema.embed(&Options::system, system_schema());
  return schema;
}

/// The first iterate is the multiple of u with the least residual, so it is within the tolerance
/// wherever v = u is.
class Minres : public Hypergradient, public HypergradientState {
 public:
  explicit Minres(Options options) : options_(std::move(options)), pause_(options_.ask_every) {}

  HypergradientSolution solve(const TensorList& u, ImplicitSystem& system) override {
    const c10::NoGradGuard no_grad;
    LinearSystem apply(system, options_.system);
    if (norm(u) == 0) {
      return apply.zero_solution(u);
    }
    if (pause_.skips()) {
      return Pause::skipped(u, options_.system.damping);
    }
    FirstLook look(apply, options_.tolerance);
    MinresResult result = minres([&](const TensorList& x) { return look(x); }, u,
                                 options_.iterations, options_.tolerance);
    pause_.note(look.accepts_u());
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

  void* capability(std::string_view id) override { return provide<HypergradientState>(*this, id); }
  NamedTensors state() const override { return pause_.state(); }
  void load_state(const NamedTensors& state) override {
    if (const NamedTensors others = pause_.load(state); !others.empty()) {
      fail_input("the checkpoint holds a state \"{}\" that \"minres\" does not know",
                 others.front().name);
    }
  }

 private:
  Options options_;
  Pause pause_;
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
