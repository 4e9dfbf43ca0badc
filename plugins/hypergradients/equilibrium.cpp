#include "bissl/hypergradient.h"
#include "bissl/linear_system.h"
#include "bissl/plugin.h"

#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

namespace bissl {
namespace {

struct NudgeOptions {
  int64_t steps = 5;
  double step = 0.5;
  double nudge = 1e-2;
  double damping = 10.0;
};

struct Options {
  NudgeOptions nudged;
  bool both_sides = true;
};

Schema<NudgeOptions> nudge_schema(const char* steps, const char* nudge) {
  Schema<NudgeOptions> schema;
  schema.add("steps", &NudgeOptions::steps, steps).at_least(1).unit("steps");
  schema
      .add("step", &NudgeOptions::step,
           "length of a step, as a share of 1/(λ + δ); below 2 over the largest eigenvalue of "
           "I + H/(λ + δ)")
      .more_than(0);
  schema.add("nudge", &NudgeOptions::nudge, nudge).more_than(0);
  add_damping(schema, &NudgeOptions::damping);
  return schema;
}

Schema<Options> schema() {
  Schema<Options> schema;
  schema.embed(&Options::nudged,
               nudge_schema("gradient steps of the nudged lower level; each takes one gradient for "
                            "each side",
                            "how far u nudges the solution, as a share of 1 + ‖θ‖"));
  schema.add("both_sides", &Options::both_sides,
             "nudge along u and against it: the error is then of second order in `nudge`, not of "
             "first, for twice the gradients");
  return schema;
}

Schema<NudgeOptions> f2sa_schema() {
  return nudge_schema(
      "gradient steps of the penalised lower level in an upper step; each takes one gradient",
      "how far the penalised solution lies from θ, as a share of 1 + ‖θ‖: 1/σ of the source, in "
      "units that do not depend on u's length. The error is of first order in it");
}

/// Gradient descent, from θ, on the lower level with β·uᵀ(θ − θ_P) added,
///
///     min over d of  L(θ + d) − ∇L(θ)ᵀd + ((w + δ)/2)·‖d‖² + β·uᵀd,
///
/// whose solution is d = −β·(w + δ)⁻¹·(I + H/(w + δ))⁻¹·u + O(β²). So v = −(w + δ)·d/β. The term
/// −∇L(θ)ᵀd is what the anchor does where θ is a solution, and what makes d a measure of u alone
/// where it is not yet one. In terms of v a step is v ← v + s·(u − v − (∇L(θ) − ∇L(θ + d))/β).
///
/// The outer loss itself could nudge, too (as the sources have it); its own curvature would then
/// disturb v in the order of β, and each step would take its gradient. u is known, so it does not.
class Nudged {
 public:
  /// `sign` is that of β.
  Nudged(ImplicitSystem& system, const TensorList& u, const NudgeOptions& options, double sign)
      : system_(system),
        u_(u),
        options_(options),
        length_(norm(u)),
        // d = −distance_·v; its sign is β's.
        distance_(sign * options.nudge * (1.0 + norm(system.parameters())) / length_),
        weight_(system.weight() + options.damping) {}

  /// Takes the steps from `v`, changes it in place, and says how they went.
  SolveStatus run(TensorList& v) {
    double limit = 0;
    for (int64_t k = 0; k < options_.steps; ++k) {
      const TensorList rest = residual(v);
      const double length = norm(rest);
      limit = std::max({limit, length_, k == 0 ? length : 0.0});
      if (!std::isfinite(length) || length > limit) {
        return SolveStatus::diverged;
      }
      add_scaled(v, options_.step, rest);
    }
    return SolveStatus::iteration_limit;
  }

  int64_t gradients() const { return gradients_; }

 private:
  /// u − v − H·v/(w + δ), with H·v from the gradient at the displaced weights.
  TensorList residual(const TensorList& v) {
    TensorList displacement = copy(v);
    scale(displacement, -distance_);
    TensorList rest = system_.gradient(displacement);
    ++gradients_;
    add_scaled(rest, -1.0, system_.gradient({}));  // the system of a round keeps this one
    scale(rest, 1.0 / (distance_ * weight_));
    add_scaled(rest, 1.0, u_);
    add_scaled(rest, -1.0, v);
    return rest;
  }

