#include "stages/check.h"

#include "bissl/error.h"
#include "models/module_state.h"
#include "stages/check_bissl.h"
#include "stages/evaluate.h"
#include "stages/networks.h"
#include "stages/options.h"
#include "stages/probe.h"
#include "stages/runner.h"

#include <map>

namespace bissl {
namespace {

void check_pretrain(const StageContext& context, bool measure, StagePlan& plan) {
  const StageProbe probe(context);
  const Table& table = context.stage.table;
  const PretrainOptions options = parse_pretrain(table);
  const StageProbe::Networks networks = probe.build(table, options.data);
  plan.networks = networks.describe;
  probe.pretext_gradient(networks, table, options.data, probe_samples);
  plan.steps = steps_of(options.length, networks.samples, options.batch);
  plan.gradients = plan.steps;
  if (options.batch > networks.samples) {
    plan.warnings.push_back(
        fmt::format("batch = {} is more than the {} images of data.{}: every batch holds some of "
                    "them several times",
                    options.batch, networks.samples, options.data));
  }
  if (measure) {
    plan.seconds = static_cast<double>(plan.gradients) *
                   probe.pretext_gradient(networks, table, options.data, options.batch);
  }
}

void check_finetune(const StageContext& context, bool measure, StagePlan& plan) {
  const StageProbe probe(context);
  const Table& table = context.stage.table;
  const FinetuneOptions options = parse_finetune(table);
  const auto source = make_batches(context, options.data, table.component("augment"), {});
  const auto backbone = make_backbone(context, source->view_shape(), 0);
  const ImageShape& shape = source->view_shape();
  plan.networks = fmt::format("{} images, views of {}x{}x{}, {} features, {} backbone parameters",
                              source->samples(), shape.channels, shape.height, shape.width,
                              backbone->features(),
                              count(tensors_of(trainable_parameters(backbone->module()))));
  probe.downstream_gradient(*backbone, table, options.data, probe_samples, options.freeze_backbone);
  const auto test =
      evaluation_batches(context, table.table("evaluate"), source->data().class_names(), shape);
  plan.steps = options.repeats * steps_of(options.length, source->samples(), options.batch);
  plan.gradients = plan.steps;
  if (measure) {
    const double gradient = probe.downstream_gradient(*backbone, table, options.data, options.batch,
                                                      options.freeze_backbone);
    // Scoring is a forward pass, about a third of a gradient.
    const double scored = static_cast<double>(options.repeats * test->samples()) /
                          static_cast<double>(3 * options.batch);
    plan.seconds = (static_cast<double>(plan.steps) + scored) * gradient;
  }
}

void check_stage(const StageContext& context, bool measure, StagePlan& plan) {
  if (context.stage.kind == "pretrain") {
    check_pretrain(context, measure, plan);
  } else if (context.stage.kind == "bissl") {
    check_bissl(context, measure, plan);
  } else {
    check_finetune(context, measure, plan);
  }
}

}  // namespace

double proximity_pull(double lambda, double learning_rate, double momentum, int64_t lower_steps) {
  return lambda * learning_rate / (1.0 - momentum) * static_cast<double>(lower_steps);
}

StagePlan probe_stage(const Pipeline& pipeline, const Stage& stage, DataCatalog& data,
                      const RunSettings& settings, bool measure) {
  StagePlan plan;
  plan.name = stage.name;
  plan.kind = stage.kind;
  plan.from = stage.from;
  const StageContext context{.pipeline = pipeline,
                             .stage = stage,
                             .data = data,
                             .folder = {},
                             .parent = std::nullopt,
                             .generation = generation_of(pipeline, stage),
                             .settings = settings};
  try {
    check_stage(context, measure, plan);
  } catch (const Error& error) {
    plan.errors.push_back(error.at(fmt::format("stage.{}", stage.name)).what());
  }
  return plan;
}

std::vector<StagePlan> check_pipeline(const Pipeline& pipeline, const RunSettings& settings,
                                      const std::filesystem::path& out, bool measure) {
  DataCatalog data(pipeline);
  const std::filesystem::path root = store_folder(out);
  std::vector<StagePlan> plans;
  std::map<std::string, std::string> keys;
  for (const Stage& stage : pipeline.stages) {
    StagePlan plan = probe_stage(pipeline, stage, data, settings, measure);
    try {
      plan.key = identify(pipeline, stage, data, stage.from.empty() ? "" : keys.at(stage.from)).key;
      plan.in_store = std::filesystem::exists(root) && StageStore(root).find(plan.key).has_value();
    } catch (const Error&) {
      // The data cannot be opened, as the errors tell.
    }
    keys[stage.name] = plan.key;
    plans.push_back(std::move(plan));
  }
  return plans;
}

}  // namespace bissl
