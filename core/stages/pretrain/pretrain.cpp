#include "stages/pretrain/pretrain.h"
#include "bilevel/lower_level.h"
#include "data/prefetcher.h"
#include "models/evaluation_guard.h"
#include "stages/networks.h"
#include "stages/pretrain/parts.h"
#include "stages/session.h"

namespace bissl::host {
namespace {

StageResults run_pretrain(const StageContext& context) {
  const PretrainParts parts = build_pretrain(context);
  const auto& [options, source, backbone, pretext, optimizer, steps, pace] = parts;
  Session session(context, context.folder, context.stage.name, steps, options.step_samples());
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
  Prefetcher batches(source, step * options.accumulate, steps * options.accumulate,
                     context.settings.loader_threads);
  session.run(step, steps, [&](int64_t number) -> Session::StepNews {
    const double lr_scale = parts.pace->begin(number);
    const PretextStep result = level.step(parts.options.accumulate, [&] { return batches.next(); },
                                          lr_scale, {number, parts.steps}, {});
    loss = result.loss;
    return {{{"loss", result.loss}},
            {{"lr_scale", lr_scale}, {"gradient_norm", result.gradient_norm}}};
  });
  session.finish();
  save_weights(context.folder, backbone_file, backbone->module());
  save_weights(context.folder, pretext_file, pretext->module());
  StageResults results;
  results.logs = {event_log_file};
  results.losses = {"loss"};
  results.details = {
      {"steps", steps}, {"images", steps * options.step_samples()}, {"last_loss", loss}};
  return results;
}

class PretrainKind : public StageKind {
 public:
  const StageKindSpec& spec() const override { return spec_; }

  std::vector<DataUse> data(const Stage& stage) const override {
    return {{.name = parse_pretrain(stage.table).data,
             .trains = true,
             .labels = takes_targets(stage.table.component("pretext"))}};
  }

  StageResults run(const StageContext& context) const override { return run_pretrain(context); }

  std::unique_ptr<StageTrial> trial(const StageContext& context, StagePlan& plan,
                                    bool measure) const override {
    return make_pretrain_trial(context, plan, measure);
  }

 private:
  StageKindSpec spec_ = pretrain_spec();
};

}  // namespace

const StageKind& pretrain_kind() {
  static const PretrainKind kind;
  return kind;
}

}  // namespace bissl::host
