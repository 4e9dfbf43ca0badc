#include "stages/bissl/bissl.h"
#include "bilevel/diverged.h"
#include "bissl/error.h"
#include "data/prefetcher.h"
#include "models/attribution.h"
#include "models/evaluation_guard.h"
#include "models/gradients.h"
#include "models/module_state.h"
#include "stages/bissl/parts.h"
#include "stages/bissl/solve_summary.h"
#include "stages/networks.h"
#include "stages/session.h"

#include <c10/core/GradMode.h>

#include <cmath>

namespace bissl {
namespace {

/// The whole stage. Its steps are numbered: first those of the head's warm-up, then, round by
/// round, the lower and the upper ones. Each can be the last before an interruption.
class BisslStage {
 public:
  explicit BisslStage(const StageContext& context) : context_(context), parts_(context) {}
  nlohmann::json run();

 private:
  int64_t steps_per_round() const {
    return parts_.lower_options.steps + parts_.upper_options.steps;
  }
  void keep_parts(Session& session);
  void run_warmup(Session& session, int64_t& step);
  void run_rounds(Session& session, int64_t& step);
  void lower_step(Session& session, int64_t step, int64_t round, int64_t within);
  void upper_step(Session& session, int64_t step, int64_t round, int64_t within);
  PretextProblem::Setting problem_setting(int64_t round) const;
  void build_problem(int64_t round);
  nlohmann::json audit(int64_t round, const TensorList& u, const HypergradientSolution& solution);
  void note_failed_audit(const std::string& reason);

