// Checks of what a downstream task makes of its targets: any number of them, right and wrong
// outputs, entries that do not count.

#include "bissl/error.h"
#include "conformance/downstream_trial.h"
#include "conformance/samples.h"
#include "conformance/task_backbone.h"
#include "models/gradients.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full_like.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace bissl::host {
namespace {

/// Whether the loss takes outputs for scores: less where the target's is the largest.
bool acts_as_classifier(Downstream& task, int64_t classes, int64_t width) {
  const at::Tensor targets =
      sample_targets(numbered_targets(TargetKind::category, classes), 2 * classes, at::kFloat)
          .dense;
  const double right = loss_of(task, decided_scores(targets, classes, width, 0, 10), {targets});
  for (int64_t shift = 1; shift < classes; ++shift) {
    const at::Tensor wrong = decided_scores(targets, classes, width, shift, 10);
    if (!(loss_of(task, wrong, {targets}) > right)) {
      return false;
    }
  }
  return true;
}

bool names_top1(const Metrics& metrics) {
  return std::any_of(metrics.begin(), metrics.end(), [](const auto& metric) {
    return metric.name.rfind("top1", 0) == 0 || metric.name.rfind("top-1", 0) == 0;
  });
}

/// Outputs of another width than the number of targets may be read in a way of the task's own, but
/// not by mistake.
void require_meant(Downstream& task, const TargetSpec& spec, const at::Tensor& outputs,
                   const Metrics& metrics) {
  const int64_t width = outputs.dim() == 2 ? outputs.size(1) : 0;
  if (width == spec.width) {
    return;
  }
  if (spec.kind == TargetKind::category) {
    require(!names_top1(metrics),
            "{0} classes gave outputs of shape {1}, and the metrics are those of a classification; "
            "it must have an output for each class, (N, {0})",
            spec.width, shape_text(outputs));
    require(width < spec.width || !acts_as_classifier(task, spec.width, width),
            "{0} classes gave outputs of shape {1}, which the loss takes for scores of classes; "
            "there must be an output for each class, (N, {0}), as DownstreamContext::targets says",
            spec.width, shape_text(outputs));
    return;
  }
  const bool spread =
      spec.kind != TargetKind::mask && spec.width > 1 && outputs.numel() == outputs.size(0);
  require(!spread,
          "{0} {1} targets gave outputs of shape {2}, one number for each sample, which LibTorch "
          "would compare with each of the {0}; there must be an output for each, (N, {0})",
          spec.width, to_string(spec.kind), shape_text(outputs));
}

/// One number of targets: the task works with them. Returns whether its outputs are (N, K).
bool check_number(Downstream& task, const TargetSpec& spec, const ImageShape& view) {
  const int64_t samples = std::max<int64_t>(spec.width, 3);
  const at::Tensor inputs = head_inputs(task, samples, 43).to(at::kFloat);
  const TargetBatch targets = sample_targets(spec, samples, at::kFloat, view);
  const at::Tensor outputs = evaluate(task, inputs);
  const auto failed = [&](const char* where, const std::exception& exception) {
    throw Violation(
        fmt::format("with {} {} targets, outputs of shape {} and targets of shape {}, "
                    "{} fails: {}",
                    spec.width, to_string(spec.kind), shape_text(outputs),
                    shape_text(targets.dense), where, exception.what()));
  };
  Metrics result;
  try {
    const double loss = loss_of(task, outputs, targets);
    require(std::isfinite(loss), "with {} {} targets the loss is {}", spec.width,
            to_string(spec.kind), loss);
  } catch (const std::exception& exception) {
    failed("loss()", exception);
  }
  try {
    const c10::NoGradGuard no_grad;
    const auto metrics = task.metrics();
    require(metrics != nullptr, "metrics() gave nothing");
    metrics->add(outputs, targets);
    result = metrics->result();
  } catch (const std::exception& exception) {
    failed("the accumulator of metrics()", exception);
  }
  require_meant(task, spec, outputs, result);
  return outputs.dim() == 2 && outputs.size(1) == spec.width;
}

bool all_numbers(const Checker& checker, TargetKind kind) {
  bool direct = kind != TargetKind::mask;
  for (const int64_t width : numbers_of_targets(kind)) {
    const TargetSpec spec = numbered_targets(kind, width);
    std::shared_ptr<Downstream> task;
    try {
      task = make_head(checker, spec);
    } catch (const Error&) {
      continue;  // refused as wrong input
    }
    direct = check_number(*task, spec, checker.task_backbone().input()) && direct;
  }
  return direct;
}

/// What a wrong output for a sample that has something that counts costs.
void require_each_sample_counts(const HeadTrial& trial, const at::Tensor& right_outputs,
                                const at::Tensor& wrong_outputs, double right) {
  for (int64_t i = 0; i < HeadTrial::samples; ++i) {
    at::Tensor one_wrong = right_outputs.clone();
    one_wrong[i].copy_(wrong_outputs[i]);
    const double mixed = loss_of(*trial.task, one_wrong, trial.targets);
    const std::string what =
        trial.spec.kind == TargetKind::category
            ? fmt::format("of class {}", trial.targets.dense[i].item<int64_t>())
            : fmt::format("({} targets)", to_string(trial.spec.kind));
    require(right < mixed, "a wrong output for sample {} {} costs nothing: {} as for right ones", i,
            what, mixed);
  }
}

/// Outputs that differ from `outputs` wherever the target does not count, and only there.
at::Tensor moved_beside(const at::Tensor& outputs, const TargetBatch& targets) {
  return outputs.where(targets.counted(), outputs * -7 + 3);
}

Metrics metrics_of(const HeadTrial& trial, const at::Tensor& outputs) {
  const EvaluationOf mode(*trial.task);
  const c10::NoGradGuard no_grad;
  const auto metrics = trial.task->metrics();
  metrics->add(outputs.to(at::kFloat), in_single(trial.targets));
  return metrics->result();
}

void require_not_counted(const HeadTrial& trial) {
  const at::Tensor moved = moved_beside(trial.outputs, trial.targets);
  const double loss = loss_of(*trial.task, trial.outputs, trial.targets);
  const double other = loss_of(*trial.task, moved, trial.targets);
  require(std::abs(loss - other) <= 1e-12 * (1 + std::abs(loss)),
          "outputs for entries that do not count (NaN in the targets) change the loss from {} to "
          "{}; take it over TargetBatch::counted() alone",
          loss, other);
  require(metrics_of(trial, trial.outputs) == metrics_of(trial, moved),
          "outputs for entries that do not count (NaN in the targets) change the metrics; leave "
          "them out, TargetBatch::counted() tells which");
  const c10::AutoGradMode grad(true);
  at::Tensor outputs = trial.outputs.clone().requires_grad_();
  const TargetBatch nothing{
      at::full_like(trial.targets.dense, std::numeric_limits<double>::quiet_NaN())};
  const at::Tensor empty = trial.task->loss(outputs, nothing);
  require(std::isfinite(value_of(empty)),
          "the loss of a batch in which nothing counts is {}; divide by the number that counts, "
          "but at least by 1",
          value_of(empty));
  require(!empty.requires_grad() || all_finite(gradients_of(empty, {outputs})),
          "the gradient of a batch in which nothing counts is not finite");
}

}  // namespace

