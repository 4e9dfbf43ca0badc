#include "bilevel/lower_level.h"

#include "models/gradients.h"
#include "models/module_state.h"

namespace bissl::host {

NamedTensors lower_parameters(Backbone& backbone, Pretext& pretext) {
  NamedTensors all;
  for (const auto& [name, tensor] : trainable_parameters(backbone.module())) {
    all.emplace_back("backbone." + name, tensor);
  }
  for (const auto& [name, tensor] : trainable_parameters(pretext.module())) {
    all.emplace_back("pretext." + name, tensor);
  }
  return all;
}

LowerLevel::LowerLevel(Backbone& backbone, Pretext& pretext, Optimizer& optimizer,
                       double max_grad_norm, double grad_norm_guard)
    : backbone_(backbone),
      pretext_(pretext),
      step_(lower_parameters(backbone, pretext), optimizer,
            {.max_grad_norm = max_grad_norm,
             .grad_norm_guard = grad_norm_guard,
             .name = "the pretext training",
             .advice = "Try a smaller learning rate or a longer warm-up"}),
      backbone_parameters_(trainable_parameters(backbone.module()).size()) {}

void LowerLevel::tie_to(Backbone& anchor, double lambda) {
  anchor_ = tensors_of(trainable_parameters(anchor.module()));
  lambda_ = lambda;
}

PretextStep LowerLevel::step(const Batch& batch, double lr_scale, const TrainingProgress& progress,
                             const Observer& observer) {
  return step(
      1, [&] { return batch; }, lr_scale, progress, observer);
}

PretextStep LowerLevel::step(int64_t parts, const std::function<Batch()>& next, double lr_scale,
                             const TrainingProgress& progress, const Observer& observer) {
  pretext_.before_step(progress);
  if (observer.before_loss) {
    observer.before_loss();
  }
  LossGradient gradient = mean_gradient(parts, [&] {
    const Batch batch = next();
    return loss_gradient(pretext_, backbone_, step_.parameters(),
                         [&] { return pretext_.loss(backbone_, batch); });
  });
  PretextStep result;
  result.loss = gradient.loss;
  const auto backbone_end =
      gradient.gradients.begin() + static_cast<std::ptrdiff_t>(backbone_parameters_);
  result.pretext_norm = norm(TensorList(gradient.gradients.begin(), backbone_end));
  result.proximity = add_pull(gradient.gradients, step_.parameters(), anchor_, lambda_);
  result.gradient_norm = step_.take(std::move(gradient), lr_scale, observer.before_update);
  pretext_.after_step(backbone_, progress);
  return result;
}

}  // namespace bissl::host