  ImplicitSystem& system_;
  const TensorList& u_;
  const NudgeOptions& options_;
  double length_;  ///< ‖u‖
  double distance_;
  double weight_;  ///< w + δ
  int64_t gradients_ = 0;
};

HypergradientSolution zero_solution(const TensorList& u, double damping) {
  return {
      .v = copy(u), .status = SolveStatus::converged, .relative_residual = 0, .damping = damping};
}

/// v from the difference of two solutions of the lower level, nudged along u and against it, or
/// nudged and free (Scellier and Bengio 2017; for bilevel problems Zucchet et al. 2022;
/// both sides: Laborieux et al. 2021).
class Equilibrium : public Hypergradient {
 public:
  explicit Equilibrium(Options options) : options_(options) {}

  HypergradientSolution solve(const TensorList& u, ImplicitSystem& system) override {
    const c10::NoGradGuard no_grad;
    if (norm(u) == 0) {
      return zero_solution(u, options_.nudged.damping);
    }
    HypergradientSolution solution;
    solution.damping = options_.nudged.damping;
    solution.iterations = options_.nudged.steps;
    Nudged along(system, u, options_.nudged, 1.0);
    solution.v = copy(u);
    solution.status = along.run(solution.v);
    solution.gradients = along.gradients();
    if (options_.both_sides && solution.status != SolveStatus::diverged) {
      Nudged against(system, u, options_.nudged, -1.0);
      TensorList v = copy(u);
      solution.status = against.run(v);
      solution.gradients += against.gradients();
      scale(solution.v, 0.5);
      add_scaled(solution.v, 0.5, v);
    }
    replace_if_diverged(solution, u);
    return solution;
  }

  HypergradientNeeds needs() const override {
    return {.solve = {.gradients = options_.nudged.steps * (options_.both_sides ? 2 : 1)}};
  }

 private:
  Options options_;
};

/// The penalty method F²SA (Kwon et al. 2023, algorithm 1): with the multiplier σ
/// the upper gradient is σ·(∇_x g(x, y) − ∇_x g(x, z)), y a solution of the lower level with f/σ
/// added, z one of the lower level itself. Here ∇_x g(x, θ) = −λ·(θ − x), so it is v = λ·σ·(z − y)
/// with z = θ_P, which the lower steps have trained, and y kept from one upper step to the next, as
/// the source does it. f is taken as linear around θ_P.
class F2sa : public Hypergradient {
 public:
  explicit F2sa(NudgeOptions options) : options_(options) {}

  HypergradientSolution solve(const TensorList& u, ImplicitSystem& system) override {
    const c10::NoGradGuard no_grad;
    if (norm(u) == 0) {
      return zero_solution(u, options_.damping);
    }
    HypergradientSolution solution;
    solution.damping = options_.damping;
    solution.iterations = options_.steps;
    solution.v = last_.begin(u);
    if (solution.v.empty()) {
      solution.v = copy(u);
    }
    Nudged penalised(system, u, options_, 1.0);
    solution.status = penalised.run(solution.v);
    solution.gradients = penalised.gradients();
    replace_if_diverged(solution, u);
    last_.keep(solution.v);
    return solution;
  }

  HypergradientNeeds needs() const override { return {.solve = {.gradients = options_.steps}}; }

  void* capability(std::string_view id) override { return provide<HypergradientState>(last_, id); }

 private:
  NudgeOptions options_;
  WarmStart last_;
};

}  // namespace
}  // namespace bissl

BISSL_PLUGIN("equilibrium", "2.0.0", "MIT", registrar) {
  using namespace bissl;
  registrar.add<Hypergradient, Equilibrium>(
      {.name = "equilibrium",
       .summary = "v from the difference of two lower solutions, nudged along u and against it; "
                  "gradients only, no products",
       .source = "Scellier and Bengio 2017, arXiv 1602.05179; Zucchet et al. 2022, arXiv "
                 "2104.01677; Laborieux et al. 2021, arXiv 2006.03824"},
      schema());
  registrar.add<Hypergradient, F2sa>(
      {.name = "f2sa",
       .summary = "penalty method: v from how far a penalty along u moves the lower solution, kept "
                  "from one upper step to the next; gradients only, no products",
       .source = "Kwon et al. 2023, arXiv 2301.10945, algorithm 1"},
      f2sa_schema());
}
