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
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace bissl {
namespace {

std::string shape_of(const at::Tensor& tensor) {
  return fmt::format("[{}]", fmt::join(tensor.sizes(), ", "));
}

double value_of(const at::Tensor& loss) {
  require(loss.defined() && loss.dim() == 0,
          "the loss has shape {}; it must be a scalar, of shape []",
          loss.defined() ? shape_of(loss) : "none");
  return loss.item<double>();
}

double loss_of(Downstream& task, const at::Tensor& outputs, const at::Tensor& targets) {
  const c10::NoGradGuard no_grad;
  return value_of(task.loss(outputs.clone(), {targets.clone()}));
}

at::Tensor evaluate(Downstream& task, const at::Tensor& inputs) {
  const EvaluationOf mode(task);
  return task.forward(inputs).detach();
}

/// The numbers of classes that are tried; a task may refuse some as wrong input.
constexpr std::array<int64_t, 9> numbers_of_classes = {4, 3, 8, 2, 5, 10, 16, 21, 100};

/// What a pass in single precision does, double precision must do as well.
at::Tensor forward_in_double(Downstream& task, const at::Tensor& inputs) {
  try {
    return evaluate(task, inputs);
  } catch (const std::exception& exception) {
    const std::string text = exception.what();
    const bool types = text.find("dtype") != std::string::npos ||
                       text.find("scalar type") != std::string::npos ||
                       text.find("Double") != std::string::npos;
    throw Violation(
        types
            ? fmt::format("forward() works in single, but not in double precision: a weight is "
                          "not in module(), or a tensor is made in single precision; register "
                          "weights and layers with module(), make tensors with the options of the "
                          "features. LibTorch says: {}",
                          text)
            : text);
  }
}

TargetSpec numbered_classes(int64_t classes) {
  std::vector<std::string> names;
  for (int64_t number = 0; number < classes; ++number) {
    names.push_back(std::to_string(number));
  }
  return TargetSpec::named(TargetKind::category, std::move(names));
}

void make_for_some_classes(const Checker& checker, HeadTrial& trial) {
  std::string refusal;
  for (const int64_t classes : numbers_of_classes) {
    try {
      trial.task = make_head(checker, classes);
      trial.classes = classes;
      break;
    } catch (const Error& error) {
      refusal = error.what();
    }
  }
  require(trial.task != nullptr, "no number of classes is accepted; the last refusal: {}", refusal);
}

void make_trial(const Checker& checker, HeadTrial& trial) {
  make_for_some_classes(checker, trial);
  trial.inputs = normal_numbers({HeadTrial::samples, HeadTrial::features}, 41);
  trial.targets = targets_of(HeadTrial::samples, trial.classes);
  const at::Tensor single = evaluate(*trial.task, trial.inputs.to(at::kFloat));
  require(all_finite({single}), "some outputs are not finite");
  convert_to_double(trial.task->module());
  trial.outputs = forward_in_double(*trial.task, trial.inputs);
  for (const int64_t count : {HeadTrial::samples, int64_t{1}, int64_t{5}}) {
    const at::Tensor outputs = evaluate(*trial.task, trial.inputs.narrow(0, 0, count));
    require(outputs.dim() >= 1 && outputs.size(0) == count,
            "{} samples gave outputs of shape {}; the first size must be the number of samples",
            count, shape_of(outputs));
    require(outputs.sizes().slice(1) == trial.outputs.sizes().slice(1),
            "{} samples gave outputs of shape {}, {} samples {}", count, shape_of(outputs),
            HeadTrial::samples, shape_of(trial.outputs));
  }
  const auto wide = make_head(checker, trial.classes, 17);
  evaluate(*wide, normal_numbers({3, 17}, 42).to(at::kFloat));
}

/// Whether the loss takes outputs for scores: less where the target's is the largest.
bool acts_as_classifier(Downstream& task, int64_t classes, int64_t width) {
  const at::Tensor targets = targets_of(2 * classes, classes);
  const double right = loss_of(task, decided_scores(targets, classes, width, 0, 10), targets);
  for (int64_t shift = 1; shift < classes; ++shift) {
    const at::Tensor wrong = decided_scores(targets, classes, width, shift, 10);
    if (!(loss_of(task, wrong, targets) > right)) {
      return false;
    }
  }
  return true;
}

bool names_top1(const Metrics& metrics) {
  return std::any_of(metrics.begin(), metrics.end(), [](const auto& metric) {
    return metric.first.rfind("top1", 0) == 0 || metric.first.rfind("top-1", 0) == 0;
  });
}

/// One number of classes: the task works with each of them as target. Returns the width of outputs
/// (N, width), 0 for others.
int64_t check_classes(Downstream& task, int64_t classes) {
  const at::Tensor inputs = normal_numbers({classes, HeadTrial::features}, 43).to(at::kFloat);
  const at::Tensor targets = targets_of(classes, classes);
  const at::Tensor outputs = evaluate(task, inputs);
  const auto failed = [&](const char* where, const std::exception& exception) {
    throw Violation(
        fmt::format("with {} classes, outputs of shape {} and targets 0 … {}, {} fails: {}",
                    classes, shape_of(outputs), classes - 1, where, exception.what()));
  };
  Metrics result;
  try {
    const double loss = loss_of(task, outputs, targets);
    require(std::isfinite(loss), "with {} classes the loss is {}", classes, loss);
  } catch (const std::exception& exception) {
    failed("loss()", exception);
  }
  try {
    const c10::NoGradGuard no_grad;
    const auto metrics = task.metrics();
    require(metrics != nullptr, "metrics() gave nothing");
    metrics->add(outputs, {targets});
    result = metrics->result();
  } catch (const std::exception& exception) {
    failed("the accumulator of metrics()", exception);
  }
  const int64_t width = outputs.dim() == 2 ? outputs.size(1) : 0;
  if (width != classes) {
    require(
        !names_top1(result),
        "{} classes gave outputs of shape {}, and the metrics are those of a classification; it "
        "must have an output for each class, (N, {})",
        classes, shape_of(outputs), classes);
    require(
        width < classes || !acts_as_classifier(task, classes, width),
        "{} classes gave outputs of shape {}, which the loss takes for scores of classes; there "
        "must be an output for each class, (N, {}), as DownstreamContext::targets says",
        classes, shape_of(outputs), classes);
  }
  return width;
}

void check_numbers_of_classes(const Checker& checker, HeadTrial& trial) {
  bool all = true;
  for (const int64_t classes : numbers_of_classes) {
    std::shared_ptr<Downstream> task;
    try {
      task = make_head(checker, classes);
    } catch (const Error&) {
      continue;  // refused as wrong input
    }
    all = check_classes(*task, classes) == classes && all;
  }
  trial.scores = all;
}

void check_loss(const HeadTrial& trial) {
  const double loss = loss_of(*trial.task, trial.outputs, trial.targets);
  require(std::isfinite(loss), "the loss is {}", loss);
  require(loss_of(*trial.task, trial.outputs, trial.targets) == loss,
          "the loss of the same outputs and targets differs at a second call");
  const at::Tensor order = at::arange(HeadTrial::samples - 1, -1, -1, at::kLong);
  const double reversed = loss_of(*trial.task, trial.outputs.index_select(0, order),
                                  trial.targets.index_select(0, order));
  require(std::abs(reversed - loss) <= 1e-9 * (1 + std::abs(loss)),
          "the loss is {}, and {} when the samples are in another order", loss, reversed);
  for (int64_t i = 0; i < HeadTrial::samples; ++i) {
    const double alone =
        loss_of(*trial.task, trial.outputs.narrow(0, i, 1), trial.targets.narrow(0, i, 1));
    require(std::isfinite(alone), "the loss of sample {} alone is {}", i, alone);
  }
  if (!trial.scores) {
    return;
  }
  // Networks that are sure of themselves have such outputs; in single precision the softmax of one
  // is 0 then.
  const c10::AutoGradMode grad(true);
  at::Tensor sure = decided_scores(trial.targets, trial.classes, trial.classes, 1, 150)
                        .to(at::kFloat)
                        .requires_grad_();
  const at::Tensor large = trial.task->loss(sure, {trial.targets});
  require(!std::isnan(value_of(large)), "the loss is NaN for outputs of 150");
  const at::Tensor gradient = gradients_of(large, {sure})[0];
  require(!gradient.isnan().any().item<bool>(),
          "the gradient is NaN for outputs of 150: take log_softmax or cross_entropy_loss instead "
          "of the logarithm of a softmax");
}

void check_order_of_losses(const HeadTrial& trial) {
  if (!trial.scores) {
    throw NotApplicable(
        fmt::format("outputs are not (N, classes) but of shape {}", shape_of(trial.outputs)));
  }
  const int64_t classes = trial.classes;
  for (const double scale : {1.0, 10.0}) {
    const auto scores = [&](int64_t shift) {
      return decided_scores(trial.targets, classes, classes, shift, scale);
    };
    const double right = loss_of(*trial.task, scores(0), trial.targets);
    for (int64_t shift = 1; shift < classes; ++shift) {
      const double wrong = loss_of(*trial.task, scores(shift), trial.targets);
      require(right < wrong,
              "outputs with the largest score at the target cost {}, with the largest {} classes "
              "further {}; right ones must cost less. Are targets ignored or moved, or is a sign "
              "wrong?",
              right, shift, wrong);
      for (int64_t i = 0; i < HeadTrial::samples; ++i) {
        at::Tensor one_wrong = scores(0);
        one_wrong[i].copy_(scores(shift)[i]);
        const double mixed = loss_of(*trial.task, one_wrong, trial.targets);
        require(right < mixed,
                "a wrong output for sample {} of class {} costs nothing: {} as for right ones", i,
                trial.targets[i].item<int64_t>(), mixed);
      }
    }
  }
}

void check_untouched(const HeadTrial& trial) {
  const at::Tensor inputs = trial.inputs.clone();
  const at::Tensor outputs = trial.outputs.clone();
  const at::Tensor targets = trial.targets.clone();
  const auto require_same = [&](const char* where) {
    require(inputs.equal(trial.inputs), "{} changes the features; work on a copy", where);
    require(outputs.equal(trial.outputs), "{} changes the outputs; work on a copy", where);
    require(targets.scalar_type() == at::kLong && targets.equal(trial.targets),
            "{} changes the targets; work on a copy", where);
  };
  for (const bool training : {true, false}) {
    set_training(trial.task->module(), training);
    const c10::NoGradGuard no_grad;
    trial.task->forward(inputs);
    require_same("forward()");
    trial.task->loss(outputs, {targets});
    require_same("loss()");
    const auto metrics = trial.task->metrics();
    metrics->add(outputs, {targets});
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
  return task.loss(task.forward(trial.inputs), {trial.targets});
}

void check_chance(const Checker& checker, const HeadTrial& trial) {
  const auto loss = [&] {
    const EvaluationGuard guard({&trial.task->module()}, 5);
    return value_of(trial.task->loss(trial.task->forward(trial.inputs), {trial.targets}));
  };
  require_no_draws("the constructor", Generators::all_but_torch,
                   [&] { make_head(checker, trial.classes); });
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
  const at::Tensor loss = trial.task->loss(trial.task->forward(inputs), {trial.targets});
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
    auto task = make_head(checker, trial.classes);
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
  const auto first = make_head(checker, trial.classes);
  const auto second = make_head(checker, trial.classes);
  require_alike(first->module(), second->module());
  const NamedTensors a = module_state(first->module());
  const NamedTensors b = module_state(second->module());
  for (size_t i = 0; i < a.size(); ++i) {
    require(a[i].second.equal(b[i].second),
            "\"{}\" differs although LibTorch's generator began alike: draw from it alone",
            a[i].first);
  }
}

}  // namespace

std::shared_ptr<Downstream> make_head(const Checker& checker, int64_t classes, int64_t features) {
  seed_generator(7);
  try {
    return checker.make<Downstream>({.features = features, .targets = numbered_classes(classes)});
  } catch (const Error& error) {
    require(error.kind() == ErrorKind::input,
            "the factory fails for {} features and {} classes: {}; refuse what cannot be handled "
            "with fail_input",
            features, classes, error.what());
    throw;
  }
}

std::shared_ptr<Downstream> make_downstream_for_some_classes(const Checker& checker) {
  HeadTrial trial;
  make_for_some_classes(checker, trial);
  return trial.task;
}

at::Tensor targets_of(int64_t samples, int64_t classes) {
  return at::arange(samples, at::kLong).remainder(classes);
}

at::Tensor decided_scores(const at::Tensor& targets, int64_t classes, int64_t width, int64_t shift,
                          double scale) {
  const at::Tensor best = (targets + shift).remainder(classes).unsqueeze(1);
  const double rest = 0.1 / double(width);
  return at::full({targets.size(0), width}, rest, at::kDouble).scatter(1, best, 1 - rest) * scale;
}

EvaluationOf::EvaluationOf(Downstream& task) : task_(task) { set_training(task.module(), false); }

EvaluationOf::~EvaluationOf() { set_training(task_.module(), true); }

void check_downstream(Checker& checker) {
  HeadTrial trial;
  if (!checker.check("is made for features and classes, and gives outputs", [&] {
        const c10::NoGradGuard no_grad;
        make_trial(checker, trial);
      })) {
    return;
  }
  checker.check("instances are alike but independent, and one generator gives the same weights",
                [&] { check_instances(checker, trial); });
  if (!checker.check("any number of classes, with outputs for each",
                     [&] { check_numbers_of_classes(checker, trial); })) {
    return;
  }
  if (!checker.check("the loss is a finite scalar", [&] { check_loss(trial); })) {
    return;
  }
  checker.check("right outputs cost less than wrong ones", [&] { check_order_of_losses(trial); });
  checker.check("features, outputs and targets stay as they are", [&] { check_untouched(trial); });
  checker.check("in evaluation a sample does not depend on chance, on others or on their order",
                [&] { check_evaluation(trial); });
  checker.check("chance in training comes from LibTorch's generator",
                [&] { check_chance(checker, trial); });
  if (checker.check("the gradient reaches the head and the features",
                    [&] { check_gradient_reaches(trial); })) {
    checker.check("the gradient is that of the loss, in the head and in the features", [&] {
      TensorList parameters = tensors_of(trainable_parameters(trial.task->module()));
      parameters.push_back(trial.inputs.clone().requires_grad_());
      const LossFunction loss = [&] {
        const EvaluationGuard guard({&trial.task->module()}, 1);
        const c10::AutoGradMode grad(true);
        return trial.task->loss(trial.task->forward(parameters.back()), {trial.targets});
      };
      require_gradient(loss, parameters);
    });
    checker.check("what training changes is in parameters and buffers, of fixed names and shapes",
                  [&] { check_state(checker, trial); });
  }
  check_metrics(checker, trial);
}

}  // namespace bissl
