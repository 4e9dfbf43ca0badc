#include "bissl/pretext.h"

#include "conformance/checker.h"
#include "conformance/differences.h"
#include "conformance/module_record.h"
#include "conformance/pretext_trial.h"
#include "conformance/task_backbone.h"
#include "models/evaluation_guard.h"
#include "models/gradients.h"
#include "models/module_state.h"

#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <fmt/ranges.h>
#include <torch/csrc/autograd/functions/accumulate_grad.h>
#include <torch/nn/module.h>

#include <algorithm>
#include <cmath>
#include <unordered_set>

namespace bissl::host {
namespace {

constexpr int64_t training_steps = 40;

void require_made(const Checker& checker) {
  const PretextTrial first(checker, at::kFloat);
  const PretextTrial second(checker, at::kFloat);
  require(first.pretext->views() >= 1, "views() is {}", first.pretext->views());
  require(first.pretext->views() == first.pretext->views() &&
              first.pretext->views() == second.pretext->views(),
          "views() differs from call to call, or from instance to instance");
  require(first.pretext->coupling() == second.pretext->coupling(),
          "coupling() differs from instance to instance");
  require(first.pretext->reads_geometry() == second.pretext->reads_geometry(),
          "reads_geometry() differs from instance to instance");
  require(first.pretext->holds_targets_fixed() == second.pretext->holds_targets_fixed(),
          "holds_targets_fixed() differs from instance to instance");
  require(&first.pretext->module() == &first.pretext->module(),
          "module() is another module at each call");
  ModuleRecord(first.pretext->module(), "the task")
      .require_same_structure(second.pretext->module(), "in another instance");
  require_no_nan(first.pretext->module(), "the task", "when the factory returns");
}

/// What a generator's state is after `work`, for two seeds, must differ.
void require_not_seeded(const std::string& what, const std::function<void()>& work) {
  TensorList states;
  for (const uint64_t seed : {21, 22}) {
    seed_generator(seed);
    work();
    states.push_back(generator_state());
  }
  require(!states[0].equal(states[1]),
          "{} sets the seed of LibTorch's generator: that is the host's, and all that is random in "
          "a run depends on it. Draw from it as it is",
          what);
}

/// The leaves of a graph: tensors whose gradients it leads to.
TensorList leaves_of(const at::Tensor& loss) {
  TensorList leaves;
  std::unordered_set<torch::autograd::Node*> seen;
  std::vector<std::shared_ptr<torch::autograd::Node>> open = {loss.grad_fn()};
  while (!open.empty()) {
    const std::shared_ptr<torch::autograd::Node> node = open.back();
    open.pop_back();
    if (!node || !seen.insert(node.get()).second) {
      continue;
    }
    if (const auto* end = dynamic_cast<torch::autograd::AccumulateGrad*>(node.get())) {
      leaves.push_back(end->variable);
    }
    for (const torch::autograd::Edge& edge : node->next_edges()) {
      open.push_back(edge.function);
    }
  }
  return leaves;
}

bool equal(const Views& left, const Views& right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [](const at::Tensor& x, const at::Tensor& y) {
                      return x.sizes() == y.sizes() && x.equal(y);
                    });
}

bool contains(const TensorList& list, const at::Tensor& tensor) {
  return std::any_of(list.begin(), list.end(),
                     [&](const at::Tensor& other) { return other.is_same(tensor); });
}

/// Weights in the graph that neither module has. What is made in each call anew (a perturbation of
/// the images, say) is none.
void require_weights_in_module(const PretextTrial& trial) {
  const Views views = trial.views(trial_samples, 31);
  const at::Tensor first_loss = trial.evaluate(views);
  const TensorList first = leaves_of(first_loss);
  const at::Tensor second_loss = trial.evaluate(views);
  const TensorList known = trial.parameters();
  for (const at::Tensor& leaf : leaves_of(second_loss)) {
    require(contains(known, leaf) || !contains(first, leaf),
            "a weight of shape [{}] takes part in the loss, but is not in module(): it is neither "
            "trained nor saved. Register it with register_parameter or register_module",
            fmt::join(leaf.sizes(), ", "));
  }
}

/// Somewhere the loss leads into the backbone, on one of three batches.
void require_backbone_moves(const PretextTrial& trial) {
  const TensorList parameters = trial.backbone_parameters();
  double size = 0;
  for (const uint64_t batch : {31, 32, 33}) {
    const at::Tensor loss = trial.evaluate(trial.views(trial_samples, batch));
    const TensorList leaves = leaves_of(loss);
    require(std::any_of(parameters.begin(), parameters.end(),
                        [&](const at::Tensor& one) { return contains(leaves, one); }),
            "the loss has a graph, but no parameter of the backbone is in it: it would never move "
            "the backbone. Use what backbone.forward(…) gives, without detach()");
    const TensorList gradients = gradients_of(loss, parameters);
    require(all_finite(gradients), "the loss is {}, but its gradient is not finite",
            loss.item<double>());
    size = std::max(size, norm(gradients));
  }
  require(size > 0,
          "the gradient of the loss is 0 in all parameters of the backbone, on three batches: it "
          "would never move the backbone");
}

void require_loss_changes_nothing(const PretextTrial& trial) {
  repeat(training_steps, [&](int64_t i) {
    const ModuleRecord backbone(trial.backbone->module(), "the backbone");
    const ModuleRecord task(trial.pretext->module(), "the task");
    trial.backbone->begin();
    const Views views = trial.views(trial_samples, 100 + uint64_t(i));
    const Views given = copy(views);
    at::Tensor loss;
    {
      const c10::AutoGradMode grad(true);
      loss = trial.loss(given);
      const bool still_on = c10::GradMode::is_enabled();
      require(still_on, "loss leaves gradient mode off; use a guard object (NoGradGuard)");
    }
    require(equal(given, views),
            "loss changes the views that it is given, which the host uses again: clone them first");
    require(std::none_of(given.begin(), given.end(),
                         [](const at::Tensor& view) { return view.requires_grad(); }),
            "loss switches requires_grad of the views on, which the host uses again: use detach() "
            "first");
    for (const ModuleRecord* record : {&backbone, &task}) {
      record->require_same_tensors("loss");
      record->require_same_values(ModuleRecord::Part::parameters, "loss");
      record->require_same_gradients("loss");
    }
    backbone.require_same_modes("loss");
    trial.backbone->require_buffers_of_a_pass("loss");
    trial.step(i);
  });
}

/// Before the first step, and when the task has seen the backbone.
void require_before_step_spares_backbone(const PretextTrial& trial) {
  constexpr int64_t steps = 4;
  for (int64_t i = 0; i < steps; ++i) {
    const ModuleRecord backbone(trial.backbone->module(), "the backbone");
    trial.before_step(i);
    backbone.require_same_tensors("before_step");
    backbone.require_same_values(ModuleRecord::Part::all, "before_step");
    backbone.require_same_modes("before_step");
    trial.step(i);
  }
}

void require_after_step_spares_backbone(const PretextTrial& trial) {
  repeat(training_steps, [&](int64_t i) {
    trial.step(i, /*whole=*/false);
    const ModuleRecord backbone(trial.backbone->module(), "the backbone");
    const ModuleRecord task(trial.pretext->module(), "the task");
    trial.after_step(i);
    backbone.require_same_tensors("after_step");
    backbone.require_same_values(ModuleRecord::Part::all, "after_step");
    backbone.require_same_modes("after_step");
    task.require_same_tensors("after_step");
  });
}

void require_structure_kept(const Checker& checker, const PretextTrial& trial) {
  const ModuleRecord backbone(trial.backbone->module(), "the backbone");
  const ModuleRecord task(trial.pretext->module(), "the task");
  const auto require_kept = [&](const std::string& when) {
    backbone.require_same_structure(trial.backbone->module(), when);
    task.require_same_structure(trial.pretext->module(), when);
    require_no_nan(trial.backbone->module(), "the backbone", when);
    require_no_nan(trial.pretext->module(), "the task", when);
  };
  trial.evaluate(trial.views(trial_samples, 31));
  require_kept("after loss");
  trial.after_step(0);
  require_kept("after after_step");
  repeat(training_steps, [&](int64_t i) {
    trial.step(i);
    require_kept(fmt::format("after {} steps", i + 1));
  });
  const PretextTrial another(checker, at::kFloat, 9);
  task.require_same_structure(another.pretext->module(), "in an instance that was made later");
}

void require_no_trace(const PretextTrial& trial) {
  const Views views = trial.views(trial_samples, 31);
  const ModuleRecord backbone(trial.backbone->module(), "the backbone");
  const ModuleRecord task(trial.pretext->module(), "the task");
  const double first = trial.evaluate(copy(views)).item<double>();
  for (int i = 0; i < 3; ++i) {
    const Views given = copy(views);
    const double again = trial.evaluate(given).item<double>();
    for (const ModuleRecord* record : {&backbone, &task}) {
      record->require_same_values(ModuleRecord::Part::all, "loss");
    }
    require(equal(given, views), "loss changes the views that it is given: clone them first");
    require(
        again == first || (std::isnan(again) && std::isnan(first)),
        "the loss changes from {} to {} from call to call, although weights, views, buffers and "
        "LibTorch's generator are the same: some state is elsewhere (a member, a static, "
        "std::rand, the time). What a step changes belongs in buffers",
        first, again);
  }
  require_not_seeded("loss", [&] { trial.loss(views); });
}

/// An audit has an instance of its own, with copies of all parameters and buffers.
void require_same_loss_of_a_copy(const Checker& checker) {
  constexpr int64_t steps = 3;
  const PretextTrial first(checker, at::kFloat);
  for (int64_t i = 0; i < steps; ++i) {
    first.step(i);
  }
  first.before_step(steps);
  const PretextTrial second(checker, at::kFloat, 9);
  copy_state(first.backbone->module(), second.backbone->module());
  copy_state(first.pretext->module(), second.pretext->module());
  const Views views = first.views(trial_samples, 31);
  const double expected = first.evaluate(views).item<double>();
  const double found = second.evaluate(views).item<double>();
  require(expected == found,
          "after {} steps, another instance with copies of all parameters and buffers has the loss "
          "{}, the first {}: something that the loss needs is elsewhere. What before_step takes of "
          "the progress belongs in buffers of module(), where audits find it",
          steps, found, expected);
}

/// The loss is a function of the backbone that it is given, not of one that it has seen before.
void require_backbone_given(const Checker& checker) {
  const PretextTrial first(checker, at::kFloat);
  const PretextTrial second(checker, at::kFloat);
  const Views views = first.views(trial_samples, 31);
  first.evaluate(views);
  ObservedBackbone other(checker.task_backbone().make(88));
  const auto loss = [&](const PretextTrial& trial) {
    const EvaluationGuard guard({&other.module(), &trial.pretext->module()}, 1);
    const c10::AutoGradMode grad(true);
    return trial.pretext->loss(other, trial.batch(views)).item<double>();
  };
  const double expected = loss(second);
  const double found = loss(first);
  require(expected == found,
          "with a backbone that it has not seen before, the loss of an instance is {}, that of one "
          "that saw another backbone first {}: it keeps something of the first. Use the backbone "
          "that is given, and keep a teacher's weights in buffers",
          expected, found);
}

/// A loss that holds targets fixed has another gradient than that of its value, on one of three
/// batches at least. A declaration that is not true would keep its derivatives from being checked.
void require_targets_held(const PretextTrial& trial) {
  const TensorList parameters = trial.parameters();
  for (const uint64_t batch : {31, 32, 33}) {
    const Views views = trial.views(trial_samples, batch);
    try {
      require_gradient([&] { return trial.evaluate(views); }, parameters);
    } catch (const Violation&) {
      return;
    }
  }
  throw Violation(
      "holds_targets_fixed() is true, but on three batches the gradient is that of the loss's "
      "value: nothing that depends on the trained weights is held fixed. Return false, so that the "
      "derivatives are compared with differences");
}

void check_derivatives(Checker& checker) {
  constexpr const char* first_name = "the gradient is that of the loss";
  constexpr const char* second_name = "the second derivative is that of the gradient";
  std::unique_ptr<PretextTrial> trial;
  Views views;
  if (!checker.check("works in double precision, as audits need it", [&] {
        trial = std::make_unique<PretextTrial>(checker, at::kDouble);
        views = trial->views(trial_samples, 31);
        const at::Tensor loss = trial->evaluate(views);
        require_scalar(loss);
        require(loss.scalar_type() == at::kDouble,
                "weights and views are of double precision, the loss is of type {}: something on "
                "its way converts to another type. Use that of the inputs (tensor.options())",
                c10::toString(loss.scalar_type()));
      })) {
    return;
  }
  const LossFunction loss = [&] { return trial->evaluate(views); };
  const TensorList parameters = trial->parameters();
  checker.check("the Hessian is symmetric, linear and finite",
                [&] { require_symmetric_hessian(loss, parameters); });
  if (trial->pretext->holds_targets_fixed()) {
    checker.check("targets are held fixed, as declared", [&] { require_targets_held(*trial); });
    for (const char* name : {first_name, second_name}) {
      checker.skip(name,
                   "the loss holds targets fixed, as holds_targets_fixed() says: differences of "
                   "losses would move them as well");
    }
    return;
  }
  const bool right = checker.check(first_name, [&] {
    try {
      require_gradient(loss, parameters);
    } catch (const Violation& violation) {
      throw Violation(fmt::format(
          "{}. A derivative is wrong, or a part of the graph is cut off by detach(). If the loss "
          "holds targets fixed on purpose (stop-gradient, as SimSiam does), say so in "
          "holds_targets_fixed()",
          violation.what()));
    }
  });
  if (right) {
    checker.check(second_name, [&] { require_second_derivative(loss, parameters); });
  } else {
    checker.skip(second_name, "the first one is not right");
  }
}

}  // namespace

