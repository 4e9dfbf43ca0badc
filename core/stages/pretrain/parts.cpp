#include "stages/pretrain/parts.h"

#include "bilevel/lower_level.h"
#include "bissl/error.h"
#include "models/attribution.h"
#include "stages/memory.h"
#include "stages/networks.h"
#include "stages/rates.h"

namespace bissl::host {

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
  parts.steps = steps_of(options.length, first->samples(), options.step_samples());
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
  freeze(table, lower_parameters(*parts.backbone, *parts.pretext));
  parts.optimizer = make_optimizer(table, lower_parameters(*parts.backbone, *parts.pretext),
                                   *parts.backbone, options.step_samples());
  parts.pace.emplace(table, *parts.optimizer, parts.steps, parts.source->samples(),
                     options.step_samples());
  return parts;
}

}  // namespace bissl::host
