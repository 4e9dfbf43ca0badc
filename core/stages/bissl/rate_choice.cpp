#include "stages/bissl/rate_choice.h"

#include "bilevel/optimizer_abilities.h"
#include "bilevel/step_length.h"
#include "models/evaluation_guard.h"
#include "models/kept_state.h"
#include "models/module_state.h"
#include "models/training_step.h"
#include "stages/bissl/parts.h"
#include "stages/rates.h"
#include "telemetry/interrupt.h"

#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <utility>

namespace bissl::host {
namespace {

constexpr int64_t lower_pairs = 4;
constexpr int64_t upper_pairs = 8;

/// The batches of one side of a pair: 0 for A, 1 for B.
class Side {
 public:
  Side(const BatchSource& source, int64_t batches, int64_t pair, int64_t side)
      : source_(source), next_((2 * pair + side) * batches) {}

  Batch next() { return source_.make(next_++); }

 private:
  const BatchSource& source_;
  int64_t next_;
};

/// Lets `step` move `weights`. All else in the modules is as before afterwards: running statistics,
/// queues, teachers.
template <class Step>
void move_only(const TensorList& weights, const torch::nn::Module& first,
               const torch::nn::Module& second, Step&& step) {
  if (interrupted()) {
    throw Interrupted();
  }
  TensorList moved;
  {
    const KeptState kept_first(first);
    const KeptState kept_second(second);
    std::forward<Step>(step)();
    moved = copy(weights);
  }
  const c10::NoGradGuard no_grad;
  for (size_t i = 0; i < weights.size(); ++i) {
    weights[i].copy_(moved[i]);
  }
}

/// With `optimizer` as the level has it.
std::optional<RateChoice> choose(const StepTrial& trial, Optimizer& optimizer) {
  const at::Tensor generator = generator_state();
  const std::optional<double> length = best_step_length(trial);
  set_generator_state(generator);
  if (!length) {
    return std::nullopt;
  }
  RateChoice choice;
  choice.momentum = momentum_of(optimizer);
  choice.factor = *length * (1.0 - choice.momentum);
  choice.rate = choice.factor * optimizer.learning_rate();
  return choice;
}

}  // namespace

std::optional<RateChoice> choose_lower_rate(const StageContext& context, BisslParts& parts) {
  Backbone& backbone = *parts.lower_backbone;
  Pretext& pretext = *parts.pretext;
  const LowerOptions& options = parts.lower_options;
  const NamedTensors trained = lower_parameters(backbone, pretext);
  const TensorList weights = tensors_of(trained);
  const auto step = [&](int64_t pair, double lr_scale) {
    move_only(weights, backbone.module(), pretext.module(), [&] {
      const auto optimizer =
          make_optimizer(parts.lower_table, trained, backbone, options.step_samples());
      LowerLevel level(backbone, pretext, *optimizer, options.max_grad_norm,
                       options.grad_norm_guard);
      Side a(*parts.lower.source, options.accumulate, pair, 0);
      level.step(options.accumulate, [&] { return a.next(); }, lr_scale, {0, parts.lower.steps},
                 {});
    });
  };
  const auto gradient = [&](int64_t pair) {
    const EvaluationGuard guard({&backbone.module(), &pretext.module()},
                                context.seed_for(fmt::format("lower-rate#{}", pair)));
    Side b(*parts.lower.source, options.accumulate, pair, 1);
    return mean_gradient(options.accumulate,
                         [&] {
                           const Batch batch = b.next();
                           return loss_gradient(pretext, backbone, weights,
                                                [&] { return pretext.loss(backbone, batch); });
                         })
        .gradients;
  };
  return choose({weights, lower_pairs, step, gradient}, *parts.lower.optimizer);
}

std::optional<RateChoice> choose_upper_rate(const StageContext& context, BisslParts& parts) {
  Backbone& backbone = *parts.upper_backbone;
  Downstream& downstream = *parts.downstream;
  const UpperOptions& options = parts.upper_options;
  const NamedTensors trained = upper_parameters(backbone, downstream);
  const TensorList weights = tensors_of(trained);
  const auto gradient_on = [&](int64_t pair, int64_t side) {
    const EvaluationGuard guard({&backbone.module(), &downstream.module()},
                                context.seed_for(fmt::format("upper-rate#{}", pair)));
    Side batches(*parts.upper.source, options.accumulate, pair, side);
    int64_t number = (2 * pair + side) * options.accumulate;
    return mean_gradient(options.accumulate, [&] {
      return downstream_gradient(backbone, downstream, weights,
                                 task_batch(batches.next(), parts.upper_mix, number++));
    });
  };
  const auto step = [&](int64_t pair, double lr_scale) {
    move_only(weights, backbone.module(), downstream.module(), [&] {
      const auto optimizer =
          make_optimizer(parts.upper_table, trained, backbone, options.step_samples());
      LossGradient gradient = gradient_on(pair, 0);
      scale(gradient.gradients, 1.0 + parts.options.gamma);
      TrainingStep(trained, *optimizer,
                   {.max_grad_norm = options.max_grad_norm,
                    .grad_norm_guard = options.grad_norm_guard,
                    .name = "a trial of the upper level",
                    .advice = "Give upper.lr_factor as a number"})
          .take(std::move(gradient), lr_scale);
    });
  };
  const auto gradient = [&](int64_t pair) { return gradient_on(pair, 1).gradients; };
  return choose({weights, upper_pairs, step, gradient}, *parts.upper.optimizer);
}

}  // namespace bissl::host
