#include "stages/scoring.h"

#include "base/phase.h"
#include "base/spelling.h"
#include "bissl/error.h"
#include "data/prefetcher.h"
#include "data/target_rules.h"
#include "models/head_outputs.h"
#include "models/module_state.h"
#include "pipeline/diagnostics.h"
#include "stages/agreement.h"
#include "stages/memory.h"
#include "stages/networks.h"
#include "stages/option_schemas.h"

#include <c10/core/GradMode.h>

#include <algorithm>
#include <limits>

namespace bissl::host {
namespace {

const Schema<EvaluateOptions>& evaluate_schema() {
  static const Schema<EvaluateOptions> schema = [] {
    Schema<EvaluateOptions> s;
    add_data(s, &EvaluateOptions::data, "data source to score on; its targets are the training's");
    s.add("batch", &EvaluateOptions::batch, "most samples that are scored at once")
        .at_least(1)
        .unit("samples");
    return s;
  }();
  return schema;
}

/// Samples of a trial of scoring.
constexpr int64_t trial_samples = 2;

}  // namespace

EvaluateOptions parse_evaluate(const Table& table) { return evaluate_schema().parse(table.values); }

TableSpec evaluate_table() {
  TableSpec table = table_of(evaluate_schema());
  table.augment = one_view();
  return table;
}

std::shared_ptr<BatchSource> scored_batches(const StageContext& context, const ScoredSource& source,
                                            const TargetSpec& targets,
                                            std::optional<int64_t> batch) {
  const std::string key = source.path + "data";
  auto batches = make_labelled_batches(
      context, key.c_str(), source.data, source.augment,
      {.batch = batch.value_or(source.batch), .order = Order::sequential, .purpose = "evaluate"});
  if (batches->data().targets() != targets) {
    fail_input(
        "{}: data.{} (used at {}) has {}, but the head is trained on {}; they must be of the same "
        "kind, number and names, in the same order",
        key, spelled_key(source.data), context.pipeline.data_source(source.data).dataset.origin,
        describe(batches->data().targets()), describe(targets));
  }
  const int64_t samples = batches->samples();
  refuse_beyond_memory({.key = source.path + "batch",
                        .batch = std::min(batch.value_or(source.batch), samples),
                        .views = {batches->view_shape()},
                        .held = batches_held(context.settings.loader_threads, batches->batches()),
                        .value = source.batch});
  return batches;
}

std::vector<MetricResult> score(const StageContext& context, const std::string& data,
                                const std::shared_ptr<BatchSource>& source, int64_t batches,
                                Backbone& backbone, Downstream& downstream,
                                const std::function<void()>& after_batch) {
  const Phase phase(scoring_phase);
  const c10::NoGradGuard no_grad;
  const EvaluationMode of_backbone(backbone.module());
  const EvaluationMode of_head(downstream.module());
  const std::unique_ptr<MetricAccumulator> metrics = downstream.metrics();
  Prefetcher prefetched(source, 0, batches, context.settings.loader_threads);
  for (int64_t i = 0; i < batches; ++i) {
    const Batch batch = prefetched.next();
    metrics->add(head_outputs(backbone, downstream, batch.views[0]), batch.targets);
    if (after_batch) {
      after_batch();
    }
  }
  const std::vector<MetricInfo> info = downstream.metric_info();
  std::vector<MetricResult> results;
  for (const auto& [name, value] : metrics->result()) {  // in the order of metric_info
    results.push_back({.data = data,
                       .metric = name,
                       .higher_is_better = info.at(results.size()).higher_is_better,
                       .values = {value}});
  }
  return results;
}

std::vector<MetricResult> try_score(const StageContext& context, const ScoredSource& source,
                                    const TargetSpec& targets, Backbone& backbone,
                                    Downstream& downstream) {
  const auto few = scored_batches(context, source, targets, trial_samples);
  try {
    return score(context, source.data, few, 1, backbone, downstream);
  } catch (const Error&) {
    // Two samples may be too few for a metric. Only if all of them are, the run would fail.
    const auto all = scored_batches(context, source, targets);
    return score(context, source.data, all, all->batches(), backbone, downstream);
  }
}

StepOnBatch scoring_pass(const StageContext& context, const ScoredSource& source,
                         const BatchSource& batches, Backbone& backbone, Downstream& downstream) {
  return {.key = source.path + "batch",
          .batch = std::min(source.batch, batches.samples()),
          .make =
              [&context, &source, &batches](int64_t samples) {
                return scored_batches(context, source, batches.data().targets(), samples)->make(0);
              },
          .work =
              [&backbone, &downstream](const Batch& batch) {
                const c10::NoGradGuard no_grad;
                const EvaluationMode of_backbone(backbone.module());
                const EvaluationMode of_head(downstream.module());
                head_outputs(backbone, downstream, batch.views[0]);
              }};
}

std::vector<MetricResult> merged(const std::vector<std::vector<MetricResult>>& networks) {
  std::vector<MetricResult> all;
  for (size_t i = 0; i < networks.size(); ++i) {
    for (const MetricResult& one : networks[i]) {
      auto found = std::find_if(all.begin(), all.end(), [&](const MetricResult& other) {
        return other.data == one.data && other.metric == one.metric;
      });
      if (found == all.end()) {
        found = all.insert(
            all.end(),
            {.data = one.data, .metric = one.metric, .higher_is_better = one.higher_is_better});
      }
      found->values.resize(i, std::numeric_limits<double>::quiet_NaN());
      found->values.push_back(one.values.at(0));
    }
  }
  for (MetricResult& metric : all) {
    metric.values.resize(networks.size(), std::numeric_limits<double>::quiet_NaN());
    metric = summarised(std::move(metric));
  }
  return all;
}

EvaluationMode::EvaluationMode(torch::nn::Module& module)
    : module_(module), training_(is_training(module)) {
  set_training(module_, false);
}

EvaluationMode::~EvaluationMode() { set_training(module_, training_); }

ScoringProgress::ScoringProgress(const StageContext& context, int64_t batches, int64_t batch)
    : settings_(context.settings) {
  if (settings_.progress) {
    progress_ = settings_.progress(
        {.stage = context.stage.name, .total = batches, .items_per_step = batch, .first_step = 0});
  }
}

ScoringProgress::~ScoringProgress() {
  if (progress_) {
    progress_->finish();
  }
}

void ScoringProgress::done() {
  ++done_;
  if (settings_.confirm) {
    settings_.confirm();
  }
  if (progress_) {
    progress_->update(done_, {});
  }
  stop_if_any_interrupted();
}

}  // namespace bissl::host
