#include "stages/parts.h"

#include "bilevel/lower_level.h"
#include "models/attribution.h"
#include "models/gradients.h"
#include "models/module_state.h"
#include "stages/memory.h"
#include "stages/networks.h"

#include <c10/core/GradMode.h>

#include <fmt/format.h>

namespace bissl {
namespace {

std::optional<Schedule> make_schedule(const Table& table, int64_t steps, const BatchSource& source,
                                      int64_t batch) {
  return Schedule(parse_schedule(table), steps,
                  static_cast<double>(source.samples()) / static_cast<double>(batch));
}

}  // namespace

PretrainParts build_pretrain(const StageContext& context) {
  const Table& table = context.stage.table;
  PretrainParts parts;
  parts.options = parse_pretrain(table);
  const PretrainOptions& options = parts.options;

  // The pretext task knows how many views it wants, and needs a backbone to be made; the backbone
  // needs the views' shape. A first source, for one view, tells that.
  const auto first = make_batches(context, options.data, table.component("augment"), {});
  parts.backbone = make_backbone(context, first->view_shape(), context.seed_for("init/backbone"));
  parts.pretext = make_pretext(context, table.component("pretext"), *parts.backbone,
                               context.seed_for("init/pretext"));
  take_over(context, backbone_file, parts.backbone->module());
  take_over(context, pretext_file, parts.pretext->module());
  refuse_beyond_memory(
      {.key = "batch",
       .batch = options.batch,
       .views = parts.pretext->views(),
       .view = first->view_shape(),
       .held = batches_held(context.settings.loader_threads,
                            steps_of(options.length, first->samples(), options.batch))});
  parts.optimizer = make_optimizer(table.component("optimizer"),
                                   lower_parameters(*parts.backbone, *parts.pretext));
  parts.source = make_batches(context, options.data, table.component("augment"),
                              {options.batch, parts.pretext->views(), Order::shuffled,
                               context.seed_for("batches"), "pretrain"});
  parts.steps = steps_of(options.length, parts.source->samples(), options.batch);
  parts.schedule = make_schedule(table, parts.steps, *parts.source, options.batch);
  return parts;
}

std::string use_of_repeat(const char* what, int64_t repeat) {
  return fmt::format("{}#{}", what, repeat);
}

FinetuneParts build_finetune(const StageContext& context, int64_t repeat) {
  const Table& table = context.stage.table;
  const auto seed = [&](const char* what) { return context.seed_for(use_of_repeat(what, repeat)); };
  FinetuneParts parts;
  parts.options = parse_finetune(table);
  const FinetuneOptions& options = parts.options;
  parts.source =
      make_labelled_batches(context, "data", options.data, table.component("augment"),
                            {options.batch, 1, Order::shuffled, seed("batches"), "finetune"});
  refuse_beyond_memory(
      {.key = "batch",
       .batch = options.batch,
       .view = parts.source->view_shape(),
       .held = batches_held(context.settings.loader_threads,
                            steps_of(options.length, parts.source->samples(), options.batch))});
  parts.backbone = make_backbone(context, parts.source->view_shape(), seed("init/backbone"));
  take_over(context, backbone_file, parts.backbone->module());
  parts.downstream = make_downstream(
      context, table.component("downstream"), *parts.backbone,
      {.name = options.data, .targets = parts.source->data().targets()}, seed("init/head"));
  for (const auto& [name, tensor] : trainable_parameters(parts.downstream->module())) {
    parts.parameters.emplace_back("head." + name, tensor);
  }
  if (options.freeze_backbone) {
    set_training(parts.backbone->module(), false);
  } else {
    for (const auto& [name, tensor] : trainable_parameters(parts.backbone->module())) {
      parts.parameters.emplace_back("backbone." + name, tensor);
    }
  }
  parts.optimizer = make_optimizer(table.component("optimizer"), parts.parameters);
  parts.steps = steps_of(options.length, parts.source->samples(), options.batch);
  parts.schedule = make_schedule(table, parts.steps, *parts.source, options.batch);
  return parts;
}

LossGradient finetune_gradient(const FinetuneParts& parts, const Batch& batch, c10::Device device) {
  const at::Tensor images = batch.views[0].to(device);
  const TargetBatch targets = batch.targets.to(device);
  at::Tensor features;
  {
    const c10::AutoGradMode grad(!parts.options.freeze_backbone);
    features = parts.backbone->forward(images);
  }
  return in_gradient(*parts.downstream, *parts.backbone, [&]() -> LossGradient {
    const at::Tensor loss = parts.downstream->loss(parts.downstream->forward(features), targets);
    return {loss.item<double>(), gradients_of(loss, tensors_of(parts.parameters))};
  });
}

}  // namespace bissl
