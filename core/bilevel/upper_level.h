#pragma once

#include "bissl/downstream.h"
#include "bissl/hypergradient.h"
#include "bissl/optimizer.h"

#include <cstdint>
#include <functional>
#include <utility>

namespace bissl {

/// What one step of the upper level came to.
struct UpperStep {
  double loss = 0;           ///< L_D(θ_P, φ_D) on the batch
  double plain_loss = 0;     ///< L_D(θ_D, φ_D) on the batch; 0 when γ is 0
  double u_norm = 0;         ///< ‖u‖
  double v_norm = 0;         ///< ‖v‖
  double cosine = 0;         ///< between u and v: near 1, the solve changed little but the length
  double gradient_norm = 0;  ///< of the whole upper gradient, before clipping
  SolveStatus status = SolveStatus::direct;
  int64_t iterations = 0;
  int64_t hessian_products = 0;
  int64_t gradients = 0;  ///< at shifted points
  double relative_residual = -1;
};

/// The whole gradient of the upper level.
struct UpperGradient {
  TensorList backbone;  ///< g_θD = v + γ·∇_θ L_D(θ_D, φ_D)
  TensorList head;      ///< g_φD = ∇_φ L_D(θ_P, φ_D) + γ·∇_φ L_D(θ_D, φ_D)
  UpperStep report;
};

/// Training of the upper backbone θ_D and the head φ_D through the solution θ_P of the lower level
/// (arXiv 2410.02387, upper level).
class UpperLevel {
 public:
  struct Models {
    Backbone& lower;         ///< θ_P: read only; its running statistics stay as they are
    Backbone& upper;         ///< θ_D
    Downstream& downstream;  ///< φ_D
  };

  /// `optimizer` holds what upper_parameters gives.
  UpperLevel(Models models, Hypergradient& hypergradient, Optimizer& optimizer, double gamma,
             double max_grad_norm);

  /// The gradient on one batch: images (N, C, H, W) and their targets. Changes nothing but the
  /// running statistics of θ_D, which see the batch when γ is not 0. `noise_seed` fixes what is
  /// random in the pass through θ_P.
  UpperGradient gradient(const at::Tensor& images, const TargetBatch& targets, LowerProblem& lower,
                         uint64_t noise_seed);

  /// One optimizer step with that gradient, clipped. Throws Error(ErrorKind::run) when it is not
  /// finite; the weights are then those before the step.
  UpperStep step(const at::Tensor& images, const TargetBatch& targets, LowerProblem& lower,
                 uint64_t noise_seed, double rate);

  /// Called with u and v of each step before the weights change; for audits.
  using Observer = std::function<void(const TensorList& u, const TensorList& v)>;
  void observe(Observer observer) { observer_ = std::move(observer); }

 private:
  Models models_;
  Observer observer_;
  Hypergradient& hypergradient_;
  Optimizer& optimizer_;
  double gamma_;
  double max_grad_norm_;
};

/// The parameters that the upper level trains: the upper backbone's, then the head's.
NamedTensors upper_parameters(Backbone& upper, Downstream& downstream);

/// θ_D ← (1 − a)·θ_D + a·θ_P over the backbones' parameters; buffers stay.
void adapt_upper_backbone(Backbone& upper, Backbone& lower, double strength);

}  // namespace bissl
