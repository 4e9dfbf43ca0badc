#include "bissl/hypergradient.h"
#include "bissl/plugin.h"
#include "operator.h"

#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace bissl {
namespace {

struct Options : ProductOptions {
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
  add_product_options(schema);
  return schema;
}

/// The QR factorisation of the Lanczos matrix, a plane rotation a step (Paige and Saunders 1975,
/// section 6; notation of the authors' published program).
struct Rotation {
  double cosine = -1;
  double sine = 0;
  double delta_bar = 0;
  double epsilon = 0;
  double phi_bar = 0;  ///< the norm of the residual
};

/// A relative residual below this is none.
constexpr double rounding = 1e-14;

/// MINRES (Paige and Saunders, "Solution of sparse indefinite systems of linear equations", 1975)
/// from v = 0: after k products v has the smallest residual of all vectors of the Krylov space,
/// whatever the signs of A's eigenvalues, and so never a larger one than v = 0.
HypergradientSolution solve_minres(const TensorList& u, SystemOperator& apply,
                                   const Options& options) {
  HypergradientSolution solution;
  solution.v = zeros_like(u);
  solution.status = SolveStatus::iteration_limit;
  const double u_norm = norm(u);
  Rotation state;
  state.phi_bar = u_norm;
  TensorList before = zeros_like(u);  // the Lanczos vectors, times their β
  TensorList present = copy(u);
  TensorList w = zeros_like(u);
  TensorList w_before = zeros_like(u);
  double beta = u_norm;
  double beta_before = 0;
  while (solution.iterations < options.iterations) {
    TensorList lanczos = copy(present);
    scale(lanczos, 1.0 / beta);
    TensorList next = apply(lanczos);
    if (solution.iterations > 0) {
      add_scaled(next, -beta / beta_before, before);
    }
    const double alpha = dot(lanczos, next);
    add_scaled(next, -alpha / beta, present);
    before = std::move(present);
    present = std::move(next);
    beta_before = beta;
    beta = norm(present);
    if (!std::isfinite(alpha) || !std::isfinite(beta)) {
      solution.status = SolveStatus::diverged;
      return solution;
    }
    const double old_epsilon = state.epsilon;
    const double delta = state.cosine * state.delta_bar + state.sine * alpha;
    const double gamma_bar = state.sine * state.delta_bar - state.cosine * alpha;
    state.epsilon = state.sine * beta;
    state.delta_bar = -state.cosine * beta;
    const double gamma = std::max(std::hypot(gamma_bar, beta), std::numeric_limits<double>::min());
    state.cosine = gamma_bar / gamma;
    state.sine = beta / gamma;
    const double phi = state.cosine * state.phi_bar;
    state.phi_bar *= state.sine;

    TensorList w_next = std::move(lanczos);
    add_scaled(w_next, -old_epsilon, w_before);
    add_scaled(w_next, -delta, w);
    scale(w_next, 1.0 / gamma);
    w_before = std::move(w);
    w = std::move(w_next);
    add_scaled(solution.v, phi, w);
    ++solution.iterations;
    solution.relative_residual = state.phi_bar / u_norm;
    // When the Krylov space is exhausted β vanishes up to rounding, and the residual with it.
    if (solution.relative_residual <= std::max(options.tolerance, rounding)) {
      solution.status = SolveStatus::converged;
      break;
    }
  }
  return solution;
}

class Minres : public Hypergradient {
 public:
  explicit Minres(Options options) : options_(std::move(options)) {}

  HypergradientSolution solve(const TensorList& u, LowerProblem& lower) override {
    const c10::NoGradGuard no_grad;
    if (norm(u) == 0) {
      return zero_solution(u);
    }
    SystemOperator apply(lower, options_);
    HypergradientSolution solution = solve_minres(u, apply, options_);
    apply.count_into(solution);
    replace_if_diverged(solution, u);
    return solution;
  }

  HypergradientNeeds needs() const override {
    return product_needs(options_, options_.iterations, 0);
  }

 private:
  Options options_;
};

}  // namespace
}  // namespace bissl

BISSL_PLUGIN("minres", "1.0.0", "MIT", registrar) {
  using namespace bissl;
  registrar.add<Hypergradient>(
      {.name = "minres",
       .summary = "least residual of (I + H/(λ + δ))·v = u over the Krylov space; H may be "
                  "indefinite",
       .source = "Paige and Saunders 1975, SIAM J. Numer. Anal. 12(4), section 6"},
      schema(),
      [](const Options& options, const HypergradientContext& /*context*/)
          -> std::shared_ptr<Hypergradient> { return std::make_shared<Minres>(options); });
}
