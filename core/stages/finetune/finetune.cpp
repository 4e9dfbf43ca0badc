#include "stages/finetune/finetune.h"

#include "bissl/error.h"
#include "data/prefetcher.h"
#include "models/evaluation_guard.h"
#include "models/module_state.h"
#include "models/weight_average.h"
#include "stages/evaluate.h"
#include "stages/finetune/parts.h"
#include "stages/networks.h"
#include "stages/session.h"
#include "store/atomic_file.h"
#include "store/checkpoint.h"
#include "store/json_file.h"
#include "store/posix_file.h"
#include "text/json_text.h"

#include <fmt/ranges.h>

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

  /// Trains and scores; the metrics on the test data.
  Metrics run();

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

Metrics Repeat::run() {
  const auto test =
      evaluation_batches(context_, context_.stage.table.table("evaluate"),
                         parts_.source->data().targets(), parts_.source->view_shape());
  train();
  const Metrics metrics =
      evaluate(context_, test, test->batches(), *parts_.backbone, *parts_.downstream);
  save_weights(folder_, backbone_file, parts_.backbone->module());
  save_weights(folder_, head_file, parts_.downstream->module());
  return metrics;
}

/// Which repeats have no finite value of a metric, in words; empty if all have one.
std::string not_finite(const std::vector<nlohmann::json>& runs, const std::string& metric) {
  std::vector<std::string> found;
  for (size_t i = 0; i < runs.size(); ++i) {
    if (!runs[i].contains(metric) || !runs[i].at(metric).is_number()) {
      const nlohmann::json reasons = runs[i].value(not_finite_key, nlohmann::json::object());
      found.push_back(fmt::format("{} in run {}", reasons.value(metric, "not given"), i));
    }
  }
  return fmt::format("{}", fmt::join(found, ", "));
}

/// Mean and sample standard deviation (0 for a single run) of each metric; null, with the reason
/// beside them, where a run has no finite value.
nlohmann::json summarise(const std::vector<nlohmann::json>& runs) {
  nlohmann::json summary = nlohmann::json::object();
  const auto count = static_cast<double>(runs.size());
  for (const auto& [name, ignored] : runs.front().items()) {
    if (name == not_finite_key) {
      continue;
    }
    if (const std::string reason = not_finite(runs, name); !reason.empty()) {
      summary[name] = {{"mean", nullptr},
                       {"std", nullptr},
                       {not_finite_key, {{"mean", reason}, {"std", reason}}}};
      continue;
    }
    double sum = 0;
    for (const auto& run : runs) {
      sum += run.at(name).get<double>();
    }
    const double mean = sum / count;
    double squares = 0;
    for (const auto& run : runs) {
      squares += std::pow(run.at(name).get<double>() - mean, 2);
    }
    summary[name] = {{"mean", mean}, {"std", count > 1 ? std::sqrt(squares / (count - 1)) : 0.0}};
  }
  return summary;
}

nlohmann::json run_finetune(const StageContext& context) {
  const FinetuneOptions options = parse_finetune(context.stage.table);
  std::vector<nlohmann::json> runs;
  for (int64_t repeat = 0; repeat < options.repeats; ++repeat) {
    const std::filesystem::path folder = context.folder / fmt::format("run-{}", repeat);
    const std::filesystem::path results = folder / "results.json";
    make_folder(folder);
    if (!std::filesystem::exists(results)) {
      const Metrics metrics = Repeat(context, repeat, folder).run();
      nlohmann::json values = nlohmann::json::object();
      for (const auto& [name, value] : metrics) {
        values[name] = value;
      }
      write_file_atomically(results, json_text(values, 2) + "\n");
      remove_checkpoint(folder);
    }
    constexpr uint64_t limit = 1 << 20;
    runs.push_back(read_json_file(results, limit));
  }
  const std::string data = parse_evaluate(context.stage.table.table("evaluate")).data;
  return {{"repeats", options.repeats}, {"metrics", {{data, summarise(runs)}}}, {"runs", runs}};
}

class FinetuneKind : public StageKind {
 public:
  const StageKindSpec& spec() const override { return spec_; }

  std::vector<DataUse> data(const Stage& stage) const override {
    const Table& table = stage.table;
    return {{.name = parse_finetune(table).data, .trains = true, .labels = true},
            {.name = parse_evaluate(table.table("evaluate")).data, .labels = true, .scores = true}};
  }

  nlohmann::json run(const StageContext& context) const override { return run_finetune(context); }

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
