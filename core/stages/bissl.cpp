#include "bilevel/lower_level.h"
#include "bilevel/lower_trajectory.h"
#include "bilevel/pretext_problem.h"
#include "bilevel/upper_level.h"
#include "bissl/error.h"
#include "models/evaluation_guard.h"
#include "models/gradients.h"
#include "models/guarded.h"
#include "models/module_state.h"
#include "stages/auditor.h"
#include "stages/networks.h"
#include "stages/options.h"
#include "stages/schedule.h"
#include "stages/session.h"
#include "stages/solve_summary.h"
#include "stages/stages.h"

#include <c10/core/GradMode.h>

#include <cmath>

namespace bissl {
namespace {

/// The whole stage. Its steps are numbered: first those of the head's warm-up, then, round by
/// round, the lower and the upper ones. Each can be the last before an interruption.
class BisslStage {
 public:
  explicit BisslStage(const StageContext& context);
  nlohmann::json run();

 private:
  void build_models();
  void build_batches();
  void build_trajectory();
  int64_t steps_per_round() const { return lower_options_.steps + upper_options_.steps; }
  int64_t warmup_steps() const;
  void run_warmup(Session& session, int64_t& step);
  void run_rounds(Session& session, int64_t& step);
  void lower_step(Session& session, int64_t step, int64_t round, int64_t within);
  void upper_step(Session& session, int64_t step, int64_t round, int64_t within);
  PretextProblem::Setting problem_setting(int64_t round) const;
  void build_problem(int64_t round);
  /// Has the coming upper step audited if that is due; the report is in audited_ after it.
  void watch(int64_t round, int64_t within);

  const StageContext& context_;
  const Table& lower_table_;
  const Table& upper_table_;
  BisslOptions options_;
  LowerOptions lower_options_;
  UpperOptions upper_options_;
  std::optional<WarmupOptions> warmup_options_;

  std::shared_ptr<Backbone> lower_backbone_;
  std::shared_ptr<Backbone> upper_backbone_;
  std::shared_ptr<Pretext> pretext_;
  std::shared_ptr<Downstream> downstream_;
  std::shared_ptr<Optimizer> warmup_optimizer_;
  std::shared_ptr<Optimizer> lower_optimizer_;
  std::shared_ptr<Optimizer> upper_optimizer_;
  std::shared_ptr<Hypergradient> hypergradient_;
  std::unique_ptr<LowerLevel> lower_level_;
  std::unique_ptr<UpperLevel> upper_level_;

