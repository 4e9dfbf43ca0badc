#include "conformance/downstream_trial.h"

#include "bissl/error.h"
#include "conformance/advice.h"
#include "conformance/head_on_backbone.h"
#include "conformance/module_checks.h"
#include "conformance/observed_backbone.h"
#include "conformance/samples.h"
#include "conformance/task_backbone.h"
#include "models/evaluation_guard.h"
#include "models/module_state.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <c10/core/GradMode.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>

namespace bissl::host {
namespace {

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

/// Fills in the task and the first spec of the kind that it accepts.
void make_for_some_targets(const Checker& checker, TargetKind kind, HeadTrial& trial) {
  std::string refusal;
  for (const int64_t width : numbers_of_targets(kind)) {
    try {
      trial.spec = numbered_targets(kind, width);
      trial.task = make_head(checker, trial.spec);
      return;
    } catch (const Error& error) {
      refusal = error.what();
    }
  }
  throw Violation(fmt::format("no number of {} targets is accepted; the last refusal: {}",
                              to_string(kind), refusal));
}

/// 1 for a third of the samples of each label, another third of each.
at::Tensor sample_labels(int64_t samples, int64_t width) {
  const at::Tensor place = at::arange(samples).unsqueeze(1) + at::arange(width);
  return place.remainder(3).eq(0).to(at::kDouble);
}

}  // namespace

void for_each_kind(const HeadTrials& trials, const std::function<void(const HeadTrial&)>& check) {
  for (const HeadTrial& trial : trials) {
    try {
      check(trial);
    } catch (const Violation& violation) {
      throw trials.size() == 1
          ? violation
          : Violation(
                fmt::format("with {} targets: {}", to_string(trial.spec.kind), violation.what()));
    }
  }
}

void for_each_direct(const HeadTrials& trials, const std::function<void(const HeadTrial&)>& check) {
  HeadTrials direct;
  std::copy_if(trials.begin(), trials.end(), std::back_inserter(direct),
               [](const HeadTrial& trial) { return trial.direct; });
  if (direct.empty()) {
    throw NotApplicable(fmt::format("outputs are not (N, K) for K targets but of shape {}",
                                    shape_text(trials.front().outputs)));
  }
  for_each_kind(direct, check);
}

TargetSpec numbered_targets(TargetKind kind, int64_t width) {
  std::vector<std::string> names;
  for (int64_t number = 0; number < width; ++number) {
    names.push_back(std::to_string(number));
  }
  return TargetSpec::named(kind, std::move(names));
}

std::vector<int64_t> numbers_of_targets(TargetKind kind) {
  std::vector<int64_t> numbers = {4, 3, 8, 2, 5, 10, 16, 21, 100};
  if (kind == TargetKind::multi_label || kind == TargetKind::values) {
    numbers.push_back(1);
  }
  return numbers;
}

std::shared_ptr<Downstream> make_head(const Checker& checker, const TargetSpec& spec,
                                      int64_t features) {
  const TaskBackbone& source = checker.task_backbone();
  const auto backbone = source.make(8);
  seed_generator(7);
  try {
    auto task = checker.make<Downstream>({.features = features,
                                          .targets = spec,
                                          .input = source.input(),
                                          .backbone = backbone.get(),
                                          .backbone_name = source.name()});
    return reads_backbone(*task)
               ? std::make_shared<HeadOnBackbone>(backbone, std::move(task), source.input())
               : task;
  } catch (const Error& error) {
    require(error.kind() == ErrorKind::input,
            "the factory fails for {} features and {} {} targets: {}; refuse what cannot be "
            "handled with fail_input",
            features, spec.width, to_string(spec.kind), error.what());
    throw;
  }
}

std::string why_head_not_tried(const Checker& checker) {
  const TaskBackbone& source = checker.task_backbone();
  const auto backbone = std::make_shared<ObservedBackbone>(source.make(1));
  const std::vector<TargetKind>& takes = checker.choice().component->info.text.takes;
  try {
    auto task = checker.make<Downstream>({.features = HeadTrial::features,
                                          .targets = numbered_targets(takes.front(), 4),
                                          .input = source.input(),
                                          .backbone = backbone.get(),
                                          .backbone_name = source.name()});
    if (reads_backbone(*task)) {
      const HeadOnBackbone head(backbone, std::move(task), source.input());
    }
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::input && backbone->lacked_ability()) {
      return advice_to_name_a_backbone(error.what());
    }
  } catch (...) {
    // The checks find that, too, and say it.
  }
  return "";
}

at::Tensor head_inputs(const Downstream& task, int64_t samples, uint64_t seed, int64_t features) {
  if (const auto* head = dynamic_cast<const HeadOnBackbone*>(&task)) {
    const ImageShape& images = head->images();
    return normal_numbers({samples, images.channels, images.height, images.width}, seed);
  }
  return normal_numbers({samples, features}, seed);
}

std::shared_ptr<Downstream> make_downstream_for_some_targets(const Checker& checker) {
  HeadTrial trial;
  make_for_some_targets(checker, checker.choice().component->info.text.takes.front(), trial);
  return trial.task;
}

