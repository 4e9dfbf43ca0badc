#pragma once

#include "bilevel/outer_problem.h"
#include "bissl/hypergradient.h"
#include "bissl/optimizer.h"
#include "models/training_step.h"

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace bissl::host {

/// What one step of the upper level found.
struct UpperStep {
  double loss = 0;           ///< the outer loss on the batch
  double u_norm = 0;         ///< ‖u‖
  double v_norm = 0;         ///< ‖v‖
  double cosine = 0;         ///< between u and v: near 1, the solve changed little but the length
  double gradient_norm = 0;  ///< of the whole upper gradient, before clipping
  SolveStatus status = SolveStatus::direct;
  int64_t iterations = 0;
  int64_t hessian_products = 0;
  int64_t gradients = 0;  ///< at shifted points
  double relative_residual = -1;
  double guard = 1;          ///< the factor that the limit has put on what v pulls back
  double solve_seconds = 0;  ///< of the solve, with the graphs that it built
  std::vector<std::pair<std::string, double>> values;  ///< more of the outer problem, by name
};

/// The whole gradient of the upper level, in the order of OuterProblem::parameters.
struct UpperGradient {
  TensorList values;
  UpperStep report;
};

/// Training of the upper level through the solution of the lower one: the solver (Hypergradient)
/// solves, the outer problem couples.
class UpperLevel {
 public:
  /// Called with u and the solution before the weights change; for audits.
  using Observer = std::function<void(const TensorList& u, const HypergradientSolution& solution)>;

  /// `optimizer` holds OuterProblem::parameters.
  UpperLevel(OuterProblem& problem, Hypergradient& hypergradient, Optimizer& optimizer,
             double max_grad_norm, double grad_norm_guard = 0);

  /// From now on what v pulls back is scaled down to this norm where it is larger; 0: as it is. The
  /// direct gradients stay.
  void limit(double norm) { limit_ = norm; }

  /// The batches that a gradient is the mean over.
  struct Batches {
    int64_t parts = 1;
    std::function<OuterBatch()> next;  ///< called for each when it is needed
  };

  /// The gradient on the mean of the outer loss over the batches. Changes nothing but what
  /// OuterProblem::direct changes.
  UpperGradient gradient(const Batches& batches, ImplicitSystem& system, uint64_t noise_seed,
                         const Observer& observe = {});
  /// The same on one batch.
  UpperGradient gradient(const OuterBatch& batch, ImplicitSystem& system, uint64_t noise_seed,
                         const Observer& observe = {}) {
    return gradient(one(batch), system, noise_seed, observe);
  }

  /// One optimizer step with that gradient, clipped, at `lr_scale` times the base rate. Throws
  /// Error(ErrorKind::run) when it is not finite; the weights are then those before the step.
  UpperStep step(const Batches& batches, ImplicitSystem& system, uint64_t noise_seed,
                 double lr_scale, const Observer& observe = {});
  /// The same on one batch.
  UpperStep step(const OuterBatch& batch, ImplicitSystem& system, uint64_t noise_seed,
                 double lr_scale, const Observer& observe = {}) {
    return step(one(batch), system, noise_seed, lr_scale, observe);
  }

 private:
  static Batches one(const OuterBatch& batch) {
    return {.parts = 1, .next = [&batch] { return batch; }};
  }

  OuterProblem& problem_;
  Hypergradient& hypergradient_;
  TrainingStep step_;
  double limit_ = 0;
};

}  // namespace bissl::host
