#include "models/training_step.h"

#include "models/diverged.h"
#include "models/module_state.h"
#include "models/precision.h"

#include <cmath>

namespace bissl::host {

LossGradient mean_gradient(int64_t parts, const std::function<LossGradient()>& part) {
  LossGradient sum = part();
  if (parts == 1) {
    return sum;
  }
  for (int64_t i = 1; i < parts; ++i) {
    const LossGradient next = part();
    sum.loss += next.loss;
    add_scaled(sum.gradients, 1.0, next.gradients);
  }
  const double share = 1.0 / static_cast<double>(parts);
  sum.loss *= share;
  scale(sum.gradients, share);
  return sum;
}

LossGradient downstream_gradient(Backbone& backbone, Downstream& downstream,
                                 const TensorList& parameters, const TaskBatch& batch,
                                 BackboneIs backbone_is) {
  return loss_gradient(downstream, backbone, parameters, [&] {
    const at::Tensor outputs = head_outputs(backbone, downstream, batch.images, backbone_is);
    const at::Tensor own = downstream.loss(outputs, batch.targets);
    return batch.share == 1 ? own
                            : own.mul(batch.share)
                                  .add(downstream.loss(outputs, batch.partners), 1.0 - batch.share);
  });
}

TrainingStep::TrainingStep(NamedTensors parameters, Optimizer& optimizer, Setting setting)
    : parameters_(std::move(parameters)),
      tensors_(tensors_of(parameters_)),
      optimizer_(optimizer),
      setting_(std::move(setting)) {}

double TrainingStep::take(LossGradient gradient, double lr_scale, const Observer& observe,
                          const std::string& note) {
  const Phase phase(optimizer_phase);
  const c10::NoGradGuard no_grad;
  const double norm =
      clip_norm(gradient.gradients, setting_.max_grad_norm, setting_.grad_norm_guard);
  LossScale* const of_losses = loss_scale();
  const bool may_skip = of_losses != nullptr && of_losses->value() > LossScale::least;
  if (!std::isfinite(gradient.loss) || (!std::isfinite(norm) && !may_skip)) {
    throw Diverged(fmt::format("{} diverged: loss {}, gradient norm {}{}. {}", setting_.name,
                               gradient.loss, norm, note, setting_.advice));
  }
  if (of_losses != nullptr && !of_losses->accept(std::isfinite(norm))) {
    return norm;
  }
  if (observe) {
    observe(gradient.gradients,
            clip_factor(norm, setting_.max_grad_norm, setting_.grad_norm_guard));
  }
  assign_gradients(parameters_, gradient.gradients);
  optimizer_.step(lr_scale);
  return norm;
}

}  // namespace bissl::host
