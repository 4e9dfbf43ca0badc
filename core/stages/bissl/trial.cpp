#include "bilevel/optimizer_abilities.h"
#include "bissl/error.h"
#include "bissl/system_abilities.h"
#include "models/module_state.h"
#include "models/training_step.h"
#include "stages/bissl/bissl.h"
#include "stages/bissl/cost.h"
#include "stages/bissl/kept_vectors.h"
#include "stages/bissl/parts.h"
#include "stages/bissl/round_cost.h"
#include "stages/bissl/trial_problem.h"
#include "stages/held_tensors.h"
#include "stages/memory.h"
#include "stages/monitor.h"
#include "stages/networks.h"
#include "stages/step_memory.h"
#include "telemetry/memory_limit.h"
#include "telemetry/peak_memory.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

namespace bissl::host {
namespace {

class BisslTrial : public StageTrial {
 public:
  using StageTrial::StageTrial;

  void build() override;
  void judge_images() override;
  void judge_batches() override;
  void judge_length() override;
  void judge_memory() override;
  void step() override;
  void estimate() override;
  void estimate_memory() override;

 private:
  /// How many passes an upper step takes: γ's term is a second one.
  int64_t upper_passes() const { return parts_->options.gamma == 0 ? 1 : 2; }

  void refuse_kept_vectors() const;
  void require_monitor_memory();
  void try_lower();
  void try_upper();
  void try_products(PretextProblem& problem);
  void try_layers(PretextProblem& problem) const;
  void try_solve(PretextProblem& problem);
  void warn_about_pull();
  void warn_about_moved_targets();

