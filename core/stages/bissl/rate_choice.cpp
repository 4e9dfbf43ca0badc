#include "stages/bissl/rate_choice.h"

#include "bilevel/optimizer_abilities.h"
#include "bissl/error.h"
#include "models/evaluation_guard.h"
#include "models/kept_state.h"
#include "models/module_state.h"
#include "models/training_step.h"
#include "stages/agreement.h"
#include "stages/bissl/parts.h"
#include "stages/rates.h"

#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <cmath>
#include <utility>

namespace bissl::host {
namespace {

constexpr int64_t lower_trials = 4;
constexpr int64_t upper_trials = 8;

/// How far `step` moves a backbone's weights. All in both modules is as before afterwards.
template <class Step>
double length_of(const torch::nn::Module& backbone, const torch::nn::Module& head, Step&& step) {
  stop_if_any_interrupted();
  const KeptState kept_backbone(backbone);
  const KeptState kept_head(head);
  const TensorList weights = tensors_of(trainable_parameters(backbone));
  const TensorList before = copy(weights);
  std::forward<Step>(step)();
  const c10::NoGradGuard no_grad;
  TensorList moved = copy(weights);
  add_scaled(moved, -1.0, before);
  return norm(moved);
}

/// The mean over the first batches of the lower level.
double lower_step_length(BisslParts& parts) {
  Backbone& backbone = *parts.lower_backbone;
  Pretext& pretext = *parts.pretext;
  const LowerOptions& options = parts.lower_options;
  double sum = 0;
  int64_t number = 0;
  for (int64_t i = 0; i < lower_trials; ++i) {
    sum += length_of(backbone.module(), pretext.module(), [&] {
      const auto optimizer = make_optimizer(parts.lower_table, lower_parameters(backbone, pretext),
                                            backbone, options.step_samples());
      LowerLevel level(backbone, pretext, *optimizer, options.max_grad_norm,
                       options.grad_norm_guard);
      level.step(options.accumulate, [&] { return parts.lower.source->make(number++); },
                 parts.lower.lr_factor, {0, parts.lower.steps}, {});
    });
  }
  return sum / static_cast<double>(lower_trials);
}

/// The mean over the first batches of the upper level, at the optimizer's learning rate.
double upper_step_length(const StageContext& context, BisslParts& parts) {
  Backbone& backbone = *parts.upper_backbone;
  Downstream& downstream = *parts.downstream;
  const UpperOptions& options = parts.upper_options;
  const NamedTensors trained = upper_parameters(backbone, downstream);
  double sum = 0;
  int64_t number = 0;
  for (int64_t i = 0; i < upper_trials; ++i) {
    sum += length_of(backbone.module(), downstream.module(), [&] {
      const EvaluationGuard guard({}, context.seed_for(fmt::format("upper-rate#{}", i)));
      LossGradient gradient = mean_gradient(options.accumulate, [&] {
        const int64_t batch = number++;
        return downstream_gradient(
            backbone, downstream, tensors_of(trained),
            task_batch(parts.upper.source->make(batch), parts.upper_mix, batch));
      });
      scale(gradient.gradients, 1.0 + parts.options.gamma);
      const auto optimizer =
          make_optimizer(parts.upper_table, trained, backbone, options.step_samples());
      TrainingStep(trained, *optimizer,
                   {.max_grad_norm = options.max_grad_norm,
                    .grad_norm_guard = options.grad_norm_guard,
                    .name = "a trial step of the upper level",
                    .advice = "Give upper.lr_factor as a number"})
          .take(std::move(gradient), /*lr_scale=*/1.0);
    });
  }
  return sum / static_cast<double>(upper_trials);
}

/// How far all steps of a level go together, for steps of a length of 1.
double path(const TrainingLevel& level) {
  double factors = 0;
  for (int64_t step = 0; step < level.steps; ++step) {
    factors += level.pace->begin(step);
  }
  level.pace->begin(0);
  return factors / (1.0 - momentum_of(*level.optimizer));
}

}  // namespace

RateChoice choose_upper_rate(const StageContext& context, BisslParts& parts) {
  const at::Tensor generator = generator_state();
  RateChoice choice;
  choice.lower_step = lower_step_length(parts);
  choice.upper_step = upper_step_length(context, parts);
  set_generator_state(generator);
  choice.factor = chosen_balance * choice.lower_step * path(parts.lower) /
                  (choice.upper_step * path(parts.upper));
  choice.rate = choice.factor * parts.upper.optimizer->learning_rate();
  if (!std::isfinite(choice.factor) || choice.factor <= 0) {
    fail_run(
        "upper.lr_factor = \"auto\": a lower step moves the backbone by {:.3g}, an upper step by "
        "{:.3g}, so nothing tells how fast the upper level should go. Give upper.lr_factor as a "
        "number",
        choice.lower_step, choice.upper_step);
  }
  return choice;
}

}  // namespace bissl::host
