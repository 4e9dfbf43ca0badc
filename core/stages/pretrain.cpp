#include "bilevel/lower_level.h"
#include "models/evaluation_guard.h"
#include "stages/networks.h"
#include "stages/options.h"
#include "stages/schedule.h"
#include "stages/session.h"
#include "stages/stages.h"

namespace bissl {

nlohmann::json run_pretrain(const StageContext& context) {
  const Table& table = context.stage.table;
  const PretrainOptions options = parse_pretrain(table);

  // The pretext task knows how many views it wants, and needs a backbone to be made; the backbone
  // needs the views' shape. A first source, for one view, tells that.
  const auto probe = make_batches(context, options.data, table.component("augment"), {});
  const auto backbone =
      make_backbone(context, probe->view_shape(), context.seed_for("init/backbone"));
  const auto pretext = make_pretext(context, table.component("pretext"), *backbone,
                                    context.seed_for("init/pretext"));
  if (context.parent) {
    load_weights(*context.parent, backbone_file, backbone->module());
    load_weights(*context.parent, pretext_file, pretext->module());
  }
  const auto optimizer =
      make_optimizer(table.component("optimizer"), lower_parameters(*backbone, *pretext));

  const auto source = make_batches(
      context, options.data, table.component("augment"),
      {options.batch, pretext->views(), Order::shuffled, context.seed_for("batches"), "pretrain"});
  const int64_t steps = steps_of(options.length, source->samples(), options.batch);
  const Schedule schedule(
      parse_schedule(table), steps,
      static_cast<double>(source->samples()) / static_cast<double>(options.batch));

  Session session(context, context.folder, context.stage.name, steps, options.batch);
  session.keep("backbone", backbone->module());
  session.keep("pretext", pretext->module());
  session.keep("optimizer", *optimizer);
  seed_generator(context.seed_for("noise"));
  double loss = 0;
  session.keep(
      "last_loss", [&] { return nlohmann::json(loss); },
      [&](const nlohmann::json& saved) { loss = saved.get<double>(); });
  LowerLevel level(*backbone, *pretext, *optimizer, options.max_grad_norm);
  int64_t step = session.start();
  Prefetcher batches(source, step, steps, context.settings.loader_threads);
  for (; step < steps; ++step) {
    const at::Tensor views = batches.next().views.to(context.settings.device);
    const PretextStep result = level.step(views, schedule.rate(step));
    loss = result.loss;
    session.done(step, {{"loss", result.loss}},
                 {{"rate", schedule.rate(step)}, {"gradient_norm", result.gradient_norm}});
  }
  session.finish();
  save_weights(context.folder, backbone_file, backbone->module());
  save_weights(context.folder, pretext_file, pretext->module());
  return {{"steps", steps}, {"images", steps * options.batch}, {"last_loss", loss}};
}

}  // namespace bissl
