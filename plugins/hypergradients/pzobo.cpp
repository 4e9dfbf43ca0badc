#include "bissl/error.h"
#include "bissl/hypergradient.h"
#include "bissl/linear_system.h"
#include "bissl/plugin.h"
#include "bissl/random.h"
#include "bissl/system_abilities.h"

#include <ATen/ops/from_blob.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

namespace bissl {
namespace {

struct Options {
  int64_t steps = 5;
  int64_t directions = 4;
  double radius = 1e-2;
  bool control_variate = true;
  bool keep_norm = true;
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema
      .add("steps", &Options::steps,
           "lower steps of the round that are made again; a gradient for each but the first and "
           "each direction, and one more. The host keeps their weights")
      .at_least(1)
      .unit("steps");
  schema
      .add("directions", &Options::directions,
           "random directions in which θ_D is moved; the error falls with the square root of them "
           "over the number of the backbone's parameters")
      .at_least(1)
      .unit("directions");
  schema.add("radius", &Options::radius, "how far θ_D is moved, as a share of 1 + ‖θ‖")
      .more_than(0);
  schema.add("control_variate", &Options::control_variate,
             "estimate only what curvature changes, the rest being known; false: all of it, as the "
             "source does");
  schema.add("keep_norm", &Options::keep_norm,
             "scale v so that without curvature it had the norm of u, as `unrolled` does");
  return schema;
}

void multiply(TensorList& x, const TensorList& factors) {
  for (size_t i = 0; i < factors.size(); ++i) {
    x[i].mul_(factors[i]);
  }
}

/// v = (1/Q)·Σ ξ·⟨(θ_K(x + µξ) − θ_K(x))/µ, u⟩ over Q directions ξ from a normal distribution (Sow
/// et al. 2022, algorithm 1): an estimate without bias, up to µ, of what `unrolled`
/// computes, (dθ_K/dx)ᵀ·u through the last K lower steps with x = θ_D. A run that is made again
/// from the same start differs from the recorded one by d,
///
///     g = ∇L_t(θ_t + d) − ∇L_t(θ_t) + λ·(d − µξ),   m ← momentum·m + P∘g,   d ← d − lr·m.
///
/// With J₀ the derivative without curvature, which costs nothing, the control variate makes it
/// J₀ᵀu + (1/Q)·Σ ξ·(⟨d/µ, u⟩ − ⟨ξ, J₀ᵀu⟩): the same mean, and less variance where H·lr is small.
/// Preconditioners are taken as constants.
class Pzobo : public Hypergradient, public HypergradientState {
 public:
  explicit Pzobo(Options options) : options_(options) {}

  HypergradientSolution solve(const TensorList& u, ImplicitSystem& system) override {
    const c10::NoGradGuard no_grad;
    auto* recorded = bissl::capability<RecordedSteps>(system);
    std::vector<LowerStep> steps =
        recorded == nullptr ? std::vector<LowerStep>{} : recorded->recorded_steps();
    if (steps.empty()) {
      fail_input(
          "the lower level has no recorded steps to make again; \"pzobo\" works where the lower "
          "level has just been trained");
    }
    const size_t kept = std::min(steps.size(), static_cast<size_t>(options_.steps));
    steps.erase(steps.begin(), steps.end() - static_cast<int64_t>(kept));
    HypergradientSolution solution;
    solution.iterations = options_.directions;
    const TensorList plain = without_curvature(u, steps, system.weight());
    solution.v = estimate(u, plain, steps, system, solution);
    ++solves_;
    const double length = norm(plain);
    if (options_.keep_norm && length > 0) {
      scale(solution.v, norm(u) / length);
    }
    replace_if_diverged(solution, u);
    return solution;
  }

  HypergradientNeeds needs() const override {
    return {.steps = {.gradients = (options_.steps - 1) * (options_.directions + 1)},
            .lower_steps = options_.steps,
            .abilities = {RecordedSteps::id}};
  }

  void* capability(std::string_view id) override { return provide<HypergradientState>(*this, id); }

