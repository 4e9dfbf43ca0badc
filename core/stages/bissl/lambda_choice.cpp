#include "stages/bissl/lambda_choice.h"

#include "bilevel/optimizer_abilities.h"
#include "bissl/error.h"
#include "models/evaluation_guard.h"
#include "models/kept_state.h"
#include "models/module_state.h"
#include "stages/bissl/parts.h"
#include "stages/rates.h"

#include <c10/core/GradMode.h>

#include <cmath>

namespace bissl::host {

LambdaChoice choose_lambda(BisslParts& parts) {
  LambdaChoice choice;
  for (int64_t step = 0; step < parts.lower.steps; ++step) {
    choice.factors += parts.lower.begin(step);
  }
  parts.lower.begin(0);
  choice.momentum = momentum_of(*parts.lower.optimizer);

  const at::Tensor generator = generator_state();
  {
    const KeptState backbone(parts.lower_backbone->module());
    const KeptState pretext(parts.pretext->module());
    const TensorList weights = tensors_of(trainable_parameters(parts.lower_backbone->module()));
    const TensorList before = copy(weights);
    TensorList gradient;
    const auto optimizer =
        make_optimizer(parts.lower_table, lower_parameters(*parts.lower_backbone, *parts.pretext),
                       *parts.lower_backbone, parts.lower_options.step_samples());
    LowerLevel level(*parts.lower_backbone, *parts.pretext, *optimizer,
                     parts.lower_options.max_grad_norm, parts.lower_options.grad_norm_guard);
    int64_t number = 0;
    level.step(parts.lower_options.accumulate, [&] { return parts.lower.source->make(number++); },
               /*lr_scale=*/1.0, {0, parts.lower.steps},
               {.before_update = [&](const TensorList& gradients, double /*clip*/) {
                 const auto end = gradients.begin() + static_cast<std::ptrdiff_t>(weights.size());
                 gradient = copy(TensorList(gradients.begin(), end));
               }});
    const c10::NoGradGuard no_grad;
    TensorList moved = copy(weights);
    add_scaled(moved, -1.0, before);
    choice.rate = -dot(moved, gradient) / dot(gradient, gradient);
  }
  set_generator_state(generator);
  choice.lambda = chosen_pull * (1.0 - choice.momentum) / (choice.rate * choice.factors);
  if (!std::isfinite(choice.lambda) || choice.lambda <= 0) {
    fail_run(
        "lambda = \"auto\": the first lower step does not descend on the pretext loss (it moves "
        "θ_P by {:.3g} along the negative gradient, per unit of it; the schedule's factors add up "
        "to {:.3g}), so nothing says how fast θ_P would follow θ_D. Give lambda as a number",
        choice.rate, choice.factors);
  }
  return choice;
}

}  // namespace bissl::host
