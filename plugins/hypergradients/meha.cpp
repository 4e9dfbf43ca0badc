#include "bissl/hypergradient.h"
#include "bissl/linear_system.h"
#include "bissl/plugin.h"

#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace bissl {
namespace {

struct Options {
  int64_t steps = 5;
  double step = 0.5;
  double envelope = 4.0;
  double nudge = 1e-2;
  double damping = 10.0;
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema
      .add("steps", &Options::steps,
           "steps of the penalised solution y and of the proximal one z in an upper step; each "
           "takes two gradients")
      .at_least(1)
      .unit("steps");
  schema
      .add("step", &Options::step,
           "length of a step, as a share of 1/(λ + δ); below 2 over the largest eigenvalue of "
           "I + H/(λ + δ)")
      .more_than(0);
  schema
      .add("envelope", &Options::envelope,
           "γ of the Moreau envelope, as a share of 1/(λ + δ): how far z may lie from y. Larger "
           "draws z towards θ, which `f2sa` has in its place, and lowers the error")
      .more_than(0);
  schema
      .add("nudge", &Options::nudge,
           "how far the penalised solution lies from the proximal one, as a share of 1 + ‖θ‖: 1/c "
           "of the source, in units that do not depend on u's length. The error is of first order "
           "in it")
      .more_than(0);
  add_damping(schema, &Options::damping);
  return schema;
}

/// Both lower solutions, as distances from θ in units in which v is their difference: y = θ − D·p
/// and z = θ − D·q give v = p − q.
struct Pair {
  TensorList penalised;  ///< p
  TensorList proximal;   ///< q
};

TensorList difference(const Pair& pair) {
  TensorList v = copy(pair.penalised);
  add_scaled(v, -1.0, pair.proximal);
  return v;
}

TensorList joined(const TensorList& first, const TensorList& second) {
  TensorList all = first;
  all.insert(all.end(), second.begin(), second.end());
  return all;
}

/// The steps of y and z around θ. With the lower level g, made convex by λ + δ and without its own
/// slope at θ,
///
///     g(d) = L(θ + d) − ∇L(θ)ᵀd + ((w + δ)/2)·‖d‖²,
///
/// y descends on β·uᵀy + g(y) − min over z of (g(z) + ‖z − y‖²/(2γ)), and z on what is in brackets.
/// In p and q, with A·x = x + (∇L(θ) − ∇L(θ − D·x))/((w + δ)·D), D = β/(w + δ), and γ and s as
/// shares of 1/(w + δ),
///
///     p ← p + s·(u − A·p + (p − q)/γ),   q ← q − s·(A·q − (p − q)/γ).
///
/// Their difference takes the step v ← v + s·(u − A·p + A·q) whatever γ is: on a quadratic lower
/// level descent on (I + H/(w + δ))·v = u. The source's y sees the new z; both see the old ones
/// here, since for the other the steps would have to be shorter.
class MoreauSteps {
 public:
  MoreauSteps(ImplicitSystem& system, const TensorList& u, const Options& options)
      : system_(system),
        u_(u),
        options_(options),
        length_(norm(u)),
        distance_(options.nudge * (1.0 + norm(system.parameters())) / length_),
        weight_(system.weight() + options.damping) {}

  /// Takes the steps from `pair`, changes it in place, and says how they went.
  SolveStatus run(Pair& pair) {
    constexpr double growth_limit = 10.0;  // of the residual, which does not fall in each step
    double limit = length_;
    for (int64_t k = 0; k < options_.steps; ++k) {
      const TensorList slope_of_y = slope(pair.penalised);
      const TensorList slope_of_z = slope(pair.proximal);
      TensorList rest = copy(u_);
      add_scaled(rest, -1.0, slope_of_y);
      add_scaled(rest, 1.0, slope_of_z);
      const double length = norm(rest);
      limit = k == 0 ? std::max(limit, length) : limit;
      if (!std::isfinite(length) || length > growth_limit * limit) {
        return SolveStatus::diverged;
      }
      const TensorList gap = difference(pair);
      const double pull = options_.step / options_.envelope;
      add_scaled(pair.penalised, options_.step, u_);
      add_scaled(pair.penalised, -options_.step, slope_of_y);
      add_scaled(pair.penalised, pull, gap);
      add_scaled(pair.proximal, -options_.step, slope_of_z);
      add_scaled(pair.proximal, pull, gap);
    }
    return SolveStatus::iteration_limit;
  }

