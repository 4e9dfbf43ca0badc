// What a pretext task makes of its views: how many, how large, which.

#include "bissl/error.h"
#include "conformance/advice.h"
#include "conformance/checker.h"
#include "conformance/module_record.h"
#include "conformance/pretext_trial.h"
#include "conformance/task_backbone.h"
#include "models/evaluation_guard.h"
#include "models/gradients.h"
#include "models/module_state.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <c10/core/GradMode.h>
#include <torch/nn/module.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace bissl::host {
namespace {

/// The loss, and what it leaves in buffers.
std::pair<double, TensorList> effect_of(const PretextTrial& trial, const Batch& batch) {
  const EvaluationGuard guard({&trial.backbone->module(), &trial.pretext->module()}, 1);
  const c10::AutoGradMode grad(true);
  const double loss = trial.pretext->loss(*trial.backbone, batch).item<double>();
  TensorList buffers;
  for (const at::Tensor& buffer : trial.pretext->module().buffers()) {
    buffers.push_back(buffer.detach().clone());
  }
  return {loss, buffers};
}

/// Whether two batches have the same loss and leave the same buffers.
bool same_effect(const PretextTrial& trial, const Batch& one, const Batch& other) {
  const auto [loss, buffers] = effect_of(trial, one);
  const auto [other_loss, other_buffers] = effect_of(trial, other);
  return loss == other_loss &&
         std::equal(buffers.begin(), buffers.end(), other_buffers.begin(), same_bits);
}

void require_views_matter(const PretextTrial& trial) {
  for (int64_t i = 0; i < 3; ++i) {
    trial.step(i);
  }
  const Batch batch = trial.batch(trial.views(trial_samples, 31));
  const Views others = trial.views(trial_samples, 35);
  for (size_t view = 0; view < batch.views.size(); ++view) {
    Batch changed = batch;
    changed.views[view] = others[view];
    require(!same_effect(trial, batch, changed),
            "other images in view {} of {} change neither the loss nor a buffer: the loss ignores "
            "them. Use the view, or say fewer in views()",
            view, batch.views.size());
  }
}

/// The samples' targets in another order, in which other samples have the same ones.
TargetBatch exchanged(const TargetBatch& targets) {
  const int64_t samples = targets.dense.size(0);
  const at::Tensor order =
      at::cat({at::arange(samples / 2), at::arange(samples / 2, samples).flip({0})});
  return {targets.dense.index_select(0, order)};
}

void require_rest_matters(const PretextTrial& trial) {
  const Batch batch = trial.batch(trial.views(trial_samples, 31));
  if (!batch.targets.dense.defined() && batch.geometry.empty()) {
    throw NotApplicable("the task takes no targets and does not read the views' geometry");
  }
  if (batch.targets.dense.defined()) {
    Batch changed = batch;
    changed.targets = exchanged(batch.targets);
    require(!same_effect(trial, batch, changed),
            "other targets change neither the loss nor a buffer: the loss ignores them. Use "
            "Batch::targets, or leave .takes empty, so that data without targets will do");
  }
  if (!batch.geometry.empty()) {
    Batch changed = batch;
    changed.geometry = trial.batch(batch.views, 1).geometry;
    require(!same_effect(trial, batch, changed),
            "views that lie elsewhere in their images change neither the loss nor a buffer: the "
            "loss ignores where they lie. Use Batch::geometry, or return false in "
            "reads_geometry()");
  }
}

/// A batch that the task may refuse as wrong input, but must not choke on.
void require_takes(const Checker& checker, int64_t samples, const ImageShape& shape) {
  const PretextTrial trial(checker, at::kFloat);
  const ModuleRecord task(trial.pretext->module(), "the task");
  const std::string batch =
      fmt::format("a batch of {} samples of {}x{} pixels", samples, shape.height, shape.width);
  try {
    const at::Tensor loss = trial.evaluate(trial.views(samples, 36, shape));
    require_scalar(loss);
    require(all_finite(gradients_of(loss, trial.parameters())), "the gradient of {} is not finite",
            batch);
    trial.loss(trial.views(samples, 36, shape));
    task.require_same_structure(trial.pretext->module(), "after " + batch);
  } catch (const Violation&) {
    throw;
  } catch (const Error& error) {
    require(error.kind() == ErrorKind::input,
            "{} fails: {}. Refuse what you cannot take as wrong input, with fail_input", batch,
            error.what());
  } catch (const std::exception& exception) {
    throw Violation(
        fmt::format("{} fails: {}. Take it, or refuse it as wrong input, with fail_input", batch,
                    with_advice(exception.what())));
  }
}

void require_finite_for_equal_views(const PretextTrial& trial) {
  Views views = trial.views(trial_samples, 31);
  for (int64_t view = 1; view < int64_t(views.size()); ++view) {
    views[view].copy_(views[0]);
  }
  const at::Tensor loss = trial.evaluate(views);
  require(all_finite({loss}), "where all views of a sample are equal, the loss is {}",
          loss.item<double>());
  require(
      all_finite(gradients_of(loss, trial.parameters())),
      "where all views of a sample are equal, the loss is {}, but its gradient is not finite: a "
      "square root, a logarithm or a quotient at 0 needs a small constant",
      loss.item<double>());
}

/// For a loss that says that samples do not couple: that of a batch is the mean of its halves'.
void require_no_coupling(const PretextTrial& trial) {
  const c10::NoGradGuard no_grad;
  set_training(trial.backbone->module(), false);
  set_training(trial.pretext->module(), false);
  const Batch batch = trial.batch(trial.views(trial_samples, 31));
  const auto loss = [&](int64_t first, int64_t count) {
    const EvaluationGuard guard({&trial.backbone->module(), &trial.pretext->module()}, 1);
    const auto narrow = [&](TensorList tensors) {
      for (at::Tensor& tensor : tensors) {
        tensor = tensor.narrow(0, first, count);
      }
      return tensors;
    };
    Batch part(narrow(batch.views));
    part.geometry = narrow(batch.geometry);
    part.indices = batch.indices.narrow(0, first, count);
    if (batch.targets.dense.defined()) {
      part.targets.dense = batch.targets.dense.narrow(0, first, count);
    }
    return trial.pretext->loss(*trial.backbone, part).item<double>();
  };
  const double whole = loss(0, trial_samples);
  const double halves =
      0.5 * (loss(0, trial_samples / 2) + loss(trial_samples / 2, trial_samples / 2));
  require(std::abs(whole - halves) <= 1e-6 * (1 + std::abs(whole)),
          "coupling() is separable, but a batch has the loss {} and its halves {} in the mean",
          whole, halves);
}

/// Whether the loss draws random numbers: then halves of a batch see others than the whole.
bool draws(const PretextTrial& trial) {
  const EvaluationGuard guard({&trial.backbone->module(), &trial.pretext->module()}, 1);
  const at::Tensor before = generator_state();
  trial.loss(trial.views(trial_samples, 31));
  return !generator_state().equal(before);
}

/// Why there is nothing to check about samples that do not couple; empty if there is.
std::string why_not_checked(const PretextTrial& trial) {
  if (trial.pretext->coupling() != BatchCoupling::separable) {
    return "it is declared as coupled, which always holds";
  }
  return draws(trial) ? "the loss draws random numbers, so halves of a batch see others" : "";
}

void check_coupling(Checker& checker) {
  constexpr const char* name = "the batch couples as declared";
  std::string reason;
  try {
    reason = why_not_checked(PretextTrial(checker, at::kDouble));
  } catch (const std::exception&) {
    // The check below fails in the same way, and is there to say so.
  }
  if (reason.empty()) {
    checker.check(name, [&] { require_no_coupling(PretextTrial(checker, at::kDouble)); });
  } else {
    checker.skip(name, reason);
  }
}

}  // namespace

void check_pretext_inputs(Checker& checker) {
  checker.check("each view counts",
                [&] { require_views_matter(PretextTrial(checker, at::kFloat)); });
  checker.check("targets and geometry count where they are asked for",
                [&] { require_rest_matters(PretextTrial(checker, at::kFloat)); });
  checker.check("takes batches of any size from 2 on", [&] {
    for (const int64_t samples : {2, 3, 16}) {
      require_takes(checker, samples, checker.task_backbone().input());
    }
  });
  checker.check("takes images that are not square", [&] {
    const auto [channels, height, width] = checker.task_backbone().input();
    require_takes(checker, trial_samples, {channels, height, width * 3 / 2});
    require_takes(checker, trial_samples, {channels, height * 3 / 2, width});
  });
  checker.check("the loss is finite where views are equal",
                [&] { require_finite_for_equal_views(PretextTrial(checker, at::kFloat)); });
  check_coupling(checker);
}

}  // namespace bissl::host