void check_pretext(Checker& checker) {
  if (!checker.check("is made for a width of features, with at least one view",
                     [&] { require_made(checker); })) {
    return;
  }
  // First, since the code of the library must not have run in this process.
  checker.check("training continues with the same bits from parameters and buffers",
                [&] { require_resumable(pretext_learners(checker)); });
  const auto trial = [&] { return PretextTrial(checker, at::kFloat); };
  if (!checker.check("the loss is a finite scalar with a graph", [&] {
        const PretextTrial one = trial();
        require_not_seeded("the factory", [&] { one.make(); });
        const ModuleRecord backbone(one.backbone->module(), "the backbone");
        const at::Tensor loss = one.evaluate(one.views(trial_samples, 31));
        backbone.require_same_tensors("loss");
        require_scalar(loss);
      })) {
    return;
  }
  checker.check("the loss moves the backbone", [&] { require_backbone_moves(trial()); });
  checker.check("all weights of the loss are in module()",
                [&] { require_weights_in_module(trial()); });
  checker.check("loss leaves its views, the backbone and all weights alone",
                [&] { require_loss_changes_nothing(trial()); });
  checker.check("before_step leaves the backbone alone",
                [&] { require_before_step_spares_backbone(trial()); });
  checker.check("after_step leaves the backbone alone",
                [&] { require_after_step_spares_backbone(trial()); });
  checker.check("parameters and buffers keep their names and shapes, and stay finite",
                [&] { require_structure_kept(checker, trial()); });
  checker.check("a pass that is no training leaves no trace", [&] { require_no_trace(trial()); });
  checker.check("a copy of the state has the same loss",
                [&] { require_same_loss_of_a_copy(checker); });
  checker.check("the loss is that of the backbone that it is given",
                [&] { require_backbone_given(checker); });
  check_pretext_inputs(checker);
  check_derivatives(checker);
}

}  // namespace bissl::host
