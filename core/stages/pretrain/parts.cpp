#include "stages/pretrain/parts.h"

#include "base/spelling.h"
#include "bilevel/lower_level.h"
#include "bissl/error.h"
#include "models/attribution.h"
#include "models/module_state.h"
#include "stages/memory.h"
#include "stages/networks.h"
#include "stages/rates.h"

namespace bissl::host {

namespace {

/// How many views an augmentation makes that does not say it; what most pretext tasks take.
constexpr int64_t default_views = 2;

/// Images that a step of a stage with `match` is counted as, by what the two have in common.
double cost_of_step(const Stage& stage, const PretrainOptions& options, double views) {
  auto images = static_cast<double>(options.step_samples());
  if (parse_match(stage.table)->by != "steps" && stage.table.has_table("supervised")) {
    const SupervisedOptions supervised = parse_supervised(stage.table.table("supervised"));
    images += static_cast<double>(supervised.batch) / views;
  }
  return images;
}

void build_supervised(const StageContext& context, PretrainParts& parts) {
  if (!context.stage.table.has_table("supervised")) {
    return;
  }
  const Table& table = context.stage.table.table("supervised");
  SupervisedParts& supervised = parts.supervised.emplace();
  supervised.options = parse_supervised(table);
  const SupervisedOptions& options = supervised.options;
  supervised.source =
      make_labelled_batches(context, "supervised.data", options.data, table.augment(),
                            {.batch = options.batch,
                             .seed = context.seed_for("supervised"),
                             .purpose = "pretrain/supervised"});
  const ImageShape& view = supervised.source->view_shape();
  if (view.channels != parts.source->view_shape().channels) {
    fail_input(
        "the views of supervised.data (data.{}) have {} channels, those of data.{} have {}; both "
        "train one backbone",
        spelled_key(options.data), view.channels, spelled_key(parts.options.data),
        parts.source->view_shape().channels);
  }
  refuse_beyond_memory({.key = "supervised.batch",
                        .batch = options.batch,
                        .views = {view},
                        .held = batches_held(context.settings.loader_threads, parts.steps)});
  supervised.downstream = make_downstream(
      context, table.component("downstream"), *parts.backbone,
      {.name = options.data, .targets = supervised.source->data().targets(), .view = view},
      context.seed_for("init/head"));
}

}  // namespace

NamedTensors PretrainParts::parameters() const {
  NamedTensors all = lower_parameters(*backbone, *pretext);
  if (supervised) {
    for (const auto& [name, tensor] : trainable_parameters(supervised->downstream->module())) {
      all.emplace_back("head." + name, tensor);
    }
  }
  return all;
}

TrainingCost PretrainParts::cost() const {
  TrainingCost cost;
  cost.images = static_cast<double>(steps) * static_cast<double>(options.step_samples());
  cost.gradient_images = cost.images;
  if (supervised) {
    cost.gradient_images += static_cast<double>(steps) *
                            static_cast<double>(supervised->options.batch) /
                            static_cast<double>(source->view_shapes().size());
  }
  return cost;
}

LossGradient supervised_gradient(const PretrainParts& parts, const TensorList& parameters,
                                 const Batch& batch) {
  LossGradient gradient =
      downstream_gradient(*parts.backbone, *parts.supervised->downstream, parameters,
                          {.images = batch.views[0], .targets = batch.targets});
  const c10::NoGradGuard no_grad;
  for (at::Tensor& tensor : gradient.gradients) {
    tensor.mul_(parts.supervised->options.weight);
  }
  return gradient;
}

PretrainParts build_pretrain(const StageContext& context) {
  const Table& table = context.stage.table;
  PretrainParts parts;
  parts.options = parse_pretrain(table);
  const PretrainOptions& options = parts.options;

  // The pretext task knows how many views it needs, and needs a backbone to be made; the backbone
  // needs the views' shape. A first source gives that, of the views that are declared.
  const ViewsChoice& augment = table.augment();
  const auto first =
      make_batches(context, options.data, augment, {.views = augment.count().value_or(1)});
  parts.backbone = make_backbone(context, first->view_shape(), context.seed_for("init/backbone"));
  take_over(context, backbone_file, parts.backbone->module());
  check_match(context.pipeline, context.stage);
  if (context.budget) {
    const auto views = static_cast<double>(augment.count().value_or(default_views));
    const double each = cost_of_step(context.stage, options, views);
    parts.matched_steps = *context.budget / each;
    parts.steps = steps_for(*context.budget, each);
  } else {
    parts.steps = steps_of(options.length, first->samples(), options.step_samples());
  }
  parts.pretext = make_pretext(context, table.component("pretext"), *parts.backbone,
                               {.views = first->view_shapes(),
                                .steps = parts.steps,
                                .samples = first->samples(),
                                .batch = options.batch,
                                .hessian_batch = options.batch,
                                .seed = context.seed_for("init/pretext"),
                                .data = options.data,
                                .targets = first->data().targets()});
  require_separable("accumulate", options.accumulate, *parts.pretext);
  take_over(context, pretext_file, parts.pretext->module());
  require_views(augment, table.component("pretext"), *parts.pretext);
  parts.source = make_pretext_batches(context, options.data, table, *parts.pretext,
                                      {.batch = options.batch,
                                       .order = Order::shuffled,
                                       .seed = context.seed_for("batches"),
                                       .purpose = "pretrain"});
  refuse_beyond_memory({.key = "batch",
                        .batch = options.batch,
                        .views = parts.source->view_shapes(),
                        .held = batches_held(context.settings.loader_threads, parts.steps)});
  build_supervised(context, parts);
  freeze(table, parts.parameters());
  parts.optimizer =
      make_optimizer(table, parts.parameters(), *parts.backbone, options.step_samples());
  parts.pace.emplace(table, *parts.optimizer, parts.steps, parts.source->samples(),
                     options.step_samples());
  return parts;
}

}  // namespace bissl::host
