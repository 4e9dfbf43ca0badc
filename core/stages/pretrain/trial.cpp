#include "bilevel/lower_level.h"
#include "models/module_state.h"
#include "models/training_step.h"
#include "stages/held_tensors.h"
#include "stages/match.h"
#include "stages/monitor.h"
#include "stages/networks.h"
#include "stages/pretrain/parts.h"
#include "stages/pretrain/pretrain.h"
#include "stages/step_memory.h"
#include "telemetry/peak_memory.h"

#include <algorithm>
#include <utility>

namespace bissl::host {
namespace {

class PretrainTrial : public StageTrial {
 public:
  using StageTrial::StageTrial;

  void build() override {
    parts_ = build_pretrain(context());
    hand_on(backbone_file, parts_.backbone->module());
    hand_on(pretext_file, parts_.pretext->module());
    describe(*parts_.source, *parts_.backbone);
    plan().networks +=
        fmt::format(", {} in the pretext head",
                    count(tensors_of(trainable_parameters(parts_.pretext->module()))));
    plan().cost = parts_.cost();
    BestWeights::Networks networks = {{"backbone", &parts_.backbone->module()},
                                      {"pretext", &parts_.pretext->module()}};
    if (parts_.supervised) {
      networks.emplace_back("head", &parts_.supervised->downstream->module());
    }
    monitor_ = make_monitor(context(), *parts_.source, *parts_.backbone, std::move(networks));
  }

  void judge_images() override {
    look_at_images("data", *parts_.source);
    if (parts_.supervised) {
      look_at_images("supervised.data", *parts_.supervised->source);
    }
    if (monitor_) {
      for (const auto& source : monitor_->sources()) {
        look_at_images("monitor.data", source->batches());
      }
    }
  }

  void judge_batches() override {
    const int64_t batch = parts_.options.batch;
    warn_about_repeats("batch", batch, parts_.options.data, parts_.source->samples());
    warn_about_single("batch", batch, parts_.backbone->module());
    if (parts_.supervised) {
      const SupervisedOptions& other = parts_.supervised->options;
      warn_about_repeats("supervised.batch", other.batch, other.data,
                         parts_.supervised->source->samples());
      warn_about_single("supervised.batch", other.batch, parts_.backbone->module());
    }
    if (monitor_) {
      warn_all(monitor_->doubts());
    }
  }

  void judge_length() override {
    const Table& table = context().stage.table;
    const int64_t samples = parts_.options.step_samples();
    if (parts_.matched_steps) {
      warn(match_doubt(parse_match(table)->stage, *parts_.matched_steps, parts_.steps));
    } else {
      warn_about_length("", parts_.options.length, *parts_.source, samples);
    }
    warn_about_schedule("", table, parts_.steps, *parts_.source, samples);
    warn_about_task("pretext", table.component("pretext"), parts_.steps);
  }

  void judge_memory() override {
    const PretrainOptions& options = parts_.options;
    const Table& table = context().stage.table;
    StepOnBatch step{.key = "batch", .batch = options.batch, .make = [&](int64_t samples) {
                       return make_pretext_batches(context(), options.data, table, *parts_.pretext,
                                                   {.batch = samples, .purpose = "pretrain"})
                           ->make(0);
                     }};
    step.work = [this](const Batch& batch) {
      parts_.pretext->before_step({0, parts_.steps});
      gradient_of(batch);
    };
    if (parts_.supervised) {
      const SupervisedOptions& other = parts_.supervised->options;
      step.beside = bytes_held(*parts_.supervised->source, other.batch, parts_.steps);
      step.threads = context().settings.loader_threads;
    }
    require_memory(std::move(step), parts_.steps * options.accumulate);
    require_supervised_memory();
    require_monitor_memory();
  }

  void step() override {
    const PretrainOptions& options = parts_.options;
    const ViewsChoice& augment = context().stage.table.augment();
    seconds_ = pass("batch", options.batch, augment, *parts_.source, [this] {
      const TrainingProgress progress{0, parts_.steps};
      const Batch batch = parts_.source->make(0);
      parts_.pretext->before_step(progress);
      assign_gradients(parts_.parameters(), gradient_of(batch));
      parts_.optimizer->step(0.0);
      parts_.pretext->after_step(*parts_.backbone, progress);
    });
    if (parts_.supervised) {
      supervised_seconds_ = pass("supervised.batch", parts_.supervised->options.batch, [this] {
        supervised_gradient(parts_, tensors_of(parts_.parameters()),
                            parts_.supervised->source->make(0));
      });
    }
    if (monitor_) {
      monitor_->try_images();
    }
  }

