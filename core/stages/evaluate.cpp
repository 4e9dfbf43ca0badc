#include "stages/evaluate.h"

#include "bissl/error.h"
#include "models/module_state.h"
#include "stages/networks.h"
#include "stages/options.h"

#include <c10/core/GradMode.h>

#include <fmt/ranges.h>

namespace bissl {
namespace {

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

std::shared_ptr<BatchSource> evaluation_batches(const StageContext& context, const Table& table,
                                                const std::vector<std::string>& classes,
                                                const ImageShape& shape) {
  const EvaluateOptions options = parse_evaluate(table);
  const auto source = make_batches(context, options.data, table.component("augment"),
                                   {options.batch, 1, Order::sequential, 0, "evaluate"});
  if (source->data().class_names() != classes) {
    fail_input(
        "stage.{}.evaluate: data.{} has the classes \"{}\", but the head was trained on \"{}\"",
        context.stage.name, options.data, fmt::join(source->data().class_names(), "\", \""),
        fmt::join(classes, "\", \""));
  }
  const ImageShape& found = source->view_shape();
  if (found != shape) {
    fail_input(
        "stage.{}.evaluate: its augmentation gives views of {}x{}x{} (channels, height, width), "
        "training used {}x{}x{}",
        context.stage.name, found.channels, found.height, found.width, shape.channels, shape.height,
        shape.width);
  }
  return source;
}

Metrics evaluate(const StageContext& context, const Table& table, Backbone& backbone,
                 Downstream& downstream, const std::vector<std::string>& classes,
                 const ImageShape& shape) {
  const auto source = evaluation_batches(context, table, classes, shape);
  const c10::NoGradGuard no_grad;
  const EvaluationMode mode(backbone.module(), downstream.module());
  const std::unique_ptr<MetricAccumulator> metrics = downstream.metrics();
  Prefetcher batches(source, 0, source->batches(), context.settings.loader_threads);
  for (int64_t i = 0; i < source->batches(); ++i) {
    const Batch batch = batches.next();
    const at::Tensor images = batch.views[0].to(context.settings.device);
    metrics->add(downstream.forward(backbone.forward(images)),
                 batch.targets.to(context.settings.device));
  }
  return metrics->result();
}

}  // namespace bissl
