#pragma once

#include "bissl/optimizer.h"
#include "bissl/pretext.h"
#include "models/training_step.h"

#include <functional>
#include <utility>

namespace bissl::host {

/// The result of one step of the lower level, or of pretraining.
struct PretextStep {
  double loss = 0;           ///< L_P on the batch, before the step
  double proximity = 0;      ///< (λ/2)·‖θ_P − θ_D‖²
  double gradient_norm = 0;  ///< before clipping
  double pretext_norm = 0;   ///< ‖∂L_P/∂θ_P‖, without the proximity term
};

/// Training of backbone and pretext head on L_P(θ_P, φ_P) + (λ/2)·‖θ_P − θ_D‖² (method of
/// arXiv 2410.02387, lower level). Without an anchor it is plain pretraining.
class LowerLevel {
 public:
  /// `optimizer` holds the parameters of the backbone ("backbone." before their names) and then
  /// those of the pretext task, as lower_parameters gives them.
  LowerLevel(Backbone& backbone, Pretext& pretext, Optimizer& optimizer, double max_grad_norm,
             double grad_norm_guard = 0);

  /// Ties the backbone to `anchor`, another backbone of the same shapes that is only read.
  void tie_to(Backbone& anchor, double lambda);

  /// What is called in a step; each may be empty.
  struct Observer {
    /// Right before the loss, with models and generator as it finds them.
    std::function<void()> before_loss{};
    /// When all is known but the optimizer has not moved the weights; the backbone's gradients
    /// are the first.
    TrainingStep::Observer before_update{};
  };

  /// One optimizer step on `batch` at `lr_scale` times the base rate; `progress` is what the
  /// pretext task is given. Throws Error(ErrorKind::run) when the loss or the gradient is not
  /// finite; the weights are then those before the step.
  PretextStep step(const Batch& batch, double lr_scale, const TrainingProgress& progress,
                   const Observer& observer);
  /// The same unobserved.
  PretextStep step(const Batch& batch, double lr_scale, const TrainingProgress& progress) {
    return step(batch, lr_scale, progress, {});
  }

  /// The same on the mean over `parts` batches, for a separable loss.
  PretextStep step(int64_t parts, const std::function<Batch()>& next, double lr_scale,
                   const TrainingProgress& progress, const Observer& observer);

 private:
  Backbone& backbone_;
  Pretext& pretext_;
  TrainingStep step_;  ///< the backbone's parameters first
  size_t backbone_parameters_;
  TensorList anchor_;
  double lambda_ = 0;
};

/// The parameters that the lower level trains: the backbone's, then the pretext task's.
NamedTensors lower_parameters(Backbone& backbone, Pretext& pretext);

}  // namespace bissl::host