  std::shared_ptr<BatchSource> lower_source_;
  std::shared_ptr<BatchSource> hessian_source_;
  std::shared_ptr<BatchSource> upper_source_;
  std::unique_ptr<Prefetcher> lower_batches_;
  std::unique_ptr<Prefetcher> upper_batches_;
  std::unique_ptr<Schedule> lower_schedule_;
  std::unique_ptr<Schedule> upper_schedule_;
  std::unique_ptr<LowerTrajectory> trajectory_;  ///< where the approximator asks for one
  std::unique_ptr<Auditor> auditor_;
  nlohmann::json audited_;                   ///< of the step under way; null without an audit
  TensorList hessian_batches_;               ///< of the round
  std::unique_ptr<PretextProblem> problem_;  ///< of the round whose upper steps are running
  SolveSummary solves_;
};

BisslStage::BisslStage(const StageContext& context)
    : context_(context),
      lower_table_(context.stage.table.table("lower")),
      upper_table_(context.stage.table.table("upper")),
      options_(parse_bissl(context.stage.table)),
      lower_options_(parse_lower(lower_table_)),
      upper_options_(parse_upper(upper_table_)) {
  if (context.stage.table.has_table("warmup")) {
    warmup_options_ = parse_warmup(context.stage.table.table("warmup"));
  }
  build_batches();
  build_models();
  const double lower_epoch = double(lower_source_->samples()) / double(lower_options_.batch);
  const double upper_epoch = double(upper_source_->samples()) / double(upper_options_.batch);
  lower_schedule_ = std::make_unique<Schedule>(parse_schedule(lower_table_),
                                               options_.rounds * lower_options_.steps, lower_epoch);
  upper_schedule_ = std::make_unique<Schedule>(parse_schedule(upper_table_),
                                               options_.rounds * upper_options_.steps, upper_epoch);
}

void BisslStage::build_batches() {
  const ComponentChoice& upper_augment = upper_table_.component("augment");
  upper_source_ = make_batches(
      context_, upper_options_.data, upper_augment,
      {upper_options_.batch, 1, Order::shuffled, context_.seed_for("upper"), "bissl/upper"});
  if (!upper_source_->data().labelled()) {
    fail_input("stage.{}.upper: data.{} has no labels", context_.stage.name, upper_options_.data);
  }
}

void BisslStage::build_models() {
  const ComponentChoice& augment = lower_table_.component("augment");
  const auto probe = make_batches(context_, lower_options_.data, augment, {});
  if (probe->view_shape().channels != upper_source_->view_shape().channels) {
    fail_input("stage.{}: the lower level's views have {} channels, the upper level's {}",
               context_.stage.name, probe->view_shape().channels,
               upper_source_->view_shape().channels);
  }
  const uint64_t seed = context_.seed_for("init");
  lower_backbone_ = make_backbone(context_, probe->view_shape(), seed);
  upper_backbone_ = make_backbone(context_, probe->view_shape(), seed);
  pretext_ = make_pretext(context_, lower_table_.component("pretext"), *lower_backbone_, seed);
  if (context_.parent) {
    load_weights(*context_.parent, backbone_file, lower_backbone_->module());
    load_weights(*context_.parent, backbone_file, upper_backbone_->module());
    load_weights(*context_.parent, pretext_file, pretext_->module());
  }
  const auto classes = static_cast<int64_t>(upper_source_->data().class_names().size());
  downstream_ = make_downstream(context_, upper_table_.component("downstream"), *upper_backbone_,
                                classes, context_.seed_for("init/head"));

  const int64_t views = pretext_->views();
  lower_source_ = make_batches(
      context_, lower_options_.data, augment,
      {lower_options_.batch, views, Order::shuffled, context_.seed_for("lower"), "bissl/lower"});
  const int64_t hessian_batch =
      lower_options_.hessian_batch > 0 ? lower_options_.hessian_batch : lower_options_.batch;
  hessian_source_ = make_batches(
      context_, lower_options_.data, augment,
      {hessian_batch, views, Order::shuffled, context_.seed_for("hessian"), "bissl/hessian"});

  lower_optimizer_ = make_optimizer(lower_table_.component("optimizer"),
                                    lower_parameters(*lower_backbone_, *pretext_));
  upper_optimizer_ = make_optimizer(upper_table_.component("optimizer"),
                                    upper_parameters(*upper_backbone_, *downstream_));
  hypergradient_ =
      make_hypergradient(context_.stage.table.component("hypergradient"), lower_options_.steps);
  if (context_.stage.table.has_table("audit")) {
    auditor_ = std::make_unique<Auditor>(
        context_, lower_table_.component("pretext"), probe->view_shape(),
        parse_audit(context_.stage.table.table("audit")), *hypergradient_);
  }
  lower_level_ = std::make_unique<LowerLevel>(*lower_backbone_, *pretext_, *lower_optimizer_,
                                              lower_options_.max_grad_norm);
  lower_level_->tie_to(*upper_backbone_, options_.lambda);
  build_trajectory();
  upper_level_ = std::make_unique<UpperLevel>(
      UpperLevel::Models{*lower_backbone_, *upper_backbone_, *downstream_}, *hypergradient_,
      *upper_optimizer_, options_.gamma, upper_options_.max_grad_norm);
}

void BisslStage::build_trajectory() {
  const int64_t length = hypergradient_->needs().lower_steps;
  if (length == 0) {
    return;
  }
  trajectory_ =
      std::make_unique<LowerTrajectory>(*lower_backbone_, *pretext_, length, options_.lambda);
}

int64_t BisslStage::warmup_steps() const {
  return warmup_options_
             ? steps_of(warmup_options_->length, upper_source_->samples(), upper_options_.batch)
             : 0;
}

void BisslStage::run_warmup(Session& session, int64_t& step) {
  const int64_t steps = warmup_steps();
  if (step >= steps) {
    return;
  }
  const Table& table = context_.stage.table.table("warmup");
  const Schedule schedule(parse_schedule(table), steps,
                          double(upper_source_->samples()) / double(upper_options_.batch));
  const NamedTensors parameters = trainable_parameters(downstream_->module());
  // The frozen backbone is in evaluation mode: its running statistics do not move.
  set_training(upper_backbone_->module(), false);
  for (; step < steps; ++step) {
    const Batch batch = upper_batches_->next();
    at::Tensor features;
    {
      const c10::NoGradGuard no_grad;
      features = upper_backbone_->forward(batch.views[0].to(context_.settings.device));
    }
    const at::Tensor loss = downstream_->loss(downstream_->forward(features),
                                              batch.targets.to(context_.settings.device));
    const auto value = loss.item<double>();
    if (!std::isfinite(value)) {
      fail_run("stage.{}.warmup diverged: loss {}. Try a smaller learning rate",
               context_.stage.name, value);
    }
    assign_gradients(parameters, gradients_of(loss, tensors_of(parameters)));
    warmup_optimizer_->step(schedule.rate(step));
    session.done(step, {{"loss", value}}, {{"phase", "warmup"}});
  }
  set_training(upper_backbone_->module(), true);
}

void BisslStage::lower_step(Session& session, int64_t step, int64_t round, int64_t within) {
  problem_.reset();
  const int64_t number = round * lower_options_.steps + within;
  const double rate = lower_schedule_->rate(number);
  const at::Tensor views = lower_batches_->next().views.to(context_.settings.device);
  if (trajectory_) {
    if (within == 0) {
      trajectory_->clear();
    }
    trajectory_->before_step(views, number);
    lower_level_->observe([this, rate](const TensorList& gradients, double clip) {
      trajectory_->with_gradients(*lower_optimizer_, gradients, rate, clip);
    });
  }
  const PretextStep result = lower_level_->step(views, rate);
  session.done(step, {{"lower", result.loss}},
               {{"phase", "lower"},
                {"round", round},
                {"rate", rate},
                {"proximity", result.proximity},
                {"gradient_norm", result.gradient_norm}});
}

PretextProblem::Setting BisslStage::problem_setting(int64_t round) const {
  return {.lambda = options_.lambda,
          .noise_seed = context_.seed_for(fmt::format("hessian-noise#{}", round)),
          .recompute_graph = lower_options_.hessian_graph == "recomputed"};
}

void BisslStage::build_problem(int64_t round) {
  // The batches of a round are functions of its number, so a resumed round finds the same ones.
  hessian_batches_.clear();
  for (int64_t i = 0; i < lower_options_.hessian_batches; ++i) {
    const int64_t number = round * lower_options_.hessian_batches + i;
    hessian_batches_.push_back(hessian_source_->make(number).views.to(context_.settings.device));
  }
  problem_ = std::make_unique<PretextProblem>(*lower_backbone_, *pretext_, hessian_batches_,
                                              problem_setting(round));
  problem_->use_optimizer(*lower_optimizer_);
  if (trajectory_) {
    problem_->use_trajectory(*trajectory_);
  }
}

void BisslStage::watch(int64_t round, int64_t within) {
  audited_ = nullptr;
  if (!auditor_ || !auditor_->due(round * upper_options_.steps + within)) {
    upper_level_->observe({});
    return;
  }
  upper_level_->observe([this, round](const TensorList& u, const TensorList& v) {
    const AuditReport report = auditor_->audit(*lower_backbone_, *pretext_, hessian_batches_,
                                               problem_setting(round), u, v);
    solves_.add(report);
    audited_ = to_json(report);
  });
}

void BisslStage::upper_step(Session& session, int64_t step, int64_t round, int64_t within) {
  if (!problem_) {
    build_problem(round);
  }
  watch(round, within);
  const double rate = upper_schedule_->rate(round * upper_options_.steps + within);
  const Batch batch = upper_batches_->next();
  const UpperStep result = upper_level_->step(batch.views[0].to(context_.settings.device),
                                              batch.targets.to(context_.settings.device), *problem_,
                                              problem_setting(round).noise_seed, rate);
  solves_.add(result);
  solves_.note_graph(problem_->graph_bytes());
  const bool round_ends = within + 1 == upper_options_.steps;
  if (round_ends) {
    problem_.reset();
    if (options_.adaptation_every > 0 && (round + 1) % options_.adaptation_every == 0) {
      adapt_upper_backbone(*upper_backbone_, *lower_backbone_, options_.adaptation_strength);
    }
  }
  nlohmann::json event = {{"phase", "upper"},
                          {"round", round},
                          {"rate", rate},
                          {"plain_loss", result.plain_loss},
                          {"u_norm", result.u_norm},
                          {"v_norm", result.v_norm},
                          {"cosine_u_v", result.cosine},
                          {"gradient_norm", result.gradient_norm},
                          {"solve", to_string(result.status)},
                          {"iterations", result.iterations},
                          {"relative_residual", result.relative_residual}};
  if (!audited_.is_null()) {
    event["audit"] = std::move(audited_);
  }
  session.done(step, {{"upper", result.loss}}, event);
}

void BisslStage::run_rounds(Session& session, int64_t& step) {
  const int64_t warmup = warmup_steps();
  const int64_t end = warmup + options_.rounds * steps_per_round();
  for (; step < end; ++step) {
    const int64_t round = (step - warmup) / steps_per_round();
    const int64_t within = (step - warmup) % steps_per_round();
    if (within < lower_options_.steps) {
      lower_step(session, step, round, within);
    } else {
      upper_step(session, step, round, within - lower_options_.steps);
    }
  }
}

nlohmann::json BisslStage::run() {
  const int64_t warmup = warmup_steps();
  const int64_t total = warmup + options_.rounds * steps_per_round();
  Session session(context_, context_.folder, context_.stage.name, total, lower_options_.batch);
  session.keep("lower_backbone", lower_backbone_->module());
  session.keep("upper_backbone", upper_backbone_->module());
  session.keep("pretext", pretext_->module());
  session.keep("head", downstream_->module());
  if (warmup_options_) {
    warmup_optimizer_ = make_optimizer(context_.stage.table.table("warmup").component("optimizer"),
                                       trainable_parameters(downstream_->module()));
    session.keep("warmup_optimizer", *warmup_optimizer_);
  }
  session.keep("lower_optimizer", *lower_optimizer_);
  session.keep("upper_optimizer", *upper_optimizer_);
  session.keep("hypergradient", *hypergradient_);
  if (trajectory_) {
    session.keep_tensors(
        "lower_steps", [this] { return trajectory_->state(); },
        [this](const NamedTensors& state) {
          trajectory_->load_state(state, [this](int64_t number) {
            return lower_source_->make(number).views.to(context_.settings.device);
          });
        });
  }
  session.keep(
      "solves", [this] { return solves_.save(); },
      [this](const nlohmann::json& saved) { solves_.load(saved); });
  seed_generator(context_.seed_for("noise"));
  int64_t step = session.start();

  // Batches are numbered through the stage: where to go on follows from the step alone.
  const int64_t in_rounds = std::max<int64_t>(0, step - warmup);
  const int64_t round = in_rounds / steps_per_round();
  const int64_t within = in_rounds % steps_per_round();
  const int64_t lower_done = round * lower_options_.steps + std::min(within, lower_options_.steps);
  const int64_t upper_done = std::min(step, warmup) + round * upper_options_.steps +
                             std::max<int64_t>(0, within - lower_options_.steps);
  const int threads = context_.settings.loader_threads;
  lower_batches_ = std::make_unique<Prefetcher>(lower_source_, lower_done,
                                                options_.rounds * lower_options_.steps, threads);
  upper_batches_ = std::make_unique<Prefetcher>(
      upper_source_, upper_done, warmup + options_.rounds * upper_options_.steps, threads);
  run_warmup(session, step);
  run_rounds(session, step);
  session.finish();

  save_weights(context_.folder, backbone_file, lower_backbone_->module());
  save_weights(context_.folder, pretext_file, pretext_->module());
  save_weights(context_.folder, head_file, downstream_->module());
  return {{"steps", total},
          {"images", options_.rounds * lower_options_.steps * lower_options_.batch},
          {"solves", solves_.report()}};
}

}  // namespace

nlohmann::json run_bissl(const StageContext& context) { return BisslStage(context).run(); }

}  // namespace bissl
