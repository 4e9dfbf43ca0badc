#include "stages/finetune/finetune.h"

#include "bissl/error.h"
#include "data/prefetcher.h"
#include "models/evaluation_guard.h"
#include "models/module_state.h"
#include "models/weight_average.h"
#include "stages/finetune/parts.h"
#include "stages/networks.h"
#include "stages/scoring.h"
#include "stages/session.h"
#include "store/checkpoint.h"
#include "store/posix_file.h"

#include <cmath>
#include <optional>

namespace bissl {
namespace {

class Repeat {
 public:
  Repeat(const StageContext& context, int64_t number, std::filesystem::path folder)
      : context_(context),
        number_(number),
        folder_(std::move(folder)),
        parts_(build_finetune(context, number)) {}

  /// Trains and, if the table asks for it, scores.
  std::vector<MetricResult> run();

 private:
  void train();

  const StageContext& context_;
  int64_t number_;
  std::filesystem::path folder_;
  FinetuneParts parts_;
};

void Repeat::train() {
  const FinetuneOptions& options = parts_.options;
  const std::string label = options.repeats == 1 ? context_.stage.name
                                                 : fmt::format("{} {}/{}", context_.stage.name,
                                                               number_ + 1, options.repeats);
  Session session(context_, folder_, label, parts_.steps, options.step_samples());
  session.keep("backbone", parts_.backbone->module());
  session.keep("head", parts_.downstream->module());
  session.keep("optimizer", *parts_.optimizer);
  seed_generator(context_.seed_for(use_of_repeat("noise", number_)));
  std::optional<WeightAverage> average;
  if (options.ema > 0) {
    average.emplace(options.ema, WeightAverage::Modules{{"backbone", &parts_.backbone->module()},
                                                        {"head", &parts_.downstream->module()}});
    session.keep_tensors(
        "average", [&] { return average->state(); },
        [&](const NamedTensors& state) { average->load_state(state); });
  }
  TrainingStep training(parts_.parameters, *parts_.optimizer,
                        {.max_grad_norm = options.max_grad_norm,
                         .name = "fine-tuning",
                         .advice = "Try a smaller learning rate"});
  int64_t step = session.start();
  Prefetcher batches(parts_.source, step * options.accumulate, parts_.steps * options.accumulate,
                     context_.settings.loader_threads);
  session.run(step, parts_.steps, [&](int64_t number) -> Session::StepNews {
    const double rate = parts_.schedule->rate(number);
    LossGradient gradient = mean_gradient(
        options.accumulate, [&] { return finetune_gradient(parts_, batches.next()); });
    const double loss = gradient.loss;
    training.take(std::move(gradient), rate);
    if (average) {
      average->update();
    }
    return {{{"loss", loss}}, {{"rate", rate}}};
  });
  session.finish();
  if (average) {
    average->put();
  }
}

std::vector<MetricResult> Repeat::run() {
  const std::optional<ScoredSource> scored = scored_source(context_.stage);
  std::shared_ptr<BatchSource> test;
  if (scored) {
    test = test_batches(context_, *scored, *parts_.source);
  }
  train();
  std::vector<MetricResult> metrics;
  if (scored) {
    metrics =
        score(context_, scored->data, test, test->batches(), *parts_.backbone, *parts_.downstream);
  }
  save_weights(folder_, backbone_file, parts_.backbone->module());
  save_weights(folder_, head_file, parts_.downstream->module());
  return metrics;
}

std::string repeat_folder(int64_t repeat) { return fmt::format("run-{}", repeat); }

/// Errors name the repeat, where there are several.
std::vector<MetricResult> run_repeat(const StageContext& context, const FinetuneOptions& options,
                                     int64_t repeat, const std::filesystem::path& folder) {
  try {
    return Repeat(context, repeat, folder).run();
  } catch (const Error& error) {
    if (options.repeats == 1) {
      throw;
    }
    throw error.at(fmt::format("repeat {} of {}", repeat + 1, options.repeats));
  }
}

StageResults run_finetune(const StageContext& context) {
  const FinetuneOptions options = parse_finetune(context.stage.table);
  StageResults results;
  results.repeats = options.repeats;
  results.losses = {"loss"};
  std::vector<std::vector<MetricResult>> networks;
  for (int64_t repeat = 0; repeat < options.repeats; ++repeat) {
    const std::filesystem::path folder = context.folder / repeat_folder(repeat);
    make_folder(folder);
    if (!std::filesystem::exists(folder / stage_results_file)) {
      StageResults of_repeat;
      of_repeat.metrics = merged({run_repeat(context, options, repeat, folder)});
      write_stage_results(folder, of_repeat);
      remove_checkpoint(folder);
    }
    networks.push_back(read_stage_results(folder).metrics);
    results.logs.push_back(repeat_folder(repeat) + "/" + event_log_file);
  }
  results.metrics = merged(networks);
  return results;
}

class FinetuneKind : public StageKind {
 public:
  const StageKindSpec& spec() const override { return spec_; }

  std::vector<DataUse> data(const Stage& stage) const override {
    std::vector<DataUse> uses = {
        {.name = parse_finetune(stage.table).data, .trains = true, .labels = true}};
    if (const std::optional<ScoredSource> scored = scored_source(stage)) {
      uses.push_back({.name = scored->data, .labels = true, .scores = true});
    }
    return uses;
  }

  std::vector<std::string> weight_folders(const Stage& stage) const override {
    std::vector<std::string> folders;
    for (int64_t repeat = 0; repeat < parse_finetune(stage.table).repeats; ++repeat) {
      folders.push_back(repeat_folder(repeat));
    }
    return folders;
  }

  std::optional<HeadOrigin> head(const Stage& stage) const override {
    return HeadOrigin{&stage.table.component("downstream"), parse_finetune(stage.table).data};
  }

  StageResults run(const StageContext& context) const override { return run_finetune(context); }

  std::unique_ptr<StageTrial> trial(const StageContext& context, StagePlan& plan,
                                    bool measure) const override {
    return make_finetune_trial(context, plan, measure);
  }

 private:
  StageKindSpec spec_ = finetune_spec();
};

}  // namespace

const StageKind& finetune_kind() {
  static const FinetuneKind kind;
  return kind;
}

}  // namespace bissl
