#include "stages/evaluate.h"

#include "bissl/error.h"
#include "data/prefetcher.h"
#include "data/target_rules.h"
#include "models/module_state.h"
#include "pipeline/diagnostics.h"
#include "stages/memory.h"
#include "stages/networks.h"
#include "stages/option_schemas.h"

#include <c10/core/GradMode.h>

#include <algorithm>

namespace bissl {
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

/// Puts modules into evaluation mode while it lives.
class EvaluationMode {
 public:
  EvaluationMode(torch::nn::Module& first, torch::nn::Module& second)
      : first_(first), second_(second), training_(is_training(first)) {
    set_training(first_, false);
    set_training(second_, false);
  }
  ~EvaluationMode() {
    set_training(first_, training_);
    set_training(second_, training_);
  }
  EvaluationMode(const EvaluationMode&) = delete;
  EvaluationMode& operator=(const EvaluationMode&) = delete;

 private:
  torch::nn::Module& first_;
  torch::nn::Module& second_;
  bool training_;
};

}  // namespace

EvaluateOptions parse_evaluate(const Table& table) { return evaluate_schema().parse(table.values); }

TableSpec evaluate_table() {
  TableSpec table = table_of(evaluate_schema());
  table.augment = one_view();
  return table;
}

std::shared_ptr<BatchSource> evaluation_batches(const StageContext& context, const Table& table,
                                                const TargetSpec& targets, const ImageShape& shape,
                                                std::optional<int64_t> batch) {
  const EvaluateOptions options = parse_evaluate(table);
  const auto source =
      make_labelled_batches(context, "evaluate.data", options.data, table.augment(),
                            {batch.value_or(options.batch), 1, Order::sequential, 0, "evaluate"});
  if (source->data().targets() != targets) {
    fail_input(
        "evaluate: data.{} (used at {}) has {}, but the head is trained on {}; they must be of the "
        "same kind, number and names, in the same order",
        spelled_key(options.data), context.pipeline.data_source(options.data).dataset.origin,
        describe(source->data().targets()), describe(targets));
  }
  const ImageShape& found = source->view_shape();
  if (found != shape) {
    fail_input(
        "evaluate: its augmentation gives views of {}x{}x{} (channels, height, width), training "
        "uses {}x{}x{}",
        found.channels, found.height, found.width, shape.channels, shape.height, shape.width);
  }
  const int64_t samples = source->samples();
  refuse_beyond_memory({.key = "evaluate.batch",
                        .batch = std::min(batch.value_or(options.batch), samples),
                        .views = {found},
                        .held = batches_held(context.settings.loader_threads, source->batches()),
                        .value = options.batch});
  return source;
}

Metrics evaluate(const StageContext& context, const std::shared_ptr<BatchSource>& source,
                 int64_t batches, Backbone& backbone, Downstream& downstream) {
  const c10::NoGradGuard no_grad;
  const EvaluationMode mode(backbone.module(), downstream.module());
  const std::unique_ptr<MetricAccumulator> metrics = downstream.metrics();
  Prefetcher prefetched(source, 0, batches, context.settings.loader_threads);
  for (int64_t i = 0; i < batches; ++i) {
    const Batch batch = prefetched.next();
    metrics->add(downstream.forward(backbone.forward(batch.views[0])), batch.targets);
  }
  return metrics->result();
}

}  // namespace bissl
