#include "stages/finetune/parts.h"

#include "bissl/error.h"
#include "models/gradients.h"
#include "models/module_state.h"
#include "stages/memory.h"
#include "stages/networks.h"
#include "stages/rates.h"

#include <fmt/format.h>

namespace bissl::host {

std::string use_of_repeat(const char* what, int64_t repeat) {
  return fmt::format("{}#{}", what, repeat);
}

FinetuneParts build_finetune(const StageContext& context, int64_t repeat) {
  const Table& table = context.stage.table;
  const auto seed = [&](const char* what) { return context.seed_for(use_of_repeat(what, repeat)); };
  FinetuneParts parts;
  parts.options = parse_finetune(table);
  const FinetuneOptions& options = parts.options;
  parts.source = make_labelled_batches(
      context, "data", options.data, table.augment(),
      {.batch = options.batch, .seed = seed("batches"), .purpose = "finetune"});
  refuse_beyond_memory({.key = "batch",
                        .batch = options.batch,
                        .views = {parts.source->view_shape()},
                        .held = batches_held(context.settings.loader_threads,
                                             steps_of(options.length, parts.source->samples(),
                                                      options.step_samples()))});
  parts.backbone = make_backbone(context, parts.source->view_shape(), seed("init/backbone"));
  take_over(context, backbone_file, parts.backbone->module());
  parts.downstream = make_downstream(context, table.component("downstream"), *parts.backbone,
                                     {.name = options.data,
                                      .targets = parts.source->data().targets(),
                                      .view = parts.source->view_shape()},
                                     seed("init/head"));
  require_separable("accumulate", options.accumulate, *parts.downstream);
  for (const auto& [name, tensor] : trainable_parameters(parts.downstream->module())) {
    parts.parameters.emplace_back("head." + name, tensor);
  }
  parts.mix = make_mix(table, seed("mix"), parts.source->data().targets());
  if (options.freeze_backbone) {
    set_training(parts.backbone->module(), false);
  } else {
    for (const auto& [name, tensor] : trainable_parameters(parts.backbone->module())) {
      parts.parameters.emplace_back("backbone." + name, tensor);
    }
  }
  freeze(table, parts.parameters);
  std::erase_if(parts.parameters, [](const auto& entry) { return !entry.tensor.requires_grad(); });
  if (options.proximity > 0) {
    for (const auto& [name, tensor] : parts.parameters) {
      parts.anchor.push_back(name.starts_with("backbone.") ? tensor.detach().clone()
                                                           : at::Tensor());
    }
  }
  parts.optimizer =
      make_optimizer(table, parts.parameters, *parts.backbone, options.step_samples());
  parts.steps = steps_of(options.length, parts.source->samples(), options.step_samples());
  parts.pace.emplace(table, *parts.optimizer, parts.steps, parts.source->samples(),
                     options.step_samples());
  return parts;
}

std::optional<ScoredSource> scored_source(const Stage& stage) {
  if (!stage.table.has_table("evaluate")) {
    return std::nullopt;
  }
  const Table& table = stage.table.table("evaluate");
  const EvaluateOptions options = parse_evaluate(table);
  return ScoredSource{"evaluate.", options.data, table.augment(), options.batch};
}

std::shared_ptr<BatchSource> test_batches(const StageContext& context, const ScoredSource& scored,
                                          const BatchSource& training) {
  auto batches = scored_batches(context, scored, training.data().targets());
  const ImageShape& found = batches->view_shape();
  const ImageShape& shape = training.view_shape();
  if (found != shape) {
    fail_input(
        "{}: its augmentation gives views of {}x{}x{} (channels, height, width), training "
        "uses {}x{}x{}",
        scored.path.substr(0, scored.path.find('.')), found.channels, found.height, found.width,
        shape.channels, shape.height, shape.width);
  }
  return batches;
}

double add_proximity(const FinetuneParts& parts, TensorList& gradients) {
  return add_pull(gradients, tensors_of(parts.parameters), parts.anchor, parts.options.proximity);
}

LossGradient finetune_gradient(const FinetuneParts& parts, const Batch& batch, int64_t number) {
  return downstream_gradient(
      *parts.backbone, *parts.downstream, tensors_of(parts.parameters),
      task_batch(batch, parts.mix, number),
      parts.options.freeze_backbone ? BackboneIs::frozen : BackboneIs::trained);
}

}  // namespace bissl::host
