#include "stages/check_bissl.h"

#include "bilevel/lower_level.h"
#include "bilevel/pretext_problem.h"
#include "bissl/error.h"
#include "models/module_state.h"
#include "stages/networks.h"
#include "stages/options.h"
#include "stages/probe.h"

#include <algorithm>

namespace bissl {
namespace {

/// What the solves of one round cost.
struct RoundCost {
  int64_t products = 0;   ///< with the hessian batch, whatever their graph
  int64_t gradients = 0;  ///< on the hessian batch, those for building graphs included
};

class BisslCheck {
 public:
  BisslCheck(const StageContext& context, bool measure, StagePlan& plan)
      : probe_(context),
        context_(context),
        measure_(measure),
        plan_(plan),
        lower_table_(context.stage.table.table("lower")),
        upper_table_(context.stage.table.table("upper")),
        options_(parse_bissl(context.stage.table)),
        lower_(parse_lower(lower_table_)),
        upper_(parse_upper(upper_table_)) {}

  void run();

 private:
  int64_t warmup_steps() const;
  int64_t hessian_batch() const {
    return lower_.hessian_batch > 0 ? lower_.hessian_batch : lower_.batch;
  }
  /// How many passes an upper step takes: γ's term is a second one.
  int64_t upper_passes() const { return options_.gamma == 0 ? 1 : 2; }

  void try_needs(const ComponentChoice& choice);
  double hessian_product(int64_t batch);
  void warn_about_pull();
  RoundCost round_cost() const;
  void estimate(const RoundCost& cost);

  StageProbe probe_;
  const StageContext& context_;
  bool measure_;
  StagePlan& plan_;
  const Table& lower_table_;
  const Table& upper_table_;
  BisslOptions options_;
  LowerOptions lower_;
  UpperOptions upper_;
  StageProbe::Networks networks_;
  HypergradientNeeds needs_;
};

int64_t BisslCheck::warmup_steps() const {
  const Table& table = context_.stage.table;
  if (!table.has_table("warmup")) {
    return 0;
  }
  return steps_of(parse_warmup(table.table("warmup")).length,
                  context_.data.open(upper_.data)->size(), upper_.batch);
}

void BisslCheck::run() {
  const ComponentChoice& choice = context_.stage.table.component("hypergradient");
  needs_ = make_hypergradient(choice, lower_.steps)->needs();
  networks_ = probe_.build(lower_table_, lower_.data);
  plan_.networks = networks_.describe;
  probe_.downstream_gradient(*networks_.backbone, upper_table_, upper_.data, probe_samples, false);
  probe_.pretext_gradient(networks_, lower_table_, lower_.data, probe_samples);
  try_needs(choice);
  warn_about_pull();

  const RoundCost cost = round_cost();
  const int64_t warmup = warmup_steps();
  plan_.steps = warmup + options_.rounds * (lower_.steps + upper_.steps);
  plan_.gradients =
      warmup + options_.rounds * (lower_.steps + upper_.steps * upper_passes() + cost.gradients);
  plan_.hessian_products = options_.rounds * cost.products;
  if (measure_) {
    estimate(cost);
  }
}

void BisslCheck::try_needs(const ComponentChoice& choice) {
  if (needs_.second_derivatives()) {
    try {
      hessian_product(probe_samples);
    } catch (const MissingDerivative&) {
      plan_.lacks_second_derivatives = true;
      throw;
    }
  }
  if (needs_.layers) {
    PretextProblem problem(*networks_.backbone, *networks_.pretext,
                           {probe_.views(networks_, lower_table_, lower_.data, probe_samples)},
                           {.lambda = 1.0});
    if (problem.layer_gradients().empty()) {
      fail_input(
          "{} works layer by layer, but {} calls none of the sdk's layers (bissl/layers.h) with "
          "its weights",
          choice.describe(), context_.pipeline.backbone.describe());
    }
  }
}

/// Seconds of a product with the graph kept; notes what the graph takes.
double BisslCheck::hessian_product(int64_t batch) {
  PretextProblem problem(*networks_.backbone, *networks_.pretext,
                         {probe_.views(networks_, lower_table_, lower_.data, batch)},
                         {.lambda = 1.0});
  const TensorList direction = copy(problem.parameters());
  problem.hessian_product(direction);  // builds the graph
  plan_.graph_bytes = problem.graph_bytes() * lower_.hessian_batches;
  return measure_ ? seconds_of([&] { problem.hessian_product(direction); }) : 0.0;
}

void BisslCheck::warn_about_pull() {
  const auto optimizer = make_optimizer(lower_table_.component("optimizer"),
                                        lower_parameters(*networks_.backbone, *networks_.pretext));
  const int64_t steps = options_.rounds * lower_.steps;
  const double pull =
      proximity_pull(options_.lambda, optimizer->learning_rate(), optimizer->momentum(), steps);
  plan_.networks += fmt::format("; pull of λ {:.3g}", pull);
  constexpr double weak = 0.3;
  if (pull < weak) {
    plan_.warnings.push_back(fmt::format(
        "λ · lr/(1 − momentum) · lower steps = {:.2g} is far below 1: the lower backbone will "
        "hardly follow the upper one. A λ of about {:.2g} makes it 1",
        pull, options_.lambda / pull));
  }
}

RoundCost BisslCheck::round_cost() const {
  const int64_t parameters = count(tensors_of(trainable_parameters(networks_.backbone->module())));
  const int64_t kept =
      upper_.steps * needs_.hessian_products + std::min(needs_.shared_products, parameters);
  const bool recomputed = lower_.hessian_graph == "recomputed";
  const int64_t graphs = recomputed ? kept : std::min<int64_t>(kept, 1);
  const int64_t through_steps = upper_.steps * needs_.step_products;
  const int64_t shifted =
      upper_.steps * needs_.gradients + needs_.shared_gradients + (needs_.layers ? 1 : 0);
  // Recorded steps have the lower level's batch, which is taken as one of the Hessian's here.
  return {.products = kept * lower_.hessian_batches + through_steps,
          .gradients = (shifted + graphs) * lower_.hessian_batches + through_steps +
                       upper_.steps * needs_.step_gradients};
}

void BisslCheck::estimate(const RoundCost& cost) {
  const double lower_seconds =
      probe_.pretext_gradient(networks_, lower_table_, lower_.data, lower_.batch);
  const double upper_seconds = probe_.downstream_gradient(*networks_.backbone, upper_table_,
                                                          upper_.data, upper_.batch, false);
  const double product_seconds = cost.products > 0 ? hessian_product(hessian_batch()) : 0.0;
  const double hessian_share = double(hessian_batch()) / double(lower_.batch);
  const double round = double(lower_.steps) * lower_seconds +
                       double(cost.gradients) * lower_seconds * hessian_share +
                       double(upper_.steps * upper_passes()) * upper_seconds +
                       double(cost.products) * product_seconds;
  plan_.seconds = double(warmup_steps()) * upper_seconds + double(options_.rounds) * round;
  // Only graphs that are kept stay; those through recorded steps and recomputed ones come and go.
  if (needs_.hessian_products + needs_.shared_products == 0 ||
      lower_.hessian_graph == "recomputed") {
    plan_.graph_bytes = 0;
  }
}

}  // namespace

void check_bissl(const StageContext& context, bool measure, StagePlan& plan) {
  BisslCheck(context, measure, plan).run();
}

}  // namespace bissl
