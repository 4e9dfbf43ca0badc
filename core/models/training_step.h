#pragma once

#include "base/phase.h"
#include "bissl/downstream.h"
#include "bissl/optimizer.h"
#include "models/attribution.h"
#include "models/gradients.h"
#include "models/head_outputs.h"
#include "models/loss_scale.h"
#include "models/task_batch.h"

#include <c10/core/GradMode.h>

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

namespace bissl::host {

// The one way in which a training step is made, at every level and in every stage:
//
//     objective → loss → gradients → finite? → clip → observe → assign → optimizer

/// A loss, and its gradients in the parameters that are trained, in their order.
struct LossGradient {
  double loss = 0;
  TensorList gradients;
};

/// The loss that `loss()` returns and its gradients, zero where it does not depend on a parameter.
/// Gradients are recorded while it is called. LibTorch's exceptions, which know no component, come
/// out with the names of task and backbone.
template <class Task, class Loss>
LossGradient loss_gradient(const Task& task, const Backbone& backbone, const TensorList& parameters,
                           Loss&& loss) {
  return in_gradient(task, backbone, [&]() -> LossGradient {
    const c10::AutoGradMode grad(true);
    Phase forward(forward_phase);
    const at::Tensor value = std::forward<Loss>(loss)();
    forward.end();
    const Phase backward(backward_phase);
    LossGradient result;
    result.gradients = training_gradients_of(value, parameters);
    // Behind the backward pass, which a GPU would otherwise wait for between the two.
    result.loss = value.item<double>();
    return result;
  });
}

/// The mean of `parts` losses and of their gradients, for a step on more samples than fit into
/// memory at once: that of the whole batch where a loss is a mean over samples that do not know of
/// each other and all parts have the same size. One part is passed on as it is.
LossGradient mean_gradient(int64_t parts, const std::function<LossGradient()>& part);

/// That of a downstream task on a batch. A frozen backbone records nothing, so none of `parameters`
/// may be its own.
LossGradient downstream_gradient(Backbone& backbone, Downstream& downstream,
                                 const TensorList& parameters, const TaskBatch& batch,
                                 BackboneIs backbone_is = BackboneIs::trained);

/// The second half of a training step, from gradients to moved weights.
class TrainingStep {
 public:
  struct Setting {
    double max_grad_norm = 0;    ///< limit of the norm over all parameters; 0: none
    double grad_norm_guard = 0;  ///< added to the norm by which clipping divides
    std::string name;            ///< what an error calls the training: "fine-tuning"
    std::string advice;          ///< what to try when it diverges: "Try a smaller learning rate"
  };

  /// Called when all is known but the optimizer has not moved the weights: with the gradients that
  /// it gets and the factor that clipping has put on them.
  using Observer = std::function<void(const TensorList& gradients, double clip)>;

  /// `optimizer` holds `parameters` and must outlive this.
  TrainingStep(NamedTensors parameters, Optimizer& optimizer, Setting setting);

  /// What is trained, as tensors.
  const TensorList& parameters() const { return tensors_; }

  /// Moves the weights at `lr_scale` times the base learning rate; returns the norm of the
  /// gradients before clipping. Throws Diverged, with `note` after the numbers, when loss or norm
  /// is not finite; the weights are then those before the step. Where losses are scaled, a norm
  /// that is not finite leaves the step out, without a call of `observe`, and throws only at the
  /// least scale.
  double take(LossGradient gradient, double lr_scale, const Observer& observe = {},
              const std::string& note = "");

 private:
  NamedTensors parameters_;
  TensorList tensors_;
  Optimizer& optimizer_;
  Setting setting_;
};

}  // namespace bissl::host
