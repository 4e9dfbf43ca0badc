#include "bissl/downstream.h"

#include "bissl/error.h"
#include "conformance/checker.h"
#include "conformance/differences.h"
#include "conformance/downstream_trial.h"
#include "conformance/module_checks.h"
#include "conformance/samples.h"
#include "conformance/surroundings.h"
#include "models/evaluation_guard.h"
#include "models/gradients.h"
#include "models/module_state.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <c10/core/GradMode.h>

#include <cmath>

namespace bissl::host {
namespace {

/// Networks that are sure of themselves have such outputs; in single precision the softmax and the
/// sigmoid of one are 0 then.
void check_sure_outputs(const HeadTrial& trial) {
  const c10::AutoGradMode grad(true);
  const TargetBatch targets = in_single(trial.targets);
  at::Tensor sure = decided_outputs(trial.spec, targets, 1, 150).to(at::kFloat).requires_grad_();
  const at::Tensor large = trial.task->loss(sure, targets);
  const char* const advice =
      trial.spec.kind == TargetKind::multi_label
          ? "take binary_cross_entropy_with_logits instead of the logarithm of a sigmoid"
          : "take log_softmax or cross_entropy_loss instead of the logarithm of a softmax";
  require(!std::isnan(value_of(large)), "the loss is NaN for outputs of 150: {}", advice);
  const at::Tensor gradient = gradients_of(large, {sure})[0];
  require(!gradient.isnan().any().item<bool>(), "the gradient is NaN for outputs of 150: {}",
          advice);
}

void check_loss(const HeadTrial& trial) {
  const double loss = loss_of(*trial.task, trial.outputs, trial.targets);
  require(std::isfinite(loss), "the loss is {}", loss);
  require(loss_of(*trial.task, trial.outputs, trial.targets) == loss,
          "the loss of the same outputs and targets differs at a second call");
  const at::Tensor order = at::arange(HeadTrial::samples - 1, -1, -1, at::kLong);
  const double reversed =
      loss_of(*trial.task, trial.outputs.index_select(0, order), chosen_from(trial.targets, order));
  require(std::abs(reversed - loss) <= 1e-9 * (1 + std::abs(loss)),
          "the loss is {}, and {} when the samples are in another order", loss, reversed);
  for (int64_t i = 0; i < HeadTrial::samples; ++i) {
    const double alone =
        loss_of(*trial.task, trial.outputs.narrow(0, i, 1), part_of(trial.targets, i, 1));
    require(std::isfinite(alone), "the loss of sample {} alone is {}", i, alone);
  }
  if (trial.direct) {
    check_sure_outputs(trial);
  }
}

void check_untouched(const HeadTrial& trial) {
  const at::Tensor inputs = trial.inputs.clone();
  const at::Tensor outputs = trial.outputs.clone();
  const TargetBatch targets{trial.targets.dense.clone()};
  const auto require_same = [&](const char* where) {
    require(inputs.equal(trial.inputs), "{} changes the features; work on a copy", where);
    require(outputs.equal(trial.outputs), "{} changes the outputs; work on a copy", where);
    require(same(targets, trial.targets), "{} changes the targets; work on a copy", where);
  };
  for (const bool training : {true, false}) {
    set_training(trial.task->module(), training);
    const c10::NoGradGuard no_grad;
    trial.task->forward(inputs);
    require_same("forward()");
    trial.task->loss(outputs, targets);
    require_same("loss()");
    const auto metrics = trial.task->metrics();
    metrics->add(outputs, targets);
    require_same("add() of the metrics");
    metrics->result();
    require_same("result() of the metrics");
    require(is_training(trial.task->module()) == training,
            "the module was left in another mode than it was in (training or evaluation)");
  }
  set_training(trial.task->module(), true);
}

void check_evaluation(const HeadTrial& trial) {
  Downstream& task = *trial.task;
  const ModuleCopy before(task.module());
  const auto require_near = [&](const at::Tensor& found, const at::Tensor& expected,
                                const char* when) {
    require(norm({found - expected}) <= 1e-9 * (1 + norm({expected})),
            "in evaluation mode the outputs of a sample differ {}", when);
  };
  const at::Tensor together = evaluate(task, trial.inputs);
  require(evaluate(task, trial.inputs).equal(together),
          "in evaluation mode a second pass gives other outputs: give dropout the module's mode, "
          "module().is_training(), and keep no state");
  for (int64_t i = 0; i < HeadTrial::samples; ++i) {
    require_near(evaluate(task, trial.inputs.narrow(0, i, 1)), together.narrow(0, i, 1),
                 "when it is alone");
  }
  const at::Tensor order = at::arange(HeadTrial::samples - 1, -1, -1, at::kLong);
  require_near(evaluate(task, trial.inputs.index_select(0, order)), together.index_select(0, order),
               "when samples are in another order");
  require_no_draws("forward() in evaluation mode", Generators::all,
                   [&] { evaluate(task, trial.inputs); });
  require_no_draws("loss()", Generators::all_but_torch,
                   [&] { loss_of(task, trial.outputs, trial.targets); });
  const std::string changed = before.changed(task.module());
  require(changed.empty(), "\"{}\" of the module changed in evaluation mode", changed);
}

/// The loss of the trial's samples, drawing as after `seed`.
at::Tensor seeded_loss(Downstream& task, const HeadTrial& trial, uint64_t seed) {
  const c10::AutoGradMode grad(true);
  seed_generator(seed);
  return task.loss(task.forward(trial.inputs), trial.targets);
}

void check_chance(const Checker& checker, const HeadTrial& trial) {
  const auto loss = [&] {
    const EvaluationGuard guard({&trial.task->module()}, 5);
    return value_of(trial.task->loss(trial.task->forward(trial.inputs), trial.targets));
  };
  require_no_draws("the constructor", Generators::all_but_torch,
                   [&] { make_head(checker, trial.spec); });
  require_no_draws("forward() or loss()", Generators::all_but_torch, [&] {
    const double first = loss();
    require(loss() == first,
            "the loss in training mode changes from call to call although buffers and LibTorch's "
            "generator are restored: draw from that generator alone, keep state in buffers");
  });
}

void check_gradient_reaches(const HeadTrial& trial) {
  const EvaluationGuard guard({&trial.task->module()}, 5);
  const c10::AutoGradMode grad(true);
  const at::Tensor inputs = trial.inputs.clone().requires_grad_();
  const at::Tensor loss = trial.task->loss(trial.task->forward(inputs), trial.targets);
  require(loss.requires_grad(),
          "the loss has no gradient at all: something detaches it from the features");
  const NamedTensors parameters = trainable_parameters(trial.task->module());
  TensorList wanted = tensors_of(parameters);
  wanted.push_back(inputs);
  const TensorList gradients = gradients_of(loss, wanted);
  require(all_finite(gradients), "the gradient is not finite");
  require(
      norm({gradients.back()}) > 0,
      "the features get no gradient, so the backbone would not learn: something in forward() or "
      "loss() detaches them");
  if (!parameters.empty()) {
    require(norm({gradients.begin(), gradients.end() - 1}) > 0,
            "no parameter of the head gets a gradient: something in forward() or loss() detaches "
            "them");
  }
}

void check_gradient(const HeadTrial& trial) {
  TensorList parameters = tensors_of(trainable_parameters(trial.task->module()));
  parameters.push_back(trial.inputs.clone().requires_grad_());
  const LossFunction loss = [&] {
    const EvaluationGuard guard({&trial.task->module()}, 1);
    const c10::AutoGradMode grad(true);
    return trial.task->loss(trial.task->forward(parameters.back()), trial.targets);
  };
  require_gradient(loss, parameters);
}

void train(Downstream& task, const HeadTrial& trial, int steps, uint64_t seed) {
  for (int step = 0; step < steps; ++step) {
    const TensorList parameters = tensors_of(trainable_parameters(task.module()));
    const TensorList gradients =
        gradients_of(seeded_loss(task, trial, seed + static_cast<uint64_t>(step)), parameters);
    const c10::NoGradGuard no_grad;
    for (size_t i = 0; i < parameters.size(); ++i) {
      parameters[i].variable_data().add_(gradients[i], -0.01);
    }
  }
}

void check_state(const Checker& checker, const HeadTrial& trial) {
  const auto make = [&] {
    auto task = make_head(checker, trial.spec);
    convert_to_double(task->module());
    set_training(task->module(), true);
    return task;
  };
  const auto first = make();
  const auto structure = structure_of(first->module());
  train(*first, trial, 4, 100);
  require_structure(first->module(), structure, "after training steps");
  evaluate(*first, trial.inputs);
  require_structure(first->module(), structure, "after an evaluation");
  const auto second = make();
  require_alike(first->module(), second->module());
  copy_state(first->module(), second->module());
  for (int round = 0; round < 2; ++round) {
    require(evaluate(*first, trial.inputs).equal(evaluate(*second, trial.inputs)),
            "after training steps an instance with the same parameters and buffers gives other "
            "outputs: some state is elsewhere, and would be lost when a run is resumed; keep it in "
            "buffers of module()");
    const double a = value_of(seeded_loss(*first, trial, 7));
    const double b = value_of(seeded_loss(*second, trial, 7));
    require(
        a == b,
        "after training steps the loss is {}, and {} in an instance with the same parameters "
        "and buffers: some state is elsewhere, and would be lost when a run is resumed; keep it "
        "in buffers of module()",
        a, b);
    train(*first, trial, 2, 200);
    train(*second, trial, 2, 200);
  }
}

void check_instances(const Checker& checker, const HeadTrial& trial) {
  const auto first = make_head(checker, trial.spec);
  const auto second = make_head(checker, trial.spec);
  require_alike(first->module(), second->module());
  const NamedTensors a = module_state(first->module());
  const NamedTensors b = module_state(second->module());
  for (size_t i = 0; i < a.size(); ++i) {
    require(a[i].tensor.equal(b[i].tensor),
            "\"{}\" differs although LibTorch's generator began alike: draw from it alone",
            a[i].name);
  }
}

}  // namespace

void check_downstream(Checker& checker) {
  HeadTrials trials;
  if (!checker.check("is made for features and targets, and gives outputs", [&] {
        const c10::NoGradGuard no_grad;
        for (const TargetKind kind : checker.choice().component->info.text.takes) {
          trials.push_back(make_trial(checker, kind));
        }
      })) {
    return;
  }
  const auto check = [&](const char* name, const std::function<void(const HeadTrial&)>& body) {
    return checker.check(name, [&] { for_each_kind(trials, body); });
  };
  check("instances are alike but independent, and one generator gives the same weights",
        [&](const HeadTrial& trial) { check_instances(checker, trial); });
  if (!checker.check("any number of targets, with outputs for each",
                     [&] { check_numbers_of_targets(checker, trials); }) ||
      !check("the loss is a finite scalar", check_loss)) {
    return;
  }
  checker.check("right outputs cost less than wrong ones",
                [&] { for_each_direct(trials, check_order_of_losses); });
  checker.check("entries that do not count change neither loss nor metrics",
                [&] { check_what_does_not_count(trials); });
  check("a loss that couples samples says so", check_coupling_of_samples);
  check("features, outputs and targets stay as they are", check_untouched);
  check("in evaluation a sample does not depend on chance, on others or on their order",
        check_evaluation);
  check("chance in training comes from LibTorch's generator",
        [&](const HeadTrial& trial) { check_chance(checker, trial); });
  if (check("the gradient reaches the head and the features", check_gradient_reaches)) {
    check("the gradient is that of the loss, in the head and in the features", check_gradient);
    check("what training changes is in parameters and buffers, of fixed names and shapes",
          [&](const HeadTrial& trial) { check_state(checker, trial); });
  }
  check_metrics(checker, trials);
}

}  // namespace bissl::host
