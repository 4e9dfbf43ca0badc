#include "stages/options.h"

#include "bissl/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace bissl {
namespace {

/// Keys of which a table gives one.
using Group = std::vector<std::string>;
const Group length_keys = {"epochs", "steps"};
const Group warmup_keys = {"warmup_epochs", "warmup_steps"};

template <class Options>
TableSpec table_of(const Schema<Options>& schema, std::vector<Group> exclusive = {}) {
  TableSpec spec;
  spec.exclusive = std::move(exclusive);
  spec.parameters = schema.specs();
  spec.check = [&schema](const ParameterValues& values) { return schema.check(values); };
  return spec;
}

/// Schema members must belong to the aggregate itself, so lengths are bound through this base.
template <class Options>
struct WithLength : Options {
  std::optional<double> epochs;
  std::optional<int64_t> steps;
};

template <class Options>
Options with_length(const WithLength<Options>& flat) {
  Options options = flat;
  options.length = {flat.epochs, flat.steps};
  return options;
}

template <class Options>
void add_length(Schema<WithLength<Options>>& schema) {
  using Flat = WithLength<Options>;
  schema.add("epochs", &Flat::epochs, "passes over the data (or give steps)")
      .more_than(0)
      .unit("epochs");
  schema.add("steps", &Flat::steps, "optimizer steps (or give epochs)").at_least(1).unit("steps");
  schema.rule([](const Flat& options, std::vector<Finding>& findings) {
    if (options.epochs.has_value() == options.steps.has_value()) {
      findings.push_back({Finding::Severity::error, "epochs",
                          options.epochs ? "epochs and steps are both given; give one of them"
                                         : "give either epochs or steps"});
    }
  });
}

template <class Options>
ParameterBuilder add_data(Schema<Options>& schema, std::string Options::*member,
                          const std::string& doc) {
  return schema.add("data", member, doc).required();
}

/// For aggregates that are bound through WithLength.
template <class Flat, class Options, class T>
T Flat::*flat(T Options::*member) {
  return member;
}

template <class Options>
void add_batch(Schema<Options>& schema, int64_t Options::*member) {
  schema.add("batch", member, "samples in a step").at_least(1).unit("samples");
}

template <class Options>
void add_clipping(Schema<Options>& schema, double Options::*member) {
  schema
      .add("max_grad_norm", member,
           "gradients with a larger norm are scaled down to it; 0 leaves them alone")
      .at_least(0);
}

const Schema<ScheduleOptions>& schedule_schema() {
  static const Schema<ScheduleOptions> schema = [] {
    Schema<ScheduleOptions> s;
    s.add("use", &ScheduleOptions::use,
          "\"cosine\" falls from the base rate to `final` of it over the stage (Loshchilov and "
          "Hutter 2017, arXiv 1608.03983); \"constant\" stays")
        .choices({"constant", "cosine"});
    s.add("warmup_epochs", &ScheduleOptions::warmup_epochs,
          "linear rise to the base rate over this many passes over the data")
        .at_least(0)
        .unit("epochs");
    s.add("warmup_steps", &ScheduleOptions::warmup_steps,
          "linear rise to the base rate over this many steps")
        .at_least(0)
        .unit("steps");
    s.add("final", &ScheduleOptions::final, "share of the base rate at the end of \"cosine\"")
        .at_least(0)
        .at_most(1);
    s.rule([](const ScheduleOptions& options, std::vector<Finding>& findings) {
      if (options.warmup_epochs > 0 && options.warmup_steps > 0) {
        findings.push_back({Finding::Severity::error, "warmup_steps",
                            "warmup_epochs and warmup_steps are both given; give one of them"});
      }
      if (options.use == "constant" && options.final != ScheduleOptions{}.final) {
        findings.push_back(
            {Finding::Severity::warning, "final", "has no effect with use = \"constant\""});
      }
    });
    return s;
  }();
  return schema;
}

SubtableSpec schedule_table() {
  return {"schedule", table_of(schedule_schema(), {warmup_keys}), false,
          "the learning rate over time; constant if absent"};
}

using FlatPretrain = WithLength<PretrainOptions>;

const Schema<FlatPretrain>& pretrain_schema() {
  static const Schema<FlatPretrain> schema = [] {
    Schema<FlatPretrain> s;
    add_data(s, flat<FlatPretrain>(&PretrainOptions::data), "data source of the images");
    add_batch(s, flat<FlatPretrain>(&PretrainOptions::batch));
    add_length(s);
    add_clipping(s, flat<FlatPretrain>(&PretrainOptions::max_grad_norm));
    return s;
  }();
  return schema;
}

using FlatFinetune = WithLength<FinetuneOptions>;

const Schema<FlatFinetune>& finetune_schema() {
  static const Schema<FlatFinetune> schema = [] {
    Schema<FlatFinetune> s;
    add_data(s, flat<FlatFinetune>(&FinetuneOptions::data), "data source of the labelled images");
    add_batch(s, flat<FlatFinetune>(&FinetuneOptions::batch));
    add_length(s);
    add_clipping(s, flat<FlatFinetune>(&FinetuneOptions::max_grad_norm));
    s.add("freeze_backbone", flat<FlatFinetune>(&FinetuneOptions::freeze_backbone),
          "train the head only, on features of the backbone in evaluation mode (linear probe)");
    s.add("repeats", flat<FlatFinetune>(&FinetuneOptions::repeats),
          "how many times to fine-tune, each with a random stream of its own; results are given "
          "as mean and standard deviation")
        .at_least(1)
        .at_most(1000)
        .unit("runs");
    return s;
  }();
  return schema;
}

const Schema<EvaluateOptions>& evaluate_schema() {
  static const Schema<EvaluateOptions> schema = [] {
    Schema<EvaluateOptions> s;
    add_data(s, &EvaluateOptions::data, "data source to score on; its classes are the training's");
    s.add("batch", &EvaluateOptions::batch, "most samples that are scored at once")
        .at_least(1)
        .unit("samples");
    return s;
  }();
  return schema;
}

const Schema<BisslOptions>& bissl_schema() {
  static const Schema<BisslOptions> schema = [] {
    Schema<BisslOptions> s;
    s.add("rounds", &BisslOptions::rounds, "alternations of lower and upper steps")
        .at_least(1)
        .unit("rounds");
    s.add("lambda", &BisslOptions::lambda,
          "λ: weight of (λ/2)·‖θ_P − θ_D‖², which ties the lower backbone to the upper one")
        .more_than(0);
    s.add("gamma", &BisslOptions::gamma,
          "γ: weight of the plain gradient of the downstream loss at the upper backbone")
        .at_least(0);
    s.add("adaptation_every", &BisslOptions::adaptation_every,
          "after every so many rounds the upper backbone moves towards the lower one; 0: never")
        .at_least(0)
        .unit("rounds");
    s.add("adaptation_strength", &BisslOptions::adaptation_strength,
          "a in θ_D ← (1 − a)·θ_D + a·θ_P")
        .more_than(0)
        .at_most(1);
    s.rule([](const BisslOptions& options, std::vector<Finding>& findings) {
      if (options.adaptation_every == 0 &&
          options.adaptation_strength != BisslOptions{}.adaptation_strength) {
        findings.push_back({Finding::Severity::warning, "adaptation_strength",
                            "has no effect with adaptation_every = 0"});
      }
    });
    return s;
  }();
  return schema;
}

const Schema<AuditOptions>& audit_schema() {
  static const Schema<AuditOptions> schema = [] {
    Schema<AuditOptions> s;
    s.add("every", &AuditOptions::every, "audit the first upper step and then every so many")
        .at_least(1)
        .unit("upper steps");
    s.add("damping", &AuditOptions::damping,
          "δ of the reference; the approximator's own if absent, 10 if it has none")
        .at_least(0);
    s.add("dense_below", &AuditOptions::dense_below,
          "solve densely for at most so many backbone parameters, by MINRES for more")
        .at_least(0)
        .at_most(20000)
        .unit("parameters");
    s.add("iterations", &AuditOptions::iterations, "of the reference's MINRES at most")
        .at_least(1)
        .unit("iterations");
    s.add("tolerance", &AuditOptions::tolerance,
          "the reference's MINRES stops at this share of ‖u‖")
        .at_least(0)
        .less_than(1);
    return s;
  }();
  return schema;
}

using FlatWarmup = WithLength<WarmupOptions>;

const Schema<FlatWarmup>& warmup_schema() {
  static const Schema<FlatWarmup> schema = [] {
    Schema<FlatWarmup> s;
    add_length(s);
    return s;
  }();
  return schema;
}

const Schema<LowerOptions>& lower_schema() {
  static const Schema<LowerOptions> schema = [] {
    Schema<LowerOptions> s;
    add_data(s, &LowerOptions::data, "data source of the images");
    add_batch(s, &LowerOptions::batch);
    s.add("steps", &LowerOptions::steps, "optimizer steps in a round").at_least(1).unit("steps");
    s.add("hessian_batch", &LowerOptions::hessian_batch,
          "samples of the batch on which the Hessian is taken; 0: as in a step")
        .at_least(0)
        .unit("samples");
    s.add("hessian_batches", &LowerOptions::hessian_batches,
          "how many such batches the Hessian is the mean of")
        .at_least(1)
        .unit("batches");
    s.add("hessian_graph", &LowerOptions::hessian_graph,
          "\"kept\" builds the gradient's graph once a round and keeps it in memory, "
          "\"recomputed\" builds it for each product")
        .choices({"kept", "recomputed"});
    add_clipping(s, &LowerOptions::max_grad_norm);
    return s;
  }();
  return schema;
}

const Schema<UpperOptions>& upper_schema() {
  static const Schema<UpperOptions> schema = [] {
    Schema<UpperOptions> s;
    add_data(s, &UpperOptions::data, "data source of the labelled images");
    add_batch(s, &UpperOptions::batch);
    s.add("steps", &UpperOptions::steps, "optimizer steps in a round").at_least(1).unit("steps");
    add_clipping(s, &UpperOptions::max_grad_norm);
    return s;
  }();
  return schema;
}

const ComponentSlot augment_slot{"augment", ComponentKind::augmentation, true,
                                 "makes views of the images"};
const ComponentSlot optimizer_slot{"optimizer", ComponentKind::optimizer, true,
                                   "updates the weights"};

StageKindSpec pretrain_kind() {
  StageKindSpec kind;
  kind.name = "pretrain";
  kind.summary = "trains backbone and pretext head on the pretext loss";
  kind.table = table_of(pretrain_schema(), {length_keys});
  kind.table.components = {augment_slot,
                           {"pretext", ComponentKind::pretext, true, "the self-supervised loss"},
                           optimizer_slot};
  kind.table.tables = {schedule_table()};
  kind.may_be_parent = true;
  kind.data_keys = {"data"};
  return kind;
}

StageKindSpec bissl_kind() {
  TableSpec warmup = table_of(warmup_schema(), {length_keys});
  warmup.components = {optimizer_slot};
  warmup.tables = {schedule_table()};
  TableSpec lower = table_of(lower_schema());
  lower.components = {augment_slot,
                      {"pretext", ComponentKind::pretext, true, "the self-supervised loss"},
                      optimizer_slot};
  lower.tables = {schedule_table()};
  TableSpec upper = table_of(upper_schema());
  upper.components = {augment_slot,
                      {"downstream", ComponentKind::downstream, true, "head, loss and metrics"},
                      optimizer_slot};
  upper.tables = {schedule_table()};

  StageKindSpec kind;
  kind.name = "bissl";
  kind.summary = "bilevel training between pretraining and fine-tuning (arXiv 2410.02387)";
  kind.table = table_of(bissl_schema());
  kind.table.components = {
      {"hypergradient", ComponentKind::hypergradient, true, "approximates (I + H/(λ + δ))⁻¹·u"}};
  kind.table.tables = {
      {"warmup", warmup, false, "trains the head on the frozen backbone first, on the upper data"},
      {"lower", lower, true,
       "the pretext level; what is not given is taken from the pretrain stage before it"},
      {"upper", upper, true, "the downstream level"},
      {"audit", table_of(audit_schema()), false,
       "holds the hypergradient against a reference solution now and then, in double precision"}};
  kind.needs_parent = true;
  kind.may_be_parent = true;
  kind.data_keys = {"lower.data", "upper.data"};
  kind.inherit_into = "lower";
  kind.inherit_kind = "pretrain";
  kind.not_inherited = {"steps"};  // there the length of the stage, here that of a round
  return kind;
}

StageKindSpec finetune_kind() {
  TableSpec evaluate = table_of(evaluate_schema());
  evaluate.components = {augment_slot};

  StageKindSpec kind;
  kind.name = "finetune";
  kind.summary = "trains backbone and a new head on labelled images, and scores them";
  kind.table = table_of(finetune_schema(), {length_keys});
  kind.table.components = {
      augment_slot,
      {"downstream", ComponentKind::downstream, true, "head, loss and metrics"},
      optimizer_slot};
  kind.table.tables = {schedule_table(),
                       {"evaluate", evaluate, true, "what to score the result on"}};
  kind.needs_parent = true;
  kind.data_keys = {"data", "evaluate.data"};
  return kind;
}

double exact_steps(const LengthOptions& length, int64_t samples, int64_t batch) {
  return *length.epochs * static_cast<double>(samples) / static_cast<double>(batch);
}

}  // namespace

