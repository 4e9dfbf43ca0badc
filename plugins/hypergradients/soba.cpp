#include "bissl/error.h"
#include "bissl/hypergradient.h"
#include "bissl/linear_system.h"
#include "bissl/plugin.h"
#include "bissl/system_abilities.h"

#include <c10/core/GradMode.h>

#include <cmath>

namespace bissl {
namespace {

struct Options {
  SystemOptions system;
  int64_t steps = 1;
  double step = 0.5;
  bool warm_start = true;
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema
      .add("steps", &Options::steps,
           "steps of stochastic gradient descent on the linear system in an upper step; each draws "
           "a batch and makes one product with it, whose graph is built anew")
      .at_least(1)
      .unit("steps");
  schema
      .add("step", &Options::step,
           "s in v ← v + s·(u − (I + H/(λ + δ))·v); below 2 over the largest eigenvalue of "
           "I + H/(λ + δ). Smaller ones average over more batches")
      .more_than(0);
  schema.add("warm_start", &Options::warm_start,
             "begin at the last upper step's v, as the sources do; else at u");
  schema.embed(&Options::system, system_schema());
  return schema;
}

/// Stochastic gradient descent on ½·vᵀAv − uᵀv, A = I + H/(λ + δ): v ← v + s·(u − A_ξ·v), A_ξ from
/// a batch that is drawn for the step (Dagréou et al. 2022, algorithm 1, direction D_v; several
/// steps and the warm start: Arbel and Mairal 2022, algorithm 1). v is carried from one upper step
/// to the next, so the noise of a batch is averaged over many of them, where a solve on one batch
/// answers for that batch alone.
class Soba : public Hypergradient {
 public:
  explicit Soba(Options options) : options_(std::move(options)) {}

  HypergradientSolution solve(const TensorList& u, ImplicitSystem& system) override {
    const c10::NoGradGuard no_grad;
    auto* batches = bissl::capability<FreshBatches>(system);
    if (batches == nullptr) {
      fail_input("the lower level draws no batches for a solve, which \"soba\" needs");
    }
    HypergradientSolution solution;
    solution.damping = options_.system.damping;
    solution.v = options_.warm_start ? last_.begin(u) : TensorList{};
    if (solution.v.empty()) {
      solution.v = copy(u);
    }
    const double u_norm = norm(u);
    if (u_norm == 0) {
      solution.v = copy(u);
      return solution;
    }
    solution.status = SolveStatus::iteration_limit;
    HessianProducts product(options_.system.product);
    while (solution.iterations < options_.steps) {
      ImplicitSystem& sample = batches->fresh_system(solution.iterations);
      TensorList rest = product(sample, solution.v);
      scale(rest, -1.0 / (system.weight() + options_.system.damping));
      add_scaled(rest, 1.0, u);
      add_scaled(rest, -1.0, solution.v);
      const double length = norm(rest);
      if (!std::isfinite(length) || length > divergence_limit * u_norm) {
        solution.status = SolveStatus::diverged;
        break;
      }
      add_scaled(solution.v, options_.step, rest);
      ++solution.iterations;
    }
    product.count_into(solution);
    replace_if_diverged(solution, u);
    if (options_.warm_start) {
      last_.keep(solution.v);
    }
    return solution;
  }

  HypergradientNeeds needs() const override {
    HypergradientNeeds needs{.fresh_batches = options_.steps, .abilities = {FreshBatches::id}};
    if (options_.system.product.gradients_each() == 0) {
      needs.fresh.products = options_.steps;
    } else {
      needs.fresh.gradients = 2 * options_.steps;  // of a forward difference the unshifted one too
    }
    return needs;
  }

  void* capability(std::string_view id) override { return provide<HypergradientState>(last_, id); }

 private:
  Options options_;
  WarmStart last_;
};

}  // namespace
}  // namespace bissl

BISSL_PLUGIN("soba", "2.0.0", "MIT", registrar) {
  using namespace bissl;
  registrar.add<Hypergradient, Soba>(
      {.name = "soba",
       .summary = "steps of stochastic gradient descent on (I + H/(λ + δ))·v = u, a new batch for "
                  "each, from the last upper step's v",
       .source = "Dagréou et al. 2022, arXiv 2201.13409, algorithm 1; several steps: Arbel and "
                 "Mairal 2022, arXiv 2111.14580, algorithm 1"},
      schema());
}
