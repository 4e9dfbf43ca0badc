#include "stages/bissl/parts.h"

#include "base/spelling.h"
#include "bissl/error.h"
#include "models/module_state.h"
#include "stages/memory.h"
#include "stages/networks.h"
#include "stages/rates.h"

#include <fmt/format.h>

namespace bissl::host {
namespace {

/// Refuses batches that memory cannot hold, those that are kept for the Hessian products of a round
/// included.
void refuse_beyond_memory(const BisslParts& parts, int threads) {
  const LowerOptions& lower = parts.lower_options;
  const UpperOptions& upper = parts.upper_options;
  const std::vector<ImageShape>& views = parts.lower.source->view_shapes();
  const int64_t hessian = parts.hessian_batch();
  host::refuse_beyond_memory({.key = "lower.batch",
                              .batch = lower.batch,
                              .views = views,
                              .held = batches_held(threads, lower.steps)});
  host::refuse_beyond_memory({.key = "lower.hessian_batch", .batch = hessian, .views = views});
  host::refuse_beyond_memory({.key = "lower.hessian_batches",
                              .batch = hessian,
                              .views = views,
                              .held = lower.hessian_batches,
                              .value = lower.hessian_batches});
  host::refuse_beyond_memory({.key = "upper.batch",
                              .batch = upper.batch,
                              .views = parts.upper.source->view_shapes(),
                              .held = batches_held(threads, upper.steps)});
}

/// Refuses an audit whose dense system memory cannot hold.
void refuse_dense_beyond_memory(const AuditOptions& audit, Backbone& backbone) {
  double parameters = 0;
  for (const auto& [name, tensor] : trainable_parameters(backbone.module())) {
    parameters += static_cast<double>(tensor.numel());
  }
  if (parameters > static_cast<double>(audit.dense_below)) {
    return;
  }
  constexpr double copies = 2;  // the matrix and its factors
  host::refuse_beyond_memory(
      fmt::format("audit.dense_below = {}", audit.dense_below),
      fmt::format("the dense system of the backbone's {:.0f} parameters in double precision",
                  parameters),
      copies * sizeof(double) * parameters * parameters,
      "Choose a smaller one: the reference is then MINRES's, which needs no matrix");
}

}  // namespace

BisslParts::BisslParts(const StageContext& context)
    : lower_table(context.stage.table.table("lower")),
      upper_table(context.stage.table.table("upper")),
      options(parse_bissl(context.stage.table)),
      lower_options(parse_lower(lower_table)),
      upper_options(parse_upper(upper_table)) {
  if (options.rounds_open) {
    fail_input(
        "rounds = \"auto\": the stages before this one do not say by their tables how many images "
        "they see: one of them gives its length in epochs, follows another stage, has such rounds "
        "itself, or trains no pretext task. Give rounds as a number, or `steps` in the "
        "pretraining");
  }
  if (context.stage.table.has_table("head_warmup")) {
    head_warmup_options = parse_head_warmup(context.stage.table.table("head_warmup"));
  }
  upper.source = make_labelled_batches(
      context, "upper.data", upper_options.data, upper_table.augment(),
      {.batch = upper_options.batch, .seed = context.seed_for("upper"), .purpose = "bissl/upper"});
  const auto first = make_batches(context, lower_options.data, lower_table.augment(),
                                  {.views = lower_table.augment().count().value_or(1)});
  if (first->view_shape().channels != upper.source->view_shape().channels) {
    fail_input(
        "the lower level's views (data.{}) have {} channels, the upper level's (data.{}) have {}; "
        "both levels train one backbone",
        spelled_key(lower_options.data), first->view_shape().channels,
        spelled_key(upper_options.data), upper.source->view_shape().channels);
  }
  check_lengths();
  lower.steps = options.rounds * lower_options.steps;
  upper.steps = options.rounds * upper_options.steps;
  lower.lr_factor = lower_options.lr_factor;
  upper.lr_factor = upper_options.lr_factor;
  const PretextUse use{.views = first->view_shapes(),
                       .steps = lower.steps,
                       .samples = first->samples(),
                       .batch = lower_options.batch,
                       .hessian_batch = hessian_batch(),
                       .seed = context.seed_for("init"),
                       .data = lower_options.data,
                       .targets = first->data().targets()};
  build_models(context, use);
  build_levels(context, use);
  build_paces(context.stage.table);
}

void BisslParts::check_lengths() const {
  const auto rounds = static_cast<double>(options.rounds);
  const auto check = [&](const char* key, int64_t each, int64_t batch) {
    check_countable(fmt::format("rounds = {} with {} = {}", options.rounds, key, each),
                    rounds * static_cast<double>(each), batch);
  };
  check("lower.steps", lower_options.steps, lower_options.step_samples());
  check("lower.hessian_batches", lower_options.hessian_batches, hessian_batch());
  check("upper.steps", upper_options.steps, upper_options.step_samples());
}

void BisslParts::build_models(const StageContext& context, const PretextUse& use) {
  lower_backbone = make_backbone(context, use.views.front(), use.seed);
  upper_backbone = make_backbone(context, use.views.front(), use.seed);
  take_over(context, backbone_file, lower_backbone->module());
  take_over(context, backbone_file, upper_backbone->module());
  pretext = make_pretext(context, lower_table.component("pretext"), *lower_backbone, use);
  require_views(lower_table.augment(), lower_table.component("pretext"), *pretext);
  require_separable("lower.accumulate", lower_options.accumulate, *pretext);
  take_over(context, pretext_file, pretext->module());
  downstream = make_downstream(context, upper_table.component("downstream"), *upper_backbone,
                               {.name = upper_options.data,
                                .targets = upper.source->data().targets(),
                                .view = upper.source->view_shape()},
                               context.seed_for("init/head"));
  require_separable("upper.accumulate", upper_options.accumulate, *downstream);
  choose_warmup(context.stage.table);
  upper_mix = make_mix(upper_table, context.seed_for("mix"), upper.source->data().targets());

  lower.source = make_pretext_batches(
      context, lower_options.data, lower_table, *pretext,
      {.batch = lower_options.batch, .seed = context.seed_for("lower"), .purpose = "bissl/lower"});
  refuse_beyond_memory(*this, context.settings.loader_threads);
  hessian_source = make_pretext_batches(
      context, lower_options.data, lower_table, *pretext,
      {.batch = hessian_batch(), .seed = context.seed_for("hessian"), .purpose = "bissl/hessian"});
  fresh_source = make_pretext_batches(
      context, lower_options.data, lower_table, *pretext,
      {.batch = hessian_batch(), .seed = context.seed_for("fresh"), .purpose = "bissl/fresh"});
}

void BisslParts::choose_warmup(const Table& table) {
  const HeadWarmupOptions given = head_warmup_options.value_or(HeadWarmupOptions{});
  const bool has_optimizer =
      head_warmup_options && table.table("head_warmup").components.count("optimizer") != 0;
  const std::string way = given.fit == "auto" && has_optimizer ? "sgd" : given.fit;
  if (way == "none") {
    return;
  }
  if (way == "sgd") {
    if (!has_optimizer || (!given.length.epochs && !given.length.steps)) {
      fail_input("head_warmup: steps of training need {}: give {}, or fit = \"convex\"",
                 has_optimizer ? "a length" : "an optimizer",
                 has_optimizer ? "epochs or steps"
                               : "head_warmup.optimizer = { use = \"sgd\", lr = 0.01 }");
    }
    warmup = HeadWarmup::sgd;
    return;
  }
  const TargetSpec& targets = upper.source->data().targets();
  linear = linear_head(*downstream, targets, upper_backbone->features());
  if (linear) {
    warmup = HeadWarmup::convex;
    host::refuse_beyond_memory(
        fmt::format("head_warmup.views = {}", given.views),
        "the features of the images, on which the head is fitted",
        static_cast<double>(upper.source->samples()) * static_cast<double>(given.views) *
            static_cast<double>(upper_backbone->features()) * (sizeof(float) + 3 * sizeof(double)),
        "Choose fewer views, or head_warmup.fit = \"sgd\"");
  } else if (way == "convex") {
    fail_input(
        "head_warmup.fit = \"convex\" fits heads whose outputs are a linear function of the "
        "backbone's features, for category targets; upper.downstream, {}, with data.{}, is not "
        "one. "
        "Choose fit = \"sgd\" with an optimizer, or \"none\"",
        upper_table.component("downstream").describe(), spelled_key(upper_options.data));
  }
}

void BisslParts::set_lambda(double lambda) {
  options.lambda = lambda;
  lower_level->tie_to(*upper_backbone, lambda);
  if (trajectory) {
    trajectory->set_lambda(lambda);
  }
}

HeadFitData BisslParts::head_fit_data() const {
  return {.data = upper_options.data,
          .augment = upper_table.augment(),
          .batch = upper_options.batch,
          .views = head_warmup_options ? head_warmup_options->views : 1};
}

void BisslParts::build_levels(const StageContext& context, const PretextUse& use) {
  const Table& table = context.stage.table;
  if (warmup == HeadWarmup::sgd) {
    const Table& of_warmup = table.table("head_warmup");
    refuse_frozen(of_warmup, "head_warmup.");
    head_warmup.optimizer = make_optimizer(of_warmup, trainable_parameters(downstream->module()),
                                           *upper_backbone, upper_options.batch);
  }
  refuse_frozen(lower_table, "lower.");
  refuse_frozen(upper_table, "upper.");
  lower.optimizer = make_optimizer(lower_table, lower_parameters(*lower_backbone, *pretext),
                                   *lower_backbone, lower_options.step_samples());
  upper.optimizer = make_optimizer(upper_table, upper_parameters(*upper_backbone, *downstream),
                                   *upper_backbone, upper_options.step_samples());
  hypergradient = make_hypergradient(table.component("hypergradient"), lower_options.steps);
  fresh_batches = hypergradient->needs().fresh_batches;
  check_countable(fmt::format("rounds = {} with upper.steps = {} and {} fresh batches each",
                              options.rounds, upper_options.steps, fresh_batches),
                  static_cast<double>(upper.steps) * static_cast<double>(fresh_batches),
                  hessian_batch());
  if (table.has_table("audit")) {
    const AuditOptions audit = parse_audit(table.table("audit"));
    refuse_dense_beyond_memory(audit, *lower_backbone);
    auditor = std::make_unique<Auditor>(context, lower_table.component("pretext"), use, audit);
  }
  lower_level =
      std::make_unique<LowerLevel>(*lower_backbone, *pretext, *lower.optimizer,
                                   lower_options.max_grad_norm, lower_options.grad_norm_guard);
  lower_level->tie_to(*upper_backbone, options.lambda);
  if (const int64_t length = hypergradient->needs().lower_steps; length > 0) {
    trajectory =
        std::make_unique<LowerTrajectory>(*lower_backbone, *pretext, length, options.lambda);
  }
  outer_problem = std::make_unique<BisslCoupling>(
      BisslCoupling::Models{*lower_backbone, *upper_backbone, *downstream}, options.gamma);
  upper_level =
      std::make_unique<UpperLevel>(*outer_problem, *hypergradient, *upper.optimizer,
                                   upper_options.max_grad_norm, upper_options.grad_norm_guard);
}

void BisslParts::build_paces(const Table& table) {
  const auto begin = [](TrainingLevel& level, const Table& of_level, int64_t step_samples) {
    level.pace.emplace(of_level, *level.optimizer, level.steps, level.source->samples(),
                       step_samples);
  };
  if (warmup == HeadWarmup::sgd) {
    head_warmup.source = upper.source;
    head_warmup.steps =
        steps_of(head_warmup_options->length, upper.source->samples(), upper_options.batch);
    begin(head_warmup, table.table("head_warmup"), upper_options.batch);
  }
  begin(lower, lower_table, lower_options.step_samples());
  begin(upper, upper_table, upper_options.step_samples());
}

PretextStep BisslParts::lower_step(int64_t parts, const std::function<Batch()>& next,
                                   int64_t number, bool first_of_round, double lr_scale) {
  const TrainingProgress progress{number, lower.steps};
  if (!trajectory) {
    return lower_level->step(parts, next, lr_scale, progress, {});
  }
  if (first_of_round) {
    trajectory->clear();
  }
  std::vector<Batch> batches;
  for (int64_t i = 0; i < parts; ++i) {
    batches.push_back(next());
  }
  size_t given = 0;
  return lower_level->step(
      parts, [&] { return batches[given++]; }, lr_scale, progress,
      {.before_loss = [&] { trajectory->before_step(batches, number * parts); },
       .before_update =
           [&](const TensorList& gradients, double clip) {
             trajectory->with_gradients(*lower.optimizer, gradients, lr_scale, clip);
           }});
}

std::unique_ptr<PretextProblem> BisslParts::make_problem(
    std::vector<Batch> batches, const PretextProblem::Setting& setting,
    std::function<int64_t()> upper_step) const {
  PretextProblem::Training training{.optimizer = lower.optimizer.get(),
                                    .trajectory = trajectory.get()};
  if (fresh_batches > 0) {
    training.fresh = [this, upper_step = std::move(upper_step)](int64_t index) {
      if (index < 0 || index >= fresh_batches) {
        fail_run("the approximator asks for batch {} of a solve, and announced {} (fresh_batches)",
                 index, fresh_batches);
      }
      return fresh_source->make(upper_step() * fresh_batches + index);
    };
  }
  return std::make_unique<PretextProblem>(*lower_backbone, *pretext, std::move(batches), setting,
                                          training);
}

}  // namespace bissl::host