void check_numbers_of_targets(const Checker& checker, HeadTrials& trials) {
  for (HeadTrial& trial : trials) {
    trial.direct = all_numbers(checker, trial.spec.kind);
  }
}

void check_order_of_losses(const HeadTrial& trial) {
  for (const double scale : {1.0, 10.0}) {
    const at::Tensor right_outputs = decided_outputs(trial.spec, trial.targets, 0, scale);
    const double right = loss_of(*trial.task, right_outputs, trial.targets);
    for (int64_t way = 1; way <= wrong_ways(trial.spec); ++way) {
      const at::Tensor wrong_outputs = decided_outputs(trial.spec, trial.targets, way, scale);
      const double wrong = loss_of(*trial.task, wrong_outputs, trial.targets);
      const bool classes = trial.spec.kind == TargetKind::category;
      require(right < wrong,
              "outputs {} cost {}, {} {}; right ones must cost less. Are targets ignored or moved, "
              "or is a sign wrong?",
              classes ? "with the largest score at the target" : "that are right", right,
              classes ? fmt::format("with the largest {} classes further", way)
                      : fmt::format("that are wrong by {}", scale),
              wrong);
      require_each_sample_counts(trial, right_outputs, wrong_outputs, right);
    }
  }
}

void check_what_does_not_count(const HeadTrials& trials) {
  HeadTrials with_gaps;
  std::copy_if(trials.begin(), trials.end(), std::back_inserter(with_gaps),
               [](const HeadTrial& trial) {
                 return trial.direct && trial.spec.kind != TargetKind::category;
               });
  if (with_gaps.empty()) {
    throw NotApplicable("it takes no targets that have entries which do not count");
  }
  for_each_kind(with_gaps, require_not_counted);
}

}  // namespace bissl::host
