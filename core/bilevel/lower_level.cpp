#include "bilevel/lower_level.h"

#include "bilevel/diverged.h"
#include "models/attribution.h"
#include "models/gradients.h"
#include "models/module_state.h"

#include <c10/core/GradMode.h>

#include <cmath>

namespace bissl {

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
                       double max_grad_norm)
    : backbone_(backbone),
      pretext_(pretext),
      optimizer_(optimizer),
      max_grad_norm_(max_grad_norm),
      parameters_(lower_parameters(backbone, pretext)),
      backbone_parameters_(trainable_parameters(backbone.module()).size()) {}

void LowerLevel::tie_to(Backbone& anchor, double lambda) {
  anchor_ = tensors_of(trainable_parameters(anchor.module()));
  lambda_ = lambda;
}

PretextStep LowerLevel::step(const Views& views, double lr_scale, const Observer& observe) {
  PretextStep result;
  TensorList gradients = in_gradient(pretext_, backbone_, [&] {
    const c10::AutoGradMode grad(true);
    const at::Tensor loss = pretext_.loss(backbone_, views);
    result.loss = loss.item<double>();
    return gradients_of(loss, tensors_of(parameters_));
  });
  const c10::NoGradGuard no_grad;
  if (!anchor_.empty()) {
    double squared = 0;
    for (size_t i = 0; i < backbone_parameters_; ++i) {
      const at::Tensor difference = parameters_[i].second.sub(anchor_[i]);
      squared += dot({difference}, {difference});
      gradients[i] = gradients[i].add(difference, lambda_);
    }
    result.proximity = 0.5 * lambda_ * squared;
  }
  result.gradient_norm = clip_norm(gradients, max_grad_norm_);
  if (!std::isfinite(result.loss) || !std::isfinite(result.gradient_norm)) {
    throw Diverged(
        fmt::format("the pretext training diverged: loss {}, gradient norm {}. Try a smaller "
                    "learning rate or a longer warm-up",
                    result.loss, result.gradient_norm));
  }
  if (observe) {
    const bool clipped = max_grad_norm_ > 0 && result.gradient_norm > max_grad_norm_;
    observe(gradients, clipped ? max_grad_norm_ / result.gradient_norm : 1.0);
  }
  assign_gradients(parameters_, gradients);
  optimizer_.step(lr_scale);
  pretext_.after_step(backbone_);
  return result;
}

}  // namespace bissl
