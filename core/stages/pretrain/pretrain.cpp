#include "stages/pretrain/pretrain.h"
#include "bilevel/lower_level.h"
#include "data/prefetcher.h"
#include "models/evaluation_guard.h"
#include "models/module_state.h"
#include "models/training_step.h"
#include "stages/monitor.h"
#include "stages/networks.h"
#include "stages/pretrain/parts.h"
#include "stages/session.h"

namespace bissl::host {
namespace {

/// A step on the pretext loss and the labelled task's loss together.
class JointStep {
 public:
  explicit JointStep(const PretrainParts& parts)
      : parts_(parts),
        step_(parts.parameters(), *parts.optimizer,
              {.max_grad_norm = parts.options.max_grad_norm,
               .grad_norm_guard = parts.options.grad_norm_guard,
               .name = "the training on both losses",
               .advice = "Try a smaller learning rate or a longer warm-up"}) {}

  struct Result {
    double pretext = 0;
    double supervised = 0;
    double gradient_norm = 0;
  };

  Result take(const std::function<Batch()>& next, const Batch& labelled, double lr_scale,
              const TrainingProgress& progress) {
    parts_.pretext->before_step(progress);
    LossGradient gradient = mean_gradient(parts_.options.accumulate, [&] {
      const Batch batch = next();
      return loss_gradient(*parts_.pretext, *parts_.backbone, step_.parameters(),
                           [&] { return parts_.pretext->loss(*parts_.backbone, batch); });
    });
    const LossGradient other = supervised_gradient(parts_, step_.parameters(), labelled);
    Result result{.pretext = gradient.loss, .supervised = other.loss};
    {
      const c10::NoGradGuard no_grad;
      for (size_t i = 0; i < other.gradients.size(); ++i) {
        gradient.gradients[i] = gradient.gradients[i].add(other.gradients[i]);
      }
    }
    gradient.loss += parts_.supervised->options.weight * other.loss;
    result.gradient_norm = step_.take(std::move(gradient), lr_scale);
    parts_.pretext->after_step(*parts_.backbone, progress);
    return result;
  }

 private:
  const PretrainParts& parts_;
  TrainingStep step_;
};

/// A run of the stage.
class PretrainRun {
 public:
  explicit PretrainRun(const StageContext& context)
      : context_(context), parts_(build_pretrain(context)) {}

  StageResults run();

 private:
  void keep_parts(Session& session);
  void train(Session& session, int64_t step);
  void train_jointly(Session& session, int64_t step);

  /// After a step: what the monitor, if there is one, says of it.
  Session::StepNews watched(int64_t number, Session::StepNews news);

