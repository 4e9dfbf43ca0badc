#include "stages/finetune/finetune.h"

#include "base/posix_file.h"
#include "bissl/error.h"
#include "data/prefetcher.h"
#include "models/evaluation_guard.h"
#include "models/module_state.h"
#include "models/weight_average.h"
#include "stages/finetune/parts.h"
#include "stages/finetune/validation.h"
#include "stages/networks.h"
#include "stages/scoring.h"
#include "stages/session.h"
#include "store/checkpoint.h"

#include <cmath>
#include <optional>

namespace bissl::host {
namespace {

/// Has a moving average in the networks' place while it lives, if there is one.
class SwappedIn {
 public:
  explicit SwappedIn(WeightAverage* average) : average_(average) { swap(); }
  ~SwappedIn() { swap(); }
  SwappedIn(const SwappedIn&) = delete;
  SwappedIn& operator=(const SwappedIn&) = delete;

 private:
  void swap() {
    if (average_ != nullptr) {
      average_->swap();
    }
  }
  WeightAverage* average_;
};

class Repeat {
 public:
  Repeat(const StageContext& context, int64_t number, std::filesystem::path folder)
      : context_(context),
        number_(number),
        folder_(std::move(folder)),
        parts_(build_finetune(context, number)) {}

  /// Trains and, if the table asks for it, scores.
  std::vector<MetricResult> run();

  /// What the validations along the training found; null without them.
  const nlohmann::json& validated() const { return validated_; }

 private:
  void train();

  const StageContext& context_;
  int64_t number_;
  std::filesystem::path folder_;
  FinetuneParts parts_;
  nlohmann::json validated_;
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
  if (options.ema_decay > 0) {
    average.emplace(options.ema_decay,
                    WeightAverage::Modules{{"backbone", &parts_.backbone->module()},
                                           {"head", &parts_.downstream->module()}});
    session.keep_tensors(
        "average", [&] { return average->state(); },
        [&](const NamedTensors& state) { average->load_state(state); });
  }
  std::optional<Validation> validation;
  if (context_.stage.table.has_table("validate")) {
    validation.emplace(context_, *parts_.source, *parts_.backbone, *parts_.downstream);
    validation->keep(session);
  }
  const auto validate = [&](int64_t done) {
    const SwappedIn average_in_place(average ? &*average : nullptr);
    return validation->score(done);
  };
  TrainingStep training(parts_.parameters, *parts_.optimizer,
                        {.max_grad_norm = options.max_grad_norm,
                         .grad_norm_guard = options.grad_norm_guard,
                         .name = "fine-tuning",
                         .advice = "Try a smaller learning rate"});
  int64_t step = session.start();
  Prefetcher batches(parts_.source, step * options.accumulate, parts_.steps * options.accumulate,
                     context_.settings.loader_threads);
  const int64_t end = validation && validation->is_over() ? step : parts_.steps;
  session.run(step, end, [&](int64_t number) -> Session::StepNews {
    const double lr_scale = parts_.pace->begin(number);
    int64_t batch = number * options.accumulate;
    LossGradient gradient = mean_gradient(
        options.accumulate, [&] { return finetune_gradient(parts_, batches.next(), batch++); });
    const double loss = gradient.loss;
    const double proximity = add_proximity(parts_, gradient.gradients);
    training.take(std::move(gradient), lr_scale);
    if (average) {
      average->update();
    }
    Session::StepNews news{{{"loss", loss}}, {{"lr_scale", lr_scale}}};
    if (options.proximity > 0) {
      news.event["proximity"] = proximity;
    }
    if (validation && validation->is_due(number + 1, parts_.steps)) {
      news.event["validation"] = validate(number + 1);
      news.last = validation->is_over();
    }
    return news;
  });
  session.finish();
  if (validation) {
    validation->put_best();
    validated_ = validation->report();
  } else if (average) {
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

/// In results: of a repeat one, of the stage those of its repeats.
constexpr const char* validation_key = "validation";

std::string repeat_folder(int64_t repeat) { return fmt::format("repeat-{}", repeat); }

/// Errors name the repeat, where there are several.
StageResults run_repeat(const StageContext& context, const FinetuneOptions& options, int64_t repeat,
                        const std::filesystem::path& folder) {
  try {
    Repeat of_repeat(context, repeat, folder);
    StageResults results;
    results.metrics = merged({of_repeat.run()});
    if (!of_repeat.validated().is_null()) {
      results.details[validation_key] = of_repeat.validated();
    }
    return results;
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
      write_stage_results(folder, run_repeat(context, options, repeat, folder));
    }
    remove_checkpoint(folder);  // a process may have been killed before it did so
    const StageResults of_repeat = read_stage_results(folder);
    networks.push_back(of_repeat.metrics);
    if (of_repeat.details.contains(validation_key)) {
      results.details[validation_key].push_back(of_repeat.details.at(validation_key));
    }
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
    if (const std::optional<ScoredSource> validated = validated_source(stage)) {
      // The weights are chosen by it.
      uses.push_back({.name = validated->data, .trains = true, .labels = true});
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

  const ViewsChoice* scoring_views(const Stage& stage) const override {
    const std::optional<ScoredSource> scored = scored_source(stage);
    return scored ? &scored->augment : nullptr;
  }

  std::vector<std::string> view_tables() const override { return {"evaluate", ""}; }

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

}  // namespace bissl::host