ScheduleOptions parse_schedule(const Table& stage) {
  return stage.has_table("schedule") ? schedule_schema().parse(stage.table("schedule").values)
                                     : ScheduleOptions{};
}

PretrainOptions parse_pretrain(const Table& table) {
  return with_length(pretrain_schema().parse(table.values));
}

FinetuneOptions parse_finetune(const Table& table) {
  return with_length(finetune_schema().parse(table.values));
}

EvaluateOptions parse_evaluate(const Table& table) { return evaluate_schema().parse(table.values); }

BisslOptions parse_bissl(const Table& table) { return bissl_schema().parse(table.values); }

AuditOptions parse_audit(const Table& table) { return audit_schema().parse(table.values); }

WarmupOptions parse_warmup(const Table& table) {
  return with_length(warmup_schema().parse(table.values));
}

LowerOptions parse_lower(const Table& table) { return lower_schema().parse(table.values); }

UpperOptions parse_upper(const Table& table) { return upper_schema().parse(table.values); }

void check_countable(const std::string& what, double steps, int64_t batch) {
  constexpr double most_steps = 1e12;
  if (!(steps <= most_steps)) {
    fail_input("{} makes {:.3g} steps; a stage can have 10^12 at most", what, steps);
  }
  constexpr double most_samples = 0x1p62;
  if (!(steps * static_cast<double>(batch) <= most_samples)) {
    fail_input("{}, of {} samples each, makes more samples than 64 bits can number", what, batch);
  }
}

int64_t steps_of(const LengthOptions& length, int64_t samples, int64_t batch) {
  if (length.steps) {
    check_countable(fmt::format("steps = {}", *length.steps), static_cast<double>(*length.steps),
                    batch);
    return *length.steps;
  }
  const double steps = exact_steps(length, samples, batch);
  check_countable(fmt::format("epochs = {}", *length.epochs), steps, batch);
  return std::max<int64_t>(1, std::llround(steps));
}

std::string rounding_doubt(const LengthOptions& length, int64_t samples, int64_t batch) {
  if (length.steps) {
    return "";
  }
  constexpr double far = 0.1;
  const double asked = exact_steps(length, samples, batch);
  const int64_t taken = steps_of(length, samples, batch);
  return std::abs(static_cast<double>(taken) - asked) <= far * asked
             ? ""
             : fmt::format("epochs = {} of {} images are {:.2g} steps of {}; {} {} taken",
                           *length.epochs, samples, asked, batch, taken, taken == 1 ? "is" : "are");
}

const std::vector<StageKindSpec>& stage_kinds() {
  static const std::vector<StageKindSpec> kinds = {pretrain_kind(), bissl_kind(), finetune_kind()};
  return kinds;
}

}  // namespace bissl