  const StageContext& context_;
  PretrainParts parts_;
  std::unique_ptr<Monitor> monitor_;
  double loss_ = 0;
};

Session::StepNews PretrainRun::watched(int64_t number, Session::StepNews news) {
  if (monitor_) {
    monitor_->after_step(number + 1, parts_.steps, news);
  }
  return news;
}

void PretrainRun::keep_parts(Session& session) {
  session.keep("backbone", parts_.backbone->module());
  session.keep("pretext", parts_.pretext->module());
  if (parts_.supervised) {
    session.keep("head", parts_.supervised->downstream->module());
  }
  session.keep("optimizer", *parts_.optimizer);
  session.keep(
      "last_loss", [this] { return nlohmann::json(loss_); },
      [this](const nlohmann::json& saved) { loss_ = saved.get<double>(); });
  BestWeights::Networks networks = {{"backbone", &parts_.backbone->module()},
                                    {"pretext", &parts_.pretext->module()}};
  if (parts_.supervised) {
    networks.emplace_back("head", &parts_.supervised->downstream->module());
  }
  monitor_ = make_monitor(context_, *parts_.source, *parts_.backbone, std::move(networks));
  if (monitor_) {
    monitor_->keep(session);
  }
}

void PretrainRun::train(Session& session, int64_t step) {
  const PretrainOptions& options = parts_.options;
  LowerLevel level(*parts_.backbone, *parts_.pretext, *parts_.optimizer, options.max_grad_norm,
                   options.grad_norm_guard);
  Prefetcher batches(parts_.source, step * options.accumulate, parts_.steps * options.accumulate,
                     context_.settings.loader_threads);
  session.run(step, parts_.steps, [&](int64_t number) -> Session::StepNews {
    const double lr_scale = parts_.pace->begin(number);
    const PretextStep result = level.step(parts_.options.accumulate, [&] { return batches.next(); },
                                          lr_scale, {number, parts_.steps}, {});
    loss_ = result.loss;
    return watched(number, {{{"loss", result.loss}},
                            {{"lr_scale", lr_scale}, {"gradient_norm", result.gradient_norm}}});
  });
}

void PretrainRun::train_jointly(Session& session, int64_t step) {
  const int64_t parts = parts_.options.accumulate;
  const int threads = context_.settings.loader_threads;
  JointStep joint(parts_);
  Prefetcher batches(parts_.source, step * parts, parts_.steps * parts, threads);
  Prefetcher labelled(parts_.supervised->source, step, parts_.steps, threads);
  session.run(step, parts_.steps, [&](int64_t number) -> Session::StepNews {
    const double lr_scale = parts_.pace->begin(number);
    const JointStep::Result result = joint.take([&] { return batches.next(); }, labelled.next(),
                                                lr_scale, {number, parts_.steps});
    loss_ = result.pretext;
    return watched(number, {{{"loss", result.pretext}, {"supervised", result.supervised}},
                            {{"lr_scale", lr_scale}, {"gradient_norm", result.gradient_norm}}});
  });
}

StageResults PretrainRun::run() {
  Session session(context_, context_.folder, context_.stage.name, parts_.steps,
                  parts_.options.step_samples());
  keep_parts(session);
  const TensorList begin = copy(tensors_of(trainable_parameters(parts_.backbone->module())));
  seed_generator(context_.seed_for("noise"));
  const int64_t step = session.start();
  StageResults results;
  results.logs = {event_log_file};
  results.losses = {"loss"};
  if (parts_.supervised) {
    results.losses.emplace_back("supervised");
    train_jointly(session, step);
  } else {
    train(session, step);
  }
  session.finish();
  if (monitor_) {
    monitor_->put_best();
  }
  save_weights(context_.folder, backbone_file, parts_.backbone->module());
  save_weights(context_.folder, pretext_file, parts_.pretext->module());
  if (parts_.supervised) {
    save_weights(context_.folder, head_file, parts_.supervised->downstream->module());
  }
  TensorList moved = copy(tensors_of(trainable_parameters(parts_.backbone->module())));
  add_scaled(moved, -1.0, begin);
  results.details = {{"steps", parts_.steps}, {"last_loss", loss_}, {"displacement", norm(moved)}};
  note_cost(results.details, parts_.cost());
  if (monitor_) {
    results.details["monitor"] = monitor_->report();
  }
  return results;
}

class PretrainKind : public StageKind {
 public:
  const StageKindSpec& spec() const override { return spec_; }

  std::vector<DataUse> data(const Stage& stage) const override {
    std::vector<DataUse> uses = {{.name = parse_pretrain(stage.table).data,
                                  .trains = true,
                                  .labels = takes_targets(stage.table.component("pretext"))}};
    if (stage.table.has_table("supervised")) {
      const SupervisedOptions options = parse_supervised(stage.table.table("supervised"));
      uses.push_back({.name = options.data, .trains = true, .labels = true});
    }
    const std::vector<DataUse> monitored = monitored_data(stage);
    uses.insert(uses.end(), monitored.begin(), monitored.end());
    return uses;
  }

  std::optional<double> pretext_images(const Stage& stage) const override {
    const PretrainOptions options = parse_pretrain(stage.table);
    if (!options.length.steps) {
      return std::nullopt;
    }
    return static_cast<double>(*options.length.steps) * static_cast<double>(options.step_samples());
  }

  StageResults run(const StageContext& context) const override {
    return PretrainRun(context).run();
  }

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
