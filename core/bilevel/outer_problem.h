#pragma once

#include "bissl/tensor_list.h"
#include "models/task_batch.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace bissl::host {

/// A batch of the outer level.
using OuterBatch = TaskBatch;

/// A term of a gradient: weight·gradient, with one tensor for each parameter of the outer problem,
/// undefined where the term does not depend on it.
struct WeightedGradient {
  double weight = 1;
  TensorList gradient;
};

/// The outer loss F on a batch and its derivatives at the inner solution θ, held fixed.
struct OuterGradient {
  double loss = 0;                       ///< F
  TensorList u;                          ///< ∂F/∂θ, in the shapes of the inner parameters
  std::vector<WeightedGradient> direct;  ///< ∂F/∂x, the sum of these
  std::vector<std::pair<std::string, double>> values;  ///< more to log, under their names
};

/// A problem whose inner level has the solution θ*(x): minimise F(θ*(x), x) over x. It couples the
/// levels; what solves the linear system in between (a Hypergradient) knows nothing of it. The
/// whole gradient is
///
///     dF/dx = ∂F/∂x + pull_back(v),    v ≈ (I + H/w)⁻¹·∂F/∂θ
///
/// with the inner level's ImplicitSystem: θ* minimises L(θ, x) + (w/2)·‖θ − anchor‖².
class OuterProblem {
 public:
  OuterProblem() = default;
  virtual ~OuterProblem() = default;
  OuterProblem(const OuterProblem&) = delete;
  OuterProblem& operator=(const OuterProblem&) = delete;

  /// x: what the outer level trains. The same at each call.
  virtual const NamedTensors& parameters() const = 0;

  /// F and its derivatives at fixed θ, detached. `noise_seed` fixes what is random in the pass
  /// through the inner model.
  virtual OuterGradient direct(const OuterBatch& batch, uint64_t noise_seed) = 0;

  /// (dθ*/dx)ᵀ·u, detached, one tensor for each parameter, undefined where θ* does not depend on
  /// it. `weight` is that of the system that v is a solution of: v/weight ≈ (weight·I + H)⁻¹·u, and
  /// so this is −(∂²/∂θ∂x of the inner objective)ᵀ·v/weight.
  virtual TensorList pull_back(const TensorList& v, double weight) = 0;
};

}  // namespace bissl::host
