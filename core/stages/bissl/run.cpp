#include "stages/bissl/run.h"

#include "data/prefetcher.h"
#include "models/evaluation_guard.h"
#include "models/module_state.h"
#include "models/training_step.h"
#include "stages/bissl/cost.h"
#include "stages/bissl/parts.h"
#include "stages/bissl/round_problem.h"
#include "stages/bissl/solve_summary.h"
#include "stages/bissl/stage_choices.h"
#include "stages/bissl/stage_watch.h"
#include "stages/bissl/step_plan.h"
#include "stages/monitor.h"
#include "stages/networks.h"
#include "stages/session.h"
#include "store/stage_results.h"

#include <c10/core/GradMode.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

namespace bissl::host {
namespace {

StepPlan step_plan(const BisslParts& parts) {
  return {.head_warmup = parts.head_warmup.steps,
          .rounds = parts.options.rounds,
          .lower = parts.lower_options.steps,
          .upper = parts.upper_options.steps,
          .lower_parts = parts.lower_options.accumulate,
          .upper_parts = parts.upper_options.accumulate};
}

StageWatch::Setting watch_setting(const StageContext& context, const BisslParts& parts) {
  StageWatch::Setting setting{.rounds = parts.options.rounds,
                              .warmup_steps = parts.head_warmup.steps,
                              .guard = parts.options.guard,
                              .warn = context.settings.warn};
  const TargetSpec& targets = parts.upper.source->data().targets();
  if (targets.kind == TargetKind::category) {
    setting.constant_loss = std::log(static_cast<double>(targets.width));
  }
  return setting;
}

/// How far the stage that this one continues has moved the backbone, if its results say so.
std::optional<double> displacement_before(const StageContext& context) {
  if (!context.parent || !std::filesystem::exists(*context.parent / stage_results_file)) {
    return std::nullopt;
  }
  const nlohmann::json details = read_stage_results(*context.parent).details;
  const auto found = details.find("displacement");
  return found != details.end() && found->is_number() ? std::optional(found->get<double>())
                                                      : std::nullopt;
}

/// A run of the stage. StepPlan says what its steps are.
class BisslRun {
 public:
  explicit BisslRun(const StageContext& context)
      : context_(context),
        parts_(context),
        plan_(step_plan(parts_)),
        watch_(watch_setting(context_, parts_)),
        choices_(context_, parts_),
        problem_(context_, parts_, solves_),
        start_(copy(tensors_of(trainable_parameters(parts_.lower_backbone->module())))) {}

  StageResults run();

 private:
  using Place = StepPlan::Place;
  void keep_parts(Session& session);
  void begin();
  void run_head_warmup(Session& session, int64_t& step);
  double displacement() const;
  StageResults results() const;
  Session::StepNews lower_step(const Place& place);
  Session::StepNews upper_step(const Place& place);
  void end_round(int64_t round);
  TrainingCost cost() const;

