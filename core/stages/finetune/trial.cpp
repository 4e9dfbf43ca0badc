#include "models/gradients.h"
#include "models/module_state.h"
#include "stages/finetune/finetune.h"
#include "stages/finetune/parts.h"
#include "stages/finetune/validation.h"
#include "stages/held_tensors.h"
#include "stages/networks.h"
#include "stages/step_memory.h"
#include "telemetry/peak_memory.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace bissl::host {
namespace {

class FinetuneTrial : public StageTrial {
 public:
  using StageTrial::StageTrial;

  void build() override {
    parts_ = build_finetune(context(), 0);
    hand_on(backbone_file, parts_.backbone->module());
    hand_on(head_file, parts_.downstream->module());
    describe(*parts_.source, *parts_.backbone);
    if (context().stage.table.has_table("validate")) {
      validation_.emplace(context(), *parts_.source, *parts_.backbone, *parts_.downstream);
    }
  }

  void judge_images() override {
    look_at_images("data", *parts_.source);
    if (validation_) {
      look_at_images("validate.data", validation_->source());
    }
    if (test_) {
      look_at_images("evaluate.data", *test_);
    }
  }

  void judge_batches() override {
    const int64_t batch = parts_.options.batch;
    warn_about_repeats("batch", batch, parts_.options.data, parts_.source->samples());
    warn_about_single("batch", batch, parts_.backbone->module());
  }

  void judge_length() override {
    const int64_t samples = parts_.options.step_samples();
    warn_about_length("", parts_.options.length, *parts_.source, samples);
    warn_about_schedule("", context().stage.table, parts_.steps, *parts_.source, samples);
  }

  void judge_memory() override {
    const FinetuneOptions& options = parts_.options;
    require_memory({.key = "batch",
                    .batch = options.batch,
                    .beside = kept_bytes(),
                    .make =
                        [&](int64_t samples) {
                          return make_labelled_batches(context(), "data", options.data,
                                                       context().stage.table.augment(),
                                                       {.batch = samples, .purpose = "finetune"})
                              ->make(0);
                        },
                    .work = [this](const Batch& batch) { finetune_gradient(parts_, batch, 0); }},
                   parts_.steps * options.accumulate);
    // While the training's batches are held, which validations interrupt.
    const double held =
        bytes_held(*parts_.source, options.batch, parts_.steps * options.accumulate) + kept_bytes();
    each_scoring([&](StepOnBatch pass, int64_t batches) {
      pass.beside = held;
      pass.threads = context().settings.loader_threads;
      require_memory(std::move(pass), batches);
    });
  }

  void step() override {
    seconds_ = pass("batch", parts_.options.batch, [this] {
      assign_gradients(parts_.parameters,
                       finetune_gradient(parts_, parts_.source->make(0), 0).gradients);
      parts_.optimizer->step(0.0);
    });
  }

  void score() override {
    if (const std::optional<ScoredSource> validated = validated_source(context().stage)) {
      try_score(context(), *validated, parts_.source->data().targets(), *parts_.backbone,
                *parts_.downstream);
    }
    if (const std::optional<ScoredSource> scored = scored_source(context().stage)) {
      test_ = test_batches(context(), *scored, *parts_.source);
      plan().metrics = try_score(context(), *scored, parts_.source->data().targets(),
                                 *parts_.backbone, *parts_.downstream);
    }
  }

  void estimate() override {
    const int64_t repeats = parts_.options.repeats;
    plan().steps = repeats * parts_.steps;
    plan().gradients = plan().steps * parts_.options.accumulate;
    // Scoring is a forward pass, about a third of a gradient.
    int64_t samples = test_ ? repeats * test_->samples() : 0;
    if (validation_) {
      samples += repeats * validation_->count(parts_.steps) * validation_->source().samples();
    }
    const double scored =
        static_cast<double>(samples) / (3.0 * static_cast<double>(parts_.options.batch));
    plan().seconds = (static_cast<double>(plan().gradients) + scored) * seconds_;
    hold_batches(*parts_.source, parts_.options.batch, parts_.steps * parts_.options.accumulate);
    plan().held_bytes += kept_bytes();
    if (parts_.options.accumulate > 1) {  // the sum of gradients, while the next ones are made
      plan().held_bytes += bytes_of_tensors(tensors_of(parts_.parameters));
    }
    if (!measure() || seconds_ >= long_pass) {
      plan().held_bytes += bytes_of_gradients(parts_.parameters);
    }
  }

  /// The memory of a step is free when networks are scored, which may take more.
  void estimate_memory() override {
    double scoring = 0;
    each_scoring([&](const StepOnBatch& pass, int64_t) {
      scoring = std::max(scoring, step_bytes(pass, 0));
    });
    plan().held_bytes += std::max(0.0, scoring - static_cast<double>(memory_above_now()));
  }

 private:
  /// Calls it for each source that the stage scores on, with the number of its batches.
  void each_scoring(const std::function<void(StepOnBatch pass, int64_t batches)>& function) {
    for (const auto& scored : {validated_source(context().stage), scored_source(context().stage)}) {
      if (scored) {
        const auto source = scored_batches(context(), *scored, parts_.source->data().targets());
        function(scoring_pass(context(), *scored, *source, *parts_.backbone, *parts_.downstream),
                 source->batches());
      }
    }
  }

  /// Of what a run keeps of both networks while it trains: their moving average, and the weights of
  /// the best validation.
  double kept_bytes() const {
    const double both =
        bytes_of_copy(parts_.backbone->module()) + bytes_of_copy(parts_.downstream->module());
    double bytes = parts_.options.ema_decay > 0 ? both : 0;
    if (validation_) {
      bytes += both;
    }
    return bytes;
  }

  FinetuneParts parts_;
  double seconds_ = 0;
  std::shared_ptr<BatchSource> test_;
  std::optional<Validation> validation_;
};

}  // namespace

std::unique_ptr<StageTrial> make_finetune_trial(const StageContext& context, StagePlan& plan,
                                                bool measure) {
  return std::make_unique<FinetuneTrial>(context, plan, measure);
}

}  // namespace bissl::host
