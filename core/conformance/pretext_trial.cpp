#include "conformance/pretext_trial.h"

#include "bissl/error.h"
#include "conformance/advice.h"
#include "conformance/downstream_trial.h"
#include "conformance/module_record.h"
#include "conformance/task_backbone.h"
#include "models/evaluation_guard.h"
#include "models/module_state.h"
#include "models/second_backbone.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/eye.h>
#include <c10/core/GradMode.h>
#include <fmt/ranges.h>
#include <torch/nn/module.h>

#include <algorithm>
#include <chrono>

namespace bissl::host {
namespace {

/// Those that the task is tried with: of the first kind that it takes, none where it takes none.
TargetSpec targets_of_trial(const Checker& checker) {
  constexpr int64_t width = 4;
  for (const TargetKind kind : checker.choice().component->info.text.takes) {
    if (kind != TargetKind::none) {
      return numbered_targets(kind, width);
    }
  }
  return {};
}

class PretextLearner : public Learner {
 public:
  PretextLearner(const Checker& checker, uint64_t seed) : trial_(checker, at::kFloat, seed) {}

  std::vector<std::pair<std::string, torch::nn::Module*>> modules() override {
    return {{"the backbone", &trial_.backbone->module()}, {"the task", &trial_.pretext->module()}};
  }
  at::Tensor loss(int64_t step) override {
    return trial_.loss(trial_.views(trial_samples, 900 + uint64_t(step)));
  }
  void before_step(int64_t step) override { trial_.before_step(step); }
  void after_step(int64_t step) override { trial_.after_step(step); }

 private:
  PretextTrial trial_;
};

}  // namespace

PretextTrial::PretextTrial(const Checker& checker, at::ScalarType type, uint64_t seed)
    : backbone(std::make_shared<ObservedBackbone>(checker.task_backbone().make(seed * 10 + 2))),
      checker_(checker),
      type_(type) {
  seed_generator(seed);
  // As audits do it: made in single precision, then converted.
  pretext = make();
  convert_precision(backbone->module(), type);
  convert_precision(pretext->module(), type);
}

std::shared_ptr<Pretext> PretextTrial::make() const { return make_task(checker_, *backbone); }

std::shared_ptr<Pretext> make_task(const Checker& checker, ObservedBackbone& backbone) {
  const TaskBackbone& source = checker.task_backbone();
  const SecondBackbones second(backbone, [&source] { return source.make(0); });
  auto task = checker.make<Pretext>({.features = backbone.features(),
                                     .views = {source.input()},
                                     .steps = trial_steps,
                                     .samples = trial_data,
                                     .batch = trial_samples,
                                     .hessian_batch = trial_samples,
                                     .make_backbone = second.maker(),
                                     .backbone = &backbone,
                                     .backbone_name = source.name(),
                                     .targets = targets_of_trial(checker)});
  set_training(task->module(), true);
  return task;
}

std::string why_not_tried(const Checker& checker) {
  ObservedBackbone backbone(checker.task_backbone().make(1));
  try {
    make_task(checker, backbone);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::input && backbone.lacked_ability()) {
      return advice_to_name_a_backbone(error.what());
    }
  } catch (...) {
    // The checks find that, too, and say it.
  }
  return "";
}

Views PretextTrial::views(int64_t samples, uint64_t seed) const {
  return views(samples, seed, checker_.task_backbone().input());
}

Views PretextTrial::views(int64_t samples, uint64_t seed, const ImageShape& shape) const {
  return normal_numbers({pretext->views(), samples, shape.channels, shape.height, shape.width},
                        seed)
      .to(type_)
      .unbind();
}

Batch PretextTrial::batch(const Views& views, uint64_t seed) const {
  Batch batch(views);
  const int64_t samples = views.at(0).size(0);
  constexpr int64_t stride = 9973;  // odd, so that numbers below a power of two stay distinct
  batch.indices =
      (at::arange(samples, at::kLong) * stride + int64_t(seed) + trial_data - 1) % trial_data;
  const TargetSpec targets = targets_of_trial(checker_);
  if (targets.kind != TargetKind::none) {
    const ImageShape view{views[0].size(1), views[0].size(2), views[0].size(3)};
    batch.targets = sample_targets(targets, samples, at::kFloat, view);
  }
  if (pretext->reads_geometry()) {
    for (size_t view = 0; view < views.size(); ++view) {
      const at::Tensor moved = 0.1 * normal_numbers({samples, 2, 3}, 60 + 10 * seed + view);
      batch.geometry.push_back((moved + at::eye(2, 3)).to(type_));
    }
  }
  return batch;
}

at::Tensor PretextTrial::evaluate(const Batch& batch, uint64_t noise) const {
  const EvaluationGuard guard({&backbone->module(), &pretext->module()}, noise);
  const c10::AutoGradMode grad(true);
  return pretext->loss(*backbone, batch);
}

void PretextTrial::step(int64_t number, bool whole) const {
  class Step : public Learner {
   public:
    Step(const PretextTrial& trial, int64_t number, bool whole)
        : trial_(trial), number_(number), whole_(whole) {}
    std::vector<std::pair<std::string, torch::nn::Module*>> modules() override {
      return {{"the backbone", &trial_.backbone->module()},
              {"the task", &trial_.pretext->module()}};
    }
    at::Tensor loss(int64_t /*step*/) override {
      return trial_.loss(trial_.views(trial_samples, 900 + uint64_t(number_)));
    }
    void before_step(int64_t step) override { trial_.before_step(step); }
    void after_step(int64_t step) override {
      if (whole_) {
        trial_.after_step(step);
      }
    }

   private:
    const PretextTrial& trial_;
    int64_t number_;
    bool whole_;
  };
  Step step(*this, number, whole);
  train(step, number);
}

void PretextTrial::before_step(int64_t number) const {
  const c10::NoGradGuard no_grad;
  pretext->before_step({number, trial_steps});
}

void PretextTrial::after_step(int64_t number) const {
  const c10::NoGradGuard no_grad;
  pretext->after_step(*backbone, {number, trial_steps});
}

TensorList PretextTrial::backbone_parameters() const {
  return tensors_of(trainable_parameters(backbone->module()));
}

TensorList PretextTrial::parameters() const {
  TensorList all = backbone_parameters();
  for (const auto& entry : trainable_parameters(pretext->module())) {
    all.push_back(entry.tensor);
  }
  return all;
}

void require_scalar(const at::Tensor& loss) {
  require(loss.defined(), "the loss is an undefined tensor");
  require(loss.dim() == 0,
          "the loss has shape [{}]; a scalar has shape []: end with mean(), sum() or squeeze()",
          fmt::join(loss.sizes(), ", "));
  require(loss.is_floating_point(), "the loss is of type {}; real numbers are expected",
          c10::toString(loss.scalar_type()));
  require(all_finite({loss}), "the loss is {}", loss.item<double>());
  require(loss.requires_grad(), "the loss does not depend on the backbone's parameters");
}

LearnerFactory pretext_learners(const Checker& checker) {
  return [&checker](uint64_t seed) { return std::make_unique<PretextLearner>(checker, seed); };
}

void repeat(int64_t most, const std::function<void(int64_t)>& step) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::seconds(2);
  for (int64_t i = 0; i < most && (i < 3 || Clock::now() < end); ++i) {
    step(i);
  }
}

}  // namespace bissl::host