  const StageContext& context_;
  BisslParts parts_;
  std::unique_ptr<Prefetcher> lower_batches_;
  std::unique_ptr<Prefetcher> upper_batches_;
  std::vector<Views> hessian_batches_;       ///< of the round
  std::unique_ptr<PretextProblem> problem_;  ///< of the round whose upper steps are running
  SolveSummary solves_;
};

void BisslStage::run_warmup(Session& session, int64_t& step) {
  const int64_t steps = parts_.warmup_steps;
  if (step >= steps) {
    return;
  }
  const NamedTensors parameters = trainable_parameters(parts_.downstream->module());
  // The frozen backbone is in evaluation mode: its running statistics do not move.
  set_training(parts_.upper_backbone->module(), false);
  for (; step < steps; ++step) {
    const Batch batch = upper_batches_->next();
    at::Tensor features;
    {
      const c10::NoGradGuard no_grad;
      features = parts_.upper_backbone->forward(batch.views[0].to(context_.settings.device));
    }
    double value = 0;
    const TensorList gradients = in_gradient(*parts_.downstream, *parts_.upper_backbone, [&] {
      const at::Tensor loss = parts_.downstream->loss(parts_.downstream->forward(features),
                                                      batch.targets.to(context_.settings.device));
      value = loss.item<double>();
      return gradients_of(loss, tensors_of(parameters));
    });
    if (!std::isfinite(value)) {
      session.diverged(
          step, Diverged(fmt::format("the warm-up diverged: loss {}. Try a smaller learning rate",
                                     value)));
    }
    assign_gradients(parameters, gradients);
    parts_.warmup_optimizer->step(parts_.warmup_schedule->rate(step));
    session.done(step, {{"loss", value}}, {{"phase", "warmup"}});
  }
  set_training(parts_.upper_backbone->module(), true);
}

void BisslStage::lower_step(Session& session, int64_t step, int64_t round, int64_t within) {
  problem_.reset();
  const int64_t number = round * parts_.lower_options.steps + within;
  const double rate = parts_.lower_schedule->rate(number);
  const Views views = converted(lower_batches_->next().views, context_.settings.device);
  const PretextStep result =
      session.step(step, [&] { return parts_.lower_step(views, number, within == 0, rate); });
  session.done(step, {{"lower", result.loss}},
               {{"phase", "lower"},
                {"round", round},
                {"rate", rate},
                {"proximity", result.proximity},
                {"gradient_norm", result.gradient_norm}});
}

PretextProblem::Setting BisslStage::problem_setting(int64_t round) const {
  return {.lambda = parts_.options.lambda,
          .noise_seed = context_.seed_for(fmt::format("hessian-noise#{}", round)),
          .recompute_graph = parts_.lower_options.hessian_graph == "recomputed"};
}

void BisslStage::build_problem(int64_t round) {
  // The batches of a round are functions of its number, so a resumed round finds the same ones.
  hessian_batches_.clear();
  for (int64_t i = 0; i < parts_.lower_options.hessian_batches; ++i) {
    const int64_t number = round * parts_.lower_options.hessian_batches + i;
    hessian_batches_.push_back(
        converted(parts_.hessian_source->make(number).views, context_.settings.device));
  }
  problem_ = parts_.make_problem(hessian_batches_, problem_setting(round));
}

/// The audit of one upper step's solve, for the event log.
nlohmann::json BisslStage::audit(int64_t round, const TensorList& u,
                                 const HypergradientSolution& solution) {
  const AuditOutcome outcome =
      parts_.auditor->audit(*parts_.lower_backbone, *parts_.pretext, hessian_batches_,
                            problem_setting(round), u, solution);
  if (outcome.report) {
    solves_.add(*outcome.report);
    return to_json(*outcome.report);
  }
  note_failed_audit(outcome.failure);
  return {{"failed", outcome.failure}};
}

void BisslStage::note_failed_audit(const std::string& reason) {
  if (solves_.add_failed_audit(reason) && context_.settings.warn) {
    context_.settings.warn(
        fmt::format("stage.{}.audit: an audit cannot be made: {}. Training does not need it and "
                    "continues; results.json counts such audits under solves.audit.failed",
                    context_.stage.name, reason));
  }
}

void BisslStage::upper_step(Session& session, int64_t step, int64_t round, int64_t within) {
  if (!problem_) {
    build_problem(round);
  }
  const int64_t number = round * parts_.upper_options.steps + within;
  nlohmann::json audited;
  UpperLevel::Observer observe;
  if (parts_.auditor && parts_.auditor->due(number)) {
    observe = [&](const TensorList& u, const HypergradientSolution& solution) {
      audited = audit(round, u, solution);
    };
  }
  const double rate = parts_.upper_schedule->rate(number);
  const Batch batch = upper_batches_->next();
  const UpperStep result = session.step(step, [&] {
    return parts_.upper_level->step({.images = batch.views[0].to(context_.settings.device),
                                     .targets = batch.targets.to(context_.settings.device)},
                                    *problem_, problem_setting(round).noise_seed, rate, observe);
  });
  solves_.add(result);
  solves_.note_graph(problem_->graph_bytes());
  const bool round_ends = within + 1 == parts_.upper_options.steps;
  if (round_ends) {
    problem_.reset();
    if (parts_.options.adaptation_every > 0 && (round + 1) % parts_.options.adaptation_every == 0) {
      adapt_upper_backbone(*parts_.upper_backbone, *parts_.lower_backbone,
                           parts_.options.adaptation_strength);
    }
  }
  nlohmann::json event = {{"phase", "upper"},
                          {"round", round},
                          {"rate", rate},
                          {"u_norm", result.u_norm},
                          {"v_norm", result.v_norm},
                          {"cosine_u_v", result.cosine},
                          {"gradient_norm", result.gradient_norm},
                          {"solve", to_string(result.status)},
                          {"iterations", result.iterations},
                          {"relative_residual", result.relative_residual}};
  for (const auto& [name, value] : result.values) {
    event[name] = value;
  }
  if (!audited.is_null()) {
    event["audit"] = std::move(audited);
  }
  session.done(step, {{"upper", result.loss}}, event);
}

void BisslStage::run_rounds(Session& session, int64_t& step) {
  const int64_t warmup = parts_.warmup_steps;
  const int64_t end = warmup + parts_.options.rounds * steps_per_round();
  for (; step < end; ++step) {
    const int64_t round = (step - warmup) / steps_per_round();
    const int64_t within = (step - warmup) % steps_per_round();
    if (within < parts_.lower_options.steps) {
      lower_step(session, step, round, within);
    } else {
      upper_step(session, step, round, within - parts_.lower_options.steps);
    }
  }
}

void BisslStage::keep_parts(Session& session) {
  session.keep("lower_backbone", parts_.lower_backbone->module());
  session.keep("upper_backbone", parts_.upper_backbone->module());
  session.keep("pretext", parts_.pretext->module());
  session.keep("head", parts_.downstream->module());
  if (parts_.warmup_optimizer) {
    session.keep("warmup_optimizer", *parts_.warmup_optimizer);
  }
  session.keep("lower_optimizer", *parts_.lower_optimizer);
  session.keep("upper_optimizer", *parts_.upper_optimizer);
  session.keep("hypergradient", *parts_.hypergradient);
  if (parts_.trajectory) {
    session.keep_tensors(
        "lower_steps", [this] { return parts_.trajectory->state(); },
        [this](const NamedTensors& state) {
          parts_.trajectory->load_state(state, [this](int64_t number) {
            return converted(parts_.lower_source->make(number).views, context_.settings.device);
          });
        });
  }
  session.keep(
      "solves", [this] { return solves_.save(); },
      [this](const nlohmann::json& saved) { solves_.load(saved); });
}

nlohmann::json BisslStage::run() {
  const int64_t warmup = parts_.warmup_steps;
  const int64_t total = warmup + parts_.options.rounds * steps_per_round();
  Session session(context_, context_.folder, context_.stage.name, total,
                  parts_.lower_options.batch);
  keep_parts(session);
  seed_generator(context_.seed_for("noise"));
  int64_t step = session.start();

  // Batches are numbered through the stage: where to go on follows from the step alone.
  const int64_t in_rounds = std::max<int64_t>(0, step - warmup);
  const int64_t round = in_rounds / steps_per_round();
  const int64_t within = in_rounds % steps_per_round();
  const int64_t lower_done =
      round * parts_.lower_options.steps + std::min(within, parts_.lower_options.steps);
  const int64_t upper_done = std::min(step, warmup) + round * parts_.upper_options.steps +
                             std::max<int64_t>(0, within - parts_.lower_options.steps);
  const int threads = context_.settings.loader_threads;
  lower_batches_ = std::make_unique<Prefetcher>(
      parts_.lower_source, lower_done, parts_.options.rounds * parts_.lower_options.steps, threads);
  upper_batches_ = std::make_unique<Prefetcher>(
      parts_.upper_source, upper_done, warmup + parts_.options.rounds * parts_.upper_options.steps,
      threads);
  run_warmup(session, step);
  run_rounds(session, step);
  session.finish();

  save_weights(context_.folder, backbone_file, parts_.lower_backbone->module());
  save_weights(context_.folder, pretext_file, parts_.pretext->module());
  save_weights(context_.folder, head_file, parts_.downstream->module());
  return {
      {"steps", total},
      {"images", parts_.options.rounds * parts_.lower_options.steps * parts_.lower_options.batch},
      {"solves", solves_.report()}};
}

class BisslKind : public StageKind {
 public:
  const StageKindSpec& spec() const override { return spec_; }

  std::vector<DataUse> data(const Stage& stage) const override {
    const Table& table = stage.table;
    return {{.name = parse_lower(table.table("lower")).data, .trains = true},
            {.name = parse_upper(table.table("upper")).data, .trains = true, .labels = true}};
  }

  nlohmann::json run(const StageContext& context) const override {
    return BisslStage(context).run();
  }

  std::unique_ptr<StageTrial> trial(const StageContext& context, StagePlan& plan,
                                    bool measure) const override {
    return make_bissl_trial(context, plan, measure);
  }

 private:
  StageKindSpec spec_ = bissl_spec();
};

}  // namespace

const StageKind& bissl_kind() {
  static const BisslKind kind;
  return kind;
}

}  // namespace bissl