  std::optional<BisslParts> parts_;
  std::unique_ptr<Monitor> monitor_;
  HypergradientNeeds needs_;
  double lower_seconds_ = 0;
  double upper_seconds_ = 0;
  double product_seconds_ = 0;
};

void BisslTrial::build() {
  parts_.emplace(context());
  needs_ = parts_->hypergradient->needs();
  hand_on(backbone_file, parts_->lower_backbone->module());
  hand_on(pretext_file, parts_->pretext->module());
  hand_on(head_file, parts_->downstream->module());
  describe(*parts_->lower.source, *parts_->lower_backbone);
  plan().networks +=
      fmt::format(", {} in the pretext head",
                  count(tensors_of(trainable_parameters(parts_->pretext->module()))));
  monitor_ = make_monitor(context(), *parts_->lower.source, *parts_->lower_backbone,
                          {{"backbone", &parts_->lower_backbone->module()},
                           {"pretext", &parts_->pretext->module()},
                           {"head", &parts_->downstream->module()}});
  warn_about_pull();
  warn_about_moved_targets();
  const RoundCost cost = round_cost(*parts_, needs_);
  const auto rounds = static_cast<double>(parts_->options.rounds);
  plan().cost = bissl_cost(*parts_, rounds * static_cast<double>(cost.products),
                           rounds * static_cast<double>(cost.gradients));
}

void BisslTrial::judge_images() {
  look_at_images("lower.data", *parts_->lower.source);
  look_at_images("upper.data", *parts_->upper.source);
  if (monitor_) {
    for (const auto& source : monitor_->sources()) {
      look_at_images("monitor.data", source->batches());
    }
  }
}

void BisslTrial::judge_batches() {
  const LowerOptions& lower = parts_->lower_options;
  const UpperOptions& upper = parts_->upper_options;
  const int64_t images = parts_->lower.source->samples();
  warn_about_repeats("lower.batch", lower.batch, lower.data, images);
  warn_about_repeats("upper.batch", upper.batch, upper.data, parts_->upper.source->samples());
  warn_about_single("lower.batch", lower.batch, parts_->lower_backbone->module());
  warn_about_single("upper.batch", upper.batch, parts_->upper_backbone->module());
  if (lower.hessian_batch > 0) {
    warn_about_repeats("lower.hessian_batch", lower.hessian_batch, lower.data, images);
    warn_about_single("lower.hessian_batch", lower.hessian_batch, parts_->lower_backbone->module());
  }
  if (monitor_) {
    warn_all(monitor_->doubts());
  }
}

void BisslTrial::judge_length() {
  const BisslOptions& options = parts_->options;
  const LowerOptions& lower = parts_->lower_options;
  const UpperOptions& upper = parts_->upper_options;
  if (parts_->warmup == HeadWarmup::sgd) {
    warn_about_length("head_warmup.", parts_->head_warmup_options->length, *parts_->upper.source,
                      upper.batch);
    warn_about_schedule("head_warmup.", context().stage.table.table("head_warmup"),
                        parts_->head_warmup.steps, *parts_->upper.source, upper.batch);
  }
  if (const auto& given = parts_->head_warmup_options;
      given && given->fit == "auto" && parts_->warmup != HeadWarmup::sgd &&
      (given->length.epochs || given->length.steps)) {
    plan().warnings.push_back(
        "head_warmup: epochs and steps have no effect without an optimizer: the head is not "
        "trained by steps");
  }
  warn_about_schedule("lower.", parts_->lower_table, options.rounds * lower.steps,
                      *parts_->lower.source, lower.step_samples());
  warn_about_task("lower.pretext", parts_->lower_table.component("pretext"), parts_->lower.steps);
  warn_about_schedule("upper.", parts_->upper_table, options.rounds * upper.steps,
                      *parts_->upper.source, upper.step_samples());
  if (options.adaptation_every > options.rounds) {
    plan().warnings.push_back(
        fmt::format("adaptation_every = {} is more than the {} rounds: there is no adaptation",
                    options.adaptation_every, options.rounds));
  }
  const int64_t parameters =
      count(tensors_of(trainable_parameters(parts_->lower_backbone->module())));
  if (needs_.shared.products > parameters) {
    plan().warnings.push_back(fmt::format(
        "hypergradient asks for {} Hessian products once a round; the backbone has {} parameters, "
        "and no more products than that are made",
        needs_.shared.products, parameters));
  }
}

/// Each of the batches of a round by itself, before one of them is made.
void BisslTrial::judge_memory() {
  const LowerOptions& lower = parts_->lower_options;
  const UpperOptions& upper = parts_->upper_options;
  const auto views = [&](int64_t samples) {
    return make_pretext_batches(context(), lower.data, parts_->lower_table, *parts_->pretext,
                                {.batch = samples, .purpose = "bissl/lower"})
        ->make(0);
  };
  const auto labelled = [&](int64_t samples) {
    return make_labelled_batches(context(), "upper.data", upper.data, parts_->upper_table.augment(),
                                 {.batch = samples, .purpose = "bissl/upper"})
        ->make(0);
  };
  const auto lower_step = [this](const Batch& batch) {
    const TensorList parameters =
        tensors_of(lower_parameters(*parts_->lower_backbone, *parts_->pretext));
    parts_->pretext->before_step({0, parts_->lower.steps});
    loss_gradient(*parts_->pretext, *parts_->lower_backbone, parameters,
                  [&] { return parts_->pretext->loss(*parts_->lower_backbone, batch); });
  };
  const auto upper_step = [this](const Batch& batch) {
    const TensorList parameters =
        tensors_of(upper_parameters(*parts_->upper_backbone, *parts_->downstream));
    downstream_gradient(*parts_->upper_backbone, *parts_->downstream, parameters,
                        task_batch(batch, parts_->upper_mix, 0));
  };
  // Both levels' loaders work all the time.
  const int threads = context().settings.loader_threads;
  require_memory({.key = "lower.batch",
                  .batch = lower.batch,
                  .beside = bytes_held(*parts_->upper.source, upper.batch, parts_->upper.steps),
                  .threads = threads,
                  .make = views,
                  .work = lower_step},
                 parts_->lower.steps);
  require_memory({.key = "upper.batch",
                  .batch = upper.batch,
                  .beside = bytes_held(*parts_->lower.source, lower.batch, parts_->lower.steps),
                  .threads = threads,
                  .make = labelled,
                  .work = upper_step},
                 parts_->upper.steps);
  if (needs_.second_derivatives() && lower.hessian_graph != "recomputed") {
    refuse_step_beyond_memory("lower.hessian_batch", parts_->hessian_batch(), [&](int64_t samples) {
      const auto problem = parts_->make_problem(
          {views(samples)}, {.lambda = parts_->options.lambda}, [] { return int64_t{0}; });
      problem->hessian_product(copy(problem->parameters()));
      return static_cast<double>(problem->graph_bytes() * lower.hessian_batches);
    });
  }
  refuse_kept_vectors();
  require_monitor_memory();
}

/// While the batches of both levels are held.
void BisslTrial::require_monitor_memory() {
  if (!monitor_) {
    return;
  }
  monitor_->refuse_beyond_memory();
  for (StepOnBatch& pass : monitor_->passes()) {
    pass.beside +=
        bytes_held(*parts_->lower.source, parts_->lower_options.batch, parts_->lower.steps) +
        bytes_held(*parts_->upper.source, parts_->upper_options.batch, parts_->upper.steps);
    pass.threads = context().settings.loader_threads;
    require_memory(std::move(pass), 1);
  }
}

/// What an approximator keeps of each of its products: columns of the Hessian, a basis. Told by its
/// first ones, where it could matter.
void BisslTrial::refuse_kept_vectors() const {
  if (!needs_.abilities.empty()) {
    return;  // of a system that cannot be made up
  }
  const TensorList parameters = tensors_of(trainable_parameters(parts_->lower_backbone->module()));
  const auto size = static_cast<double>(count(parameters));
  const auto answers = [](int64_t of_a_solve, int64_t shared) {
    return static_cast<double>(of_a_solve) + static_cast<double>(shared);
  };
  // More vectors than there are parameters are not independent; a difference takes up to two.
  const double products =
      std::min(answers(needs_.solve.products, needs_.shared.products), size) +
      std::min(answers(needs_.solve.gradients, needs_.shared.gradients), 2 * size);
  constexpr double most_of_each = 4 * sizeof(double);  // for each parameter
  if (products * size * most_of_each <= memory_limit().bytes) {
    return;
  }
  const ComponentChoice& choice = context().stage.table.component("hypergradient");
  const auto approximator = make_hypergradient(choice, parts_->lower_options.steps);
  host::refuse_beyond_memory(
      fmt::format("hypergradient.use = \"{}\"", choice.component->info.text.name),
      fmt::format("what it keeps of up to {:.0f} products or gradients, each of the size of the "
                  "backbone's {:.0f} parameters,",
                  products, size),
      products * bytes_kept_of_each(*approximator, parameters),
      "Let it make fewer of them, choose an approximator that keeps none, such as \"cg\", or a "
      "smaller backbone");
}

void BisslTrial::step() {
  try_upper();
  try_lower();
  if (monitor_) {
    monitor_->try_images();
  }
  pass("lower.hessian_batch", parts_->hessian_batch(), [this] {
    const Batch batch = parts_->hessian_source->make(0);
    const auto problem = parts_->make_problem({batch}, {.lambda = parts_->options.lambda},
                                              [] { return int64_t{0}; });
    require_abilities(needs_, *problem,
                      context().stage.table.component("hypergradient").describe());
    try_products(*problem);
    try_layers(*problem);
    try_solve(*problem);
  });
}

void BisslTrial::try_lower() {
  const int64_t batch = parts_->lower_options.batch;
  const ViewsChoice& augment = parts_->lower_table.augment();
  lower_seconds_ = pass("lower.batch", batch, augment, *parts_->lower.source, [this] {
    parts_->lower_step(
        1, [this] { return parts_->lower.source->make(0); }, 0, /*first_of_round=*/true,
        /*lr_scale=*/0.0);
  });
  if (needs_.lower_steps > 1) {  // approximators that go back through steps see two of them
    parts_->lower_step(
        1, [this] { return parts_->lower.source->make(1); }, 1, /*first_of_round=*/false,
        /*lr_scale=*/0.0);
  }
}

void BisslTrial::try_upper() {
  upper_seconds_ = pass("upper.batch", parts_->upper_options.batch, [this] {
    const TaskBatch batch = task_batch(parts_->upper.source->make(0), parts_->upper_mix, 0);
    const NamedTensors parameters = upper_parameters(*parts_->upper_backbone, *parts_->downstream);
    assign_gradients(parameters, downstream_gradient(*parts_->upper_backbone, *parts_->downstream,
                                                     tensors_of(parameters), batch)
                                     .gradients);
    parts_->upper.optimizer->step(0.0);
    if (parts_->head_warmup.optimizer) {
      parts_->head_warmup.optimizer->step(0.0);
    }
  });
}

/// One product, with the graph kept; notes what the graph takes.
void BisslTrial::try_products(PretextProblem& problem) {
  if (!needs_.second_derivatives()) {
    return;
  }
  const TensorList direction = copy(problem.parameters());
  try {
    problem.hessian_product(direction);  // builds the graph
  } catch (const MissingDerivative&) {
    plan().lacks_second_derivatives = true;
    throw;
  }
  plan().graph_bytes = problem.graph_bytes() * parts_->lower_options.hessian_batches;
  if (measure()) {
    product_seconds_ = seconds_of([&] { problem.hessian_product(direction); });
  }
}

void BisslTrial::try_layers(PretextProblem& problem) const {
  if (needs_.has_ability(LayerGradients::id) && problem.layer_gradients().empty()) {
    fail_input(
        "{} works layer by layer, but {} calls none of the sdk's layers (bissl/layers.h) with its "
        "weights",
        context().stage.table.component("hypergradient").describe(),
        context().pipeline.backbone.describe());
  }
}

/// The beginning of an upper step: what the approximator refuses, sizes among it, shows there.
void BisslTrial::try_solve(PretextProblem& problem) {
  constexpr int64_t answers = 2;
  TrialProblem trial(problem, answers);
  const OuterBatch batch = task_batch(parts_->upper.source->make(0), parts_->upper_mix, 0);
  try {
    parts_->upper_level->gradient(batch, trial, 0);
  } catch (const Error&) {
    if (!trial.is_over()) {
      throw;
    }
  }
}

void BisslTrial::warn_about_pull() {
  const BisslOptions& options = parts_->options;
  if (parts_->upper_options.chooses_rate) {
    plan().networks += "; the upper learning rate is chosen when the stage begins";
  }
  if (options.chooses_lambda) {
    plan().networks += "; λ is chosen when the stage begins";
    return;
  }
  const int64_t steps = options.rounds * parts_->lower_options.steps;
  const double pull = proximity_pull(
      options.lambda, parts_->lower.lr_factor * parts_->lower.optimizer->learning_rate(),
      momentum_of(*parts_->lower.optimizer), steps);
  plan().networks += fmt::format("; pull of λ {:.3g}", pull);
  constexpr double weak = 0.3;
  if (pull < weak) {
    plan().warnings.push_back(fmt::format(
        "λ · lr/(1 − momentum) · lower steps = {:.2g} is far below 1: the lower backbone will "
        "hardly follow the upper one. A λ of about {:.2g} makes it 1",
        pull, options.lambda / pull));
  }
}

void BisslTrial::warn_about_moved_targets() {
  const bool differences = needs_.solve.gradients + needs_.shared.gradients +
                               needs_.steps.gradients + needs_.fresh.gradients >
                           0;
  if (differences && parts_->pretext->holds_targets_fixed()) {
    plan().warnings.push_back(fmt::format(
        "hypergradient takes differences of gradients, which move the targets that {} holds fixed: "
        "they approximate another matrix than the Hessian with fixed targets, that of exact "
        "products",
        parts_->lower_table.component("pretext").describe()));
  }
}

void BisslTrial::estimate() {
  const LowerOptions& lower = parts_->lower_options;
  const int64_t upper_steps = parts_->upper_options.steps;
  const int64_t rounds = parts_->options.rounds;
  const int64_t lower_gradients = lower.steps * lower.accumulate;
  const int64_t upper_gradients = upper_steps * parts_->upper_options.accumulate * upper_passes();
  const RoundCost cost = round_cost(*parts_, needs_);
  plan().steps = parts_->head_warmup.steps + rounds * (lower.steps + upper_steps);
  plan().gradients =
      parts_->head_warmup.steps + rounds * (lower_gradients + upper_gradients + cost.gradients);
  plan().hessian_products = rounds * cost.products;
  const double hessian_share =
      static_cast<double>(parts_->hessian_batch()) / static_cast<double>(lower.batch);
  const double round = static_cast<double>(lower_gradients) * lower_seconds_ +
                       static_cast<double>(cost.gradients) * lower_seconds_ * hessian_share +
                       static_cast<double>(upper_gradients) * upper_seconds_ +
                       static_cast<double>(cost.products) * product_seconds_;
  hold_batches(*parts_->lower.source, lower.batch, rounds * lower_gradients);
  hold_batches(*parts_->upper.source, parts_->upper_options.batch, rounds * upper_gradients);
  // A pass without gradients takes about a third of one with them.
  const double fitted_batches =
      parts_->warmup == HeadWarmup::convex
          ? std::ceil(static_cast<double>(parts_->upper.source->samples()) /
                      static_cast<double>(parts_->upper_options.batch)) *
                static_cast<double>(parts_->head_fit_data().views) / 3
          : 0.0;
  plan().seconds = fitted_batches * upper_seconds_ +
                   static_cast<double>(parts_->head_warmup.steps) * upper_seconds_ +
                   static_cast<double>(rounds) * round;
  if (monitor_) {
    // A look is a forward pass, about a third of a gradient.
    plan().seconds += static_cast<double>(monitor_->images(plan().steps)) * lower_seconds_ /
                      (3.0 * static_cast<double>(lower.batch));
  }
  // Only graphs that are kept stay; those through recorded steps and recomputed ones come and go.
  if (needs_.solve.products + needs_.shared.products == 0 || lower.hessian_graph == "recomputed") {
    plan().graph_bytes = 0;
  }
  // The lower weights that a run begins with, for the displacement.
  plan().held_bytes +=
      bytes_of_tensors(tensors_of(trainable_parameters(parts_->lower_backbone->module())));
  // A graph was kept for one of the batches.
  plan().held_bytes += static_cast<double>(plan().graph_bytes) *
                       static_cast<double>(lower.hessian_batches - 1) /
                       static_cast<double>(lower.hessian_batches);
}

/// The memory of a step is free when the monitor looks, which may take more.
void BisslTrial::estimate_memory() {
  if (monitor_) {
    plan().held_bytes +=
        monitor_->best_bytes() +
        std::max(0.0, monitor_->look_bytes() - static_cast<double>(memory_above_now()));
  }
}

}  // namespace

double proximity_pull(double lambda, double learning_rate, double momentum, int64_t lower_steps) {
  return lambda * learning_rate / (1.0 - momentum) * static_cast<double>(lower_steps);
}

std::unique_ptr<StageTrial> make_bissl_trial(const StageContext& context, StagePlan& plan,
                                             bool measure) {
  return std::make_unique<BisslTrial>(context, plan, measure);
}

}  // namespace bissl::host