  int64_t gradients() const { return gradients_; }

 private:
  /// A·x: the gradient of g, D·x from θ.
  TensorList slope(const TensorList& x) {
    TensorList result = copy(x);
    if (norm(x) == 0) {
      return result;
    }
    TensorList displacement = copy(x);
    scale(displacement, -distance_);
    TensorList change = system_.gradient(displacement);
    ++gradients_;
    add_scaled(change, -1.0, system_.gradient({}));  // the system of a round keeps this one
    add_scaled(result, -1.0 / (distance_ * weight_), change);
    return result;
  }

  ImplicitSystem& system_;
  const TensorList& u_;
  const Options& options_;
  double length_;    ///< ‖u‖
  double distance_;  ///< D
  double weight_;    ///< w + δ
  int64_t gradients_ = 0;
};

/// The single-loop method MEHA (Liu et al. 2024, algorithm 1): the upper gradient is
/// (∇_x g(x, y) − ∇_x g(x, z))·c, with z near the proximal point of y and y a solution of the lower
/// level with f/c added, less its Moreau envelope. Here ∇_x g(x, θ) = −λ·(θ − x), so it is
/// v = λ·c·(z − y). Both are kept from one upper step to the next, as the source does it. f is
/// taken as linear around θ_P.
class Meha : public Hypergradient {
 public:
  explicit Meha(Options options) : options_(options) {}

  HypergradientSolution solve(const TensorList& u, ImplicitSystem& system) override {
    const c10::NoGradGuard no_grad;
    HypergradientSolution solution;
    solution.damping = options_.damping;
    if (norm(u) == 0) {
      solution.v = copy(u);
      solution.status = SolveStatus::converged;
      solution.relative_residual = 0;
      return solution;
    }
    Pair pair = begin(u);
    MoreauSteps steps(system, u, options_);
    solution.status = steps.run(pair);
    solution.iterations = options_.steps;
    solution.gradients = steps.gradients();
    solution.v = difference(pair);
    replace_if_diverged(solution, u);
    if (solution.status == SolveStatus::diverged) {
      pair = start(u);
    }
    last_.keep(joined(pair.penalised, pair.proximal));
    return solution;
  }

  HypergradientNeeds needs() const override { return {.solve = {.gradients = 2 * options_.steps}}; }

  void* capability(std::string_view id) override { return provide<HypergradientState>(last_, id); }

 private:
  /// v = u, z at θ.
  static Pair start(const TensorList& u) { return {copy(u), zeros_like(u)}; }

  Pair begin(const TensorList& u) const {
    const TensorList last = last_.begin(joined(u, u));
    if (last.empty()) {
      return start(u);
    }
    const auto middle = last.begin() + static_cast<std::ptrdiff_t>(u.size());
    return {TensorList(last.begin(), middle), TensorList(middle, last.end())};
  }

  Options options_;
  WarmStart last_;  ///< p, and behind it q
};

}  // namespace
}  // namespace bissl

BISSL_PLUGIN("meha", "2.0.0", "MIT", registrar) {
  using namespace bissl;
  registrar.add<Hypergradient, Meha>(
      {.name = "meha",
       .summary = "v from the difference of a penalised lower solution and its proximal point in a "
                  "Moreau envelope, both kept from one upper step to the next; gradients only, no "
                  "products",
       .source = "Liu et al. 2024, arXiv 2405.09927, algorithm 1"},
      schema());
}