HeadTrial make_trial(const Checker& checker, TargetKind kind) {
  HeadTrial trial;
  make_for_some_targets(checker, kind, trial);
  trial.inputs = head_inputs(*trial.task, HeadTrial::samples, 41);
  trial.targets =
      sample_targets(trial.spec, HeadTrial::samples, at::kDouble, checker.task_backbone().input());
  const at::Tensor single = evaluate(*trial.task, trial.inputs.to(at::kFloat));
  require(all_finite({single}), "some outputs are not finite");
  convert_to_double(trial.task->module());
  trial.outputs = forward_in_double(*trial.task, trial.inputs);
  for (const int64_t count : {HeadTrial::samples, int64_t{1}, int64_t{5}}) {
    const at::Tensor outputs = evaluate(*trial.task, trial.inputs.narrow(0, 0, count));
    require(outputs.dim() >= 1 && outputs.size(0) == count,
            "{} samples gave outputs of shape {}; the first size must be the number of samples",
            count, shape_text(outputs));
    require(outputs.sizes().slice(1) == trial.outputs.sizes().slice(1),
            "{} samples gave outputs of shape {}, {} samples {}", count, shape_text(outputs),
            HeadTrial::samples, shape_text(trial.outputs));
  }
  const auto wide = make_head(checker, trial.spec, 17);
  evaluate(*wide, head_inputs(*wide, 3, 42, 17).to(at::kFloat));
  return trial;
}

TargetBatch sample_targets(const TargetSpec& spec, int64_t samples, c10::ScalarType type,
                           const ImageShape& view) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  const auto with_gaps = [&](at::Tensor entries) -> TargetBatch {
    for (int64_t sample = 5; sample < samples && spec.width > 1; sample += 2) {
      entries[sample][sample % spec.width] = nan;
    }
    return {entries.to(type)};
  };
  switch (spec.kind) {
    case TargetKind::none:
      break;
    case TargetKind::category:
      return {at::arange(samples, at::kLong).remainder(spec.width)};
    case TargetKind::multi_label:
      return with_gaps(sample_labels(samples, spec.width));
    case TargetKind::values:
      return with_gaps(normal_numbers({samples, spec.width}, 44) * 2 + 5);
    case TargetKind::mask: {
      at::Tensor pixels =
          at::arange(samples * view.height * view.width, at::kLong).remainder(spec.width);
      pixels = pixels.reshape({samples, view.height, view.width});
      pixels.select(1, 2).select(1, 3).fill_(not_counted_pixel);
      return {pixels};
    }
  }
  return {};
}

TargetBatch part_of(const TargetBatch& targets, int64_t begin, int64_t count) {
  return {targets.dense.narrow(0, begin, count)};
}

TargetBatch chosen_from(const TargetBatch& targets, const at::Tensor& places) {
  return {targets.dense.index_select(0, places)};
}

TargetBatch in_single(const TargetBatch& targets) {
  return targets.dense.is_floating_point() ? TargetBatch{targets.dense.to(at::kFloat)} : targets;
}

bool same(const TargetBatch& x, const TargetBatch& y) {
  return x.dense.scalar_type() == y.dense.scalar_type() && x.counted().equal(y.counted()) &&
         x.known().equal(y.known());
}

at::Tensor decided_scores(const at::Tensor& categories, int64_t classes, int64_t width,
                          int64_t shift, double scale) {
  const at::Tensor best = (categories + shift).remainder(classes).unsqueeze(1);
  const double rest = 0.1 / static_cast<double>(width);
  return at::full({categories.size(0), width}, rest, at::kDouble).scatter(1, best, 1 - rest) *
         scale;
}

at::Tensor decided_outputs(const TargetSpec& spec, const TargetBatch& targets, int64_t wrong,
                           double scale) {
  if (spec.kind == TargetKind::category) {
    return decided_scores(targets.dense, spec.width, spec.width, wrong, scale);
  }
  const at::Tensor known = targets.known().to(at::kDouble);
  if (spec.kind == TargetKind::multi_label) {
    return (known * 2 - 1) * (wrong == 0 ? scale : -scale);
  }
  return wrong == 0 ? known : known + scale;
}

int64_t wrong_ways(const TargetSpec& spec) {
  return spec.kind == TargetKind::category ? spec.width - 1 : 1;
}

at::Tensor evaluate(Downstream& task, const at::Tensor& inputs) {
  const EvaluationOf mode(task);
  return task.forward(inputs).detach();
}

double value_of(const at::Tensor& loss) {
  require(loss.defined() && loss.dim() == 0,
          "the loss has shape {}; it must be a scalar, of shape []",
          loss.defined() ? shape_text(loss) : "none");
  return loss.item<double>();
}

double loss_of(Downstream& task, const at::Tensor& outputs, const TargetBatch& targets) {
  const c10::NoGradGuard no_grad;
  return value_of(task.loss(outputs.clone(), {targets.dense.clone()}));
}

std::string shape_text(const at::Tensor& tensor) {
  return fmt::format("[{}]", fmt::join(tensor.sizes(), ", "));
}

EvaluationOf::EvaluationOf(Downstream& task) : task_(task) { set_training(task.module(), false); }

EvaluationOf::~EvaluationOf() { set_training(task_.module(), true); }

}  // namespace bissl::host