  void estimate() override {
    plan().steps = parts_.steps;
    plan().gradients = parts_.steps * parts_.options.accumulate;
    plan().seconds = static_cast<double>(plan().gradients) * seconds_;
    hold_batches(*parts_.source, parts_.options.batch, plan().gradients);
    hold_tensors();
    if (parts_.supervised) {
      plan().gradients += parts_.steps;
      plan().seconds += static_cast<double>(parts_.steps) * supervised_seconds_;
    }
    if (monitor_) {
      // A look is a forward pass, about a third of a gradient.
      plan().seconds += static_cast<double>(monitor_->images(parts_.steps)) * seconds_ /
                        (3.0 * static_cast<double>(parts_.options.batch));
    }
  }

  /// The memory of a step is free when the monitor looks, which may take more.
  void estimate_memory() override {
    if (monitor_) {
      plan().held_bytes +=
          monitor_->best_bytes() +
          std::max(0.0, monitor_->look_bytes() - static_cast<double>(memory_above_now()));
    }
  }

 private:
  /// Notes what a run has in memory beside the step that was tried.
  void hold_tensors() {
    // The weights that it begins with, for the displacement.
    plan().held_bytes +=
        bytes_of_tensors(tensors_of(trainable_parameters(parts_.backbone->module())));
    const NamedTensors parameters = parts_.parameters();
    if (parts_.options.accumulate > 1) {  // the sum of gradients, while the next ones are made
      plan().held_bytes += bytes_of_tensors(tensors_of(parameters));
    }
    if (!measure() || seconds_ >= long_pass) {
      plan().held_bytes += bytes_of_gradients(parameters);
    }
  }

  /// While the training's batches are held.
  void require_monitor_memory() {
    if (!monitor_) {
      return;
    }
    monitor_->refuse_beyond_memory();
    const PretrainOptions& options = parts_.options;
    for (StepOnBatch& pass : monitor_->passes()) {
      pass.beside += bytes_held(*parts_.source, options.batch, parts_.steps * options.accumulate);
      if (parts_.supervised) {
        pass.beside +=
            bytes_held(*parts_.supervised->source, parts_.supervised->options.batch, parts_.steps);
        pass.threads = context().settings.loader_threads;
      }
      require_memory(std::move(pass), 1);
    }
  }

  void require_supervised_memory() {
    if (!parts_.supervised) {
      return;
    }
    const SupervisedOptions& options = parts_.supervised->options;
    require_memory({.key = "supervised.batch",
                    .batch = options.batch,
                    .beside = bytes_held(*parts_.source, parts_.options.batch, parts_.steps),
                    .threads = context().settings.loader_threads,
                    .make =
                        [&](int64_t samples) {
                          return make_labelled_batches(
                                     context(), "supervised.data", options.data,
                                     context().stage.table.table("supervised").augment(),
                                     {.batch = samples, .purpose = "pretrain/supervised"})
                              ->make(0);
                        },
                    .work =
                        [this](const Batch& batch) {
                          supervised_gradient(parts_, tensors_of(parts_.parameters()), batch);
                        }},
                   parts_.steps);
  }

  TensorList gradient_of(const Batch& batch) {
    const TensorList parameters = tensors_of(parts_.parameters());
    return loss_gradient(*parts_.pretext, *parts_.backbone, parameters,
                         [&] { return parts_.pretext->loss(*parts_.backbone, batch); })
        .gradients;
  }

  PretrainParts parts_;
  std::unique_ptr<Monitor> monitor_;
  double seconds_ = 0;
  double supervised_seconds_ = 0;
};

}  // namespace

std::unique_ptr<StageTrial> make_pretrain_trial(const StageContext& context, StagePlan& plan,
                                                bool measure) {
  return std::make_unique<PretrainTrial>(context, plan, measure);
}

}  // namespace bissl::host