  /// The number of solves: directions are functions of it.
  NamedTensors state() const override { return {{"solves", at::tensor(solves_)}}; }
  void load_state(const NamedTensors& state) override {
    if (state.size() != 1 || state[0].name != "solves" || state[0].tensor.numel() != 1) {
      fail_input("the checkpoint's state of \"pzobo\" is not its one number \"solves\"");
    }
    solves_ = state[0].tensor.item<int64_t>();
  }

 private:
  /// J₀ᵀ·u, in reverse as `unrolled` does it.
  static TensorList without_curvature(const TensorList& u, const std::vector<LowerStep>& steps,
                                      double lambda) {
    TensorList v = zeros_like(u);
    TensorList theta = copy(u);
    TensorList momentum = zeros_like(u);
    for (size_t t = steps.size(); t-- > 0;) {
      add_scaled(momentum, -steps[t].learning_rate, theta);
      TensorList gradient = copy(momentum);
      multiply(gradient, steps[t].preconditioner);
      add_scaled(v, -lambda, gradient);
      add_scaled(theta, lambda, gradient);
      scale(momentum, steps[t].momentum);
    }
    return v;
  }

  TensorList estimate(const TensorList& u, const TensorList& plain,
                      const std::vector<LowerStep>& steps, ImplicitSystem& system,
                      HypergradientSolution& solution) const {
    std::vector<TensorList> gradients(1);  // at the recorded weights; of the first step not needed
    for (size_t t = 1; t < steps.size(); ++t) {
      gradients.push_back(steps[t].system->gradient({}));
    }
    const double moved = options_.radius * (1.0 + norm(system.parameters()));
    const double mu = moved / std::sqrt(static_cast<double>(count(u)));
    TensorList v = options_.control_variate ? copy(plain) : zeros_like(u);
    for (int64_t q = 0; q < options_.directions; ++q) {
      const TensorList direction = this->direction(q, u);
      const TensorList end = made_again(direction, mu, steps, gradients, system.weight());
      double along = dot(end, u) / mu;
      if (options_.control_variate) {
        along -= dot(direction, plain);
      }
      add_scaled(v, along / static_cast<double>(options_.directions), direction);
    }
    solution.gradients = (static_cast<int64_t>(steps.size()) - 1) * options_.directions;
    return v;
  }

  /// θ_K(x + µξ) − θ_K(x).
  static TensorList made_again(const TensorList& direction, double mu,
                               const std::vector<LowerStep>& steps,
                               const std::vector<TensorList>& gradients, double lambda) {
    TensorList difference = zeros_like(direction);
    TensorList momentum = zeros_like(direction);
    for (size_t t = 0; t < steps.size(); ++t) {
      TensorList gradient = copy(difference);
      scale(gradient, lambda);
      add_scaled(gradient, -lambda * mu, direction);
      if (t > 0) {
        add_scaled(gradient, 1.0, steps[t].system->gradient(difference));
        add_scaled(gradient, -1.0, gradients[t]);
      }
      multiply(gradient, steps[t].preconditioner);
      scale(momentum, steps[t].momentum);
      add_scaled(momentum, 1.0, gradient);
      add_scaled(difference, -steps[t].learning_rate, momentum);
    }
    return difference;
  }

  TensorList direction(int64_t number, const TensorList& like) const {
    RandomStream stream(0, "pzobo/directions", static_cast<uint64_t>(solves_),
                        static_cast<uint64_t>(number));
    TensorList direction = zeros_like(like);
    for (at::Tensor& tensor : direction) {
      std::vector<double> values(static_cast<size_t>(tensor.numel()));
      for (double& value : values) {
        value = stream.normal();
      }
      tensor.copy_(at::from_blob(values.data(), tensor.sizes(), at::kDouble));
    }
    return direction;
  }

  Options options_;
  int64_t solves_ = 0;
};

}  // namespace
}  // namespace bissl

BISSL_PLUGIN("pzobo", "2.0.0", "MIT", registrar) {
  using namespace bissl;
  registrar.add<Hypergradient, Pzobo>(
      {.name = "pzobo",
       .summary = "zeroth order: moves θ_D in random directions and makes the last lower steps "
                  "again; no products, and a large error where the backbone is large",
       .source = "Sow et al. 2022, arXiv 2110.07004, algorithm 1"},
      schema());
}