  const StageContext& context_;
  BisslParts parts_;
  StepPlan plan_;
  SolveSummary solves_;
  StageWatch watch_;
  StageChoices choices_;
  RoundProblem problem_;
  TensorList start_;  ///< θ_P before the first step
  std::unique_ptr<Prefetcher> lower_batches_;
  std::unique_ptr<Prefetcher> upper_batches_;
  std::unique_ptr<Monitor> monitor_;  ///< of the lower backbone, which the stage hands on
};

/// What comes before the first step: what is chosen, and the head where it is fitted.
void BisslRun::begin() {
  choices_.before_training();
  if (parts_.warmup == HeadWarmup::convex) {
    watch_.head_fitted(
        fit_head(context_, *parts_.upper_backbone, *parts_.linear, parts_.head_fit_data()));
  }
}

/// ‖θ_P − θ_P before the first step‖
double BisslRun::displacement() const {
  const c10::NoGradGuard no_grad;
  TensorList moved = copy(tensors_of(trainable_parameters(parts_.lower_backbone->module())));
  add_scaled(moved, -1.0, start_);
  return norm(moved);
}

void BisslRun::run_head_warmup(Session& session, int64_t& step) {
  if (step >= plan_.head_warmup) {
    return;
  }
  Backbone& backbone = *parts_.upper_backbone;
  // The frozen backbone is in evaluation mode: its running statistics do not move.
  set_training(backbone.module(), false);
  TrainingStep head(trainable_parameters(parts_.downstream->module()),
                    *parts_.head_warmup.optimizer,
                    {.name = "the head's warm-up", .advice = "Try a smaller learning rate"});
  session.run(step, plan_.head_warmup, [&](int64_t number) -> Session::StepNews {
    const Batch batch = upper_batches_->next();
    LossGradient gradient =
        downstream_gradient(backbone, *parts_.downstream, head.parameters(),
                            task_batch(batch, std::nullopt, number), BackboneIs::frozen);
    const double loss = gradient.loss;
    head.take(std::move(gradient), parts_.head_warmup.begin(number));
    watch_.head_step(number, loss);
    return {{{"loss", loss}}, {{"phase", "head_warmup"}}};
  });
  set_training(backbone.module(), true);
}

Session::StepNews BisslRun::lower_step(const Place& place) {
  problem_.clear();
  const double lr_scale = parts_.lower.begin(place.number);
  const PretextStep result = parts_.lower_step(
      plan_.lower_parts, [this] { return lower_batches_->next(); }, place.number, place.within == 0,
      lr_scale);
  watch_.lower_step(place.within == 0, result.pretext_norm);
  return {{{"lower", result.loss}},
          {{"phase", "lower"},
           {"round", place.round},
           {"lr_scale", lr_scale},
           {"proximity", result.proximity},
           {"gradient_norm", result.gradient_norm},
           {"pretext_norm", result.pretext_norm}}};
}

nlohmann::json event_of(const UpperStep& step) {
  nlohmann::json event = {{"phase", "upper"},
                          {"u_norm", step.u_norm},
                          {"v_norm", step.v_norm},
                          {"cosine_u_v", step.cosine},
                          {"gradient_norm", step.gradient_norm},
                          {"guard", step.guard},
                          {"solve", to_string(step.status)},
                          {"iterations", step.iterations},
                          {"hessian_products", step.hessian_products},
                          {"shifted_gradients", step.gradients},
                          {"relative_residual", step.relative_residual}};
  for (const auto& [name, value] : step.values) {
    event[name] = value;
  }
  return event;
}

Session::StepNews BisslRun::upper_step(const Place& place) {
  PretextProblem& problem = problem_.of(place.round, place.number);
  nlohmann::json audited;
  UpperLevel::Observer observe;
  if (parts_.auditor && parts_.auditor->due(place.number)) {
    observe = [&](const TensorList& u, const HypergradientSolution& solution) {
      audited = problem_.audit(place.round, u, solution);
    };
  }
  const double lr_scale = parts_.upper.begin(place.number);
  const auto next = [this, number = place.number * plan_.upper_parts]() mutable -> OuterBatch {
    return task_batch(upper_batches_->next(), parts_.upper_mix, number++);
  };
  parts_.upper_level->limit(watch_.limit());
  const UpperStep result =
      parts_.upper_level->step(UpperLevel::Batches{.parts = plan_.upper_parts, .next = next},
                               problem, problem_.noise_seed(place.round), lr_scale, observe);
  solves_.add(result);
  watch_.upper_step(place.round, result);
  solves_.note_graph(problem.graph_bytes());
  if (place.within + 1 == plan_.upper) {
    end_round(place.round);
  }
  nlohmann::json event = event_of(result);
  event["round"] = place.round;
  event["lr_scale"] = lr_scale;
  event["pretext_norm"] = watch_.pretext_norm();
  if (place.within + 1 == plan_.upper) {
    event["displacement"] = displacement();
  }
  if (!audited.is_null()) {
    event["audit"] = std::move(audited);
  }
  return {{{"upper", result.loss}}, std::move(event)};
}

void BisslRun::end_round(int64_t round) {
  problem_.clear();
  if (parts_.options.adaptation_every > 0 && (round + 1) % parts_.options.adaptation_every == 0) {
    adapt_upper_backbone(*parts_.upper_backbone, *parts_.lower_backbone,
                         parts_.options.adaptation_strength);
  }
}

void BisslRun::keep_parts(Session& session) {
  session.keep("lower_backbone", parts_.lower_backbone->module());
  session.keep("upper_backbone", parts_.upper_backbone->module());
  session.keep("pretext", parts_.pretext->module());
  session.keep("head", parts_.downstream->module());
  if (parts_.head_warmup.optimizer) {
    session.keep("head_warmup_optimizer", *parts_.head_warmup.optimizer);
  }
  session.keep("lower_optimizer", *parts_.lower.optimizer);
  session.keep("upper_optimizer", *parts_.upper.optimizer);
  session.keep("hypergradient", *parts_.hypergradient);
  choices_.keep(session);
  if (parts_.trajectory) {
    session.keep_tensors(
        "lower_steps", [this] { return parts_.trajectory->state(); },
        [this](const NamedTensors& state) {
          parts_.trajectory->load_state(
              state, [this](int64_t number) { return parts_.lower.source->make(number); });
        });
  }
  if (monitor_) {
    monitor_->keep(session);
  }
  session.keep(
      "solves", [this] { return solves_.save(); },
      [this](const nlohmann::json& saved) { solves_.load(saved); });
  session.keep(
      "watch", [this] { return watch_.save(); },
      [this](const nlohmann::json& saved) { watch_.load(saved); });
}

TrainingCost BisslRun::cost() const {
  const nlohmann::json solves = solves_.report();
  const double batches = static_cast<double>(parts_.lower_options.hessian_batches);
  const double products = solves.at("hessian_products").get<double>();
  const bool recomputed = parts_.lower_options.hessian_graph == "recomputed";
  const double graphs =
      recomputed ? products : std::min(products, static_cast<double>(parts_.options.rounds));
  const double gradients = graphs + solves.at("shifted_gradients").get<double>();
  TrainingCost cost = bissl_cost(parts_, products * batches, gradients * batches);
  cost.pretext_seconds = solves_.lower_seconds();
  return cost;
}

StageResults BisslRun::run() {
  Session session(context_, context_.folder, context_.stage.name, plan_.total(),
                  parts_.lower_options.step_samples());
  monitor_ = make_monitor(context_, *parts_.lower.source, *parts_.lower_backbone,
                          {{"backbone", &parts_.lower_backbone->module()},
                           {"pretext", &parts_.pretext->module()},
                           {"head", &parts_.downstream->module()}});
  keep_parts(session);
  seed_generator(context_.seed_for("noise"));
  int64_t step = session.start();
  if (step == 0) {
    begin();
  }
  const int threads = context_.settings.loader_threads;
  lower_batches_ = std::make_unique<Prefetcher>(parts_.lower.source, plan_.lower_batches_done(step),
                                                plan_.lower_batches(), threads);
  upper_batches_ = std::make_unique<Prefetcher>(parts_.upper.source, plan_.upper_batches_done(step),
                                                plan_.upper_batches(), threads);
  run_head_warmup(session, step);
  if (step == plan_.head_warmup) {
    choices_.before_rounds();
  }
  session.run(step, plan_.total(), [this](int64_t number) {
    const Place place = plan_.place(number);
    const auto begin = std::chrono::steady_clock::now();
    Session::StepNews news =
        place.phase == StepPlan::Phase::lower ? lower_step(place) : upper_step(place);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    solves_.note_step(taken.count(), place.phase == StepPlan::Phase::lower);
    if (monitor_) {
      monitor_->after_step(number + 1, plan_.total(), news);
    }
    return news;
  });
  session.finish();
  if (monitor_) {
    monitor_->put_best();
  }
  watch_.finished(displacement(), displacement_before(context_));

  save_weights(context_.folder, backbone_file, parts_.lower_backbone->module());
  save_weights(context_.folder, pretext_file, parts_.pretext->module());
  save_weights(context_.folder, head_file, parts_.downstream->module());
  return results();
}

StageResults BisslRun::results() const {
  StageResults results;
  results.logs = {event_log_file};
  results.losses = {"lower", "upper"};
  results.details = {{"steps", plan_.total()},
                     {"images", plan_.lower_total() * parts_.lower_options.step_samples()},
                     {"solves", solves_.report()},
                     {"displacement", displacement()}};
  watch_.report(results.details);
  choices_.report(results.details);
  if (monitor_) {
    results.details["monitor"] = monitor_->report();
  }
  note_cost(results.details, cost());
  return results;
}

}  // namespace

StageResults run_bissl(const StageContext& context) { return BisslRun(context).run(); }

}  // namespace bissl::host
