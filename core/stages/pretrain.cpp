#include "bilevel/lower_level.h"
#include "data/prefetcher.h"
#include "models/evaluation_guard.h"
#include "stages/networks.h"
#include "stages/parts.h"
#include "stages/session.h"
#include "stages/stages.h"

namespace bissl {

nlohmann::json run_pretrain(const StageContext& context) {
  const PretrainParts parts = build_pretrain(context);
  const auto& [options, source, backbone, pretext, optimizer, steps, schedule] = parts;
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
    const Views views = converted(batches.next().views, context.settings.device);
    const double rate = schedule->rate(step);
    const PretextStep result = session.step(step, [&] { return level.step(views, rate); });
    loss = result.loss;
    session.done(step, {{"loss", result.loss}},
                 {{"rate", rate}, {"gradient_norm", result.gradient_norm}});
  }
  session.finish();
  save_weights(context.folder, backbone_file, backbone->module());
  save_weights(context.folder, pretext_file, pretext->module());
  return {{"steps", steps}, {"images", steps * options.batch}, {"last_loss", loss}};
}

}  // namespace bissl
