#include "stages/bissl/options.h"

#include "pipeline/table_reader.h"
#include "stages/batch_statistics.h"
#include "stages/mix.h"
#include "stages/monitor_options.h"
#include "stages/option_schemas.h"
#include "stages/precision.h"
#include "stages/rates_options.h"

#include <algorithm>
#include <vector>

namespace bissl::host {
namespace {

const Schema<BisslOptions>& bissl_schema() {
  static const Schema<BisslOptions> schema = [] {
    Schema<BisslOptions> s;
    s.add("rounds", &BisslOptions::rounds,
          "alternations of lower and upper steps; \"auto\": the lower level gets a fifth of "
          "the images of the pretraining before it, which gives its length in `steps`; at least 8 "
          "rounds")
        .at_least(1)
        .unit("rounds")
        .accepts("an integer of at least 1, or \"auto\"");
    s.add("lambda", &BisslOptions::lambda,
          "λ: weight of (λ/2)·‖θ_P − θ_D‖², which ties the lower backbone to the upper one; "
          "\"auto\" chooses it at the start, by how far a lower step moves the backbone")
        .more_than(0)
        .accepts("a float of more than 0, or \"auto\"");
    s.add("gamma", &BisslOptions::gamma,
          "γ: weight of the plain gradient of the downstream loss at the upper backbone")
        .at_least(0);
    s.add("guard", &BisslOptions::guard,
          "most that ‖v‖ may be in an upper step, as a multiple of the pretext gradient's norm in "
          "the round; v is shortened to it. 0: v as it is")
        .at_least(0);
    s.add("adaptation_every", &BisslOptions::adaptation_every,
          "rounds between two moves of the upper backbone towards the lower one; 0: never")
        .at_least(0)
        .unit("rounds");
    s.add("adaptation_strength", &BisslOptions::adaptation_strength,
          "a in θ_D ← (1 − a)·θ_D + a·θ_P")
        .more_than(0)
        .at_most(1)
        .only_above("adaptation_every", 0);
    add_precision(s, &BisslOptions::precision);
    add_batch_norm(s, &BisslOptions::batch_norm);
    s.add(hypergradient_precision_key, &BisslOptions::hypergradient_precision,
          "what the backbone's passes compute in that the hypergradient is made of: u, Hessian "
          "products and gradients at shifted points, whatever `precision` is")
        .choices({"fp32", "bf16"});
    return s;
  }();
  return schema;
}

const Schema<AuditOptions>& audit_schema() {
  static const Schema<AuditOptions> schema = [] {
    Schema<AuditOptions> s;
    s.add("every", &AuditOptions::every, "audit the first upper step and then one in this many")
        .at_least(1)
        .unit("upper steps");
    s.add("damping", &AuditOptions::damping,
          "δ of the reference; the approximator's own if absent, 10 if it has none")
        .at_least(0);
    s.add("dense_below", &AuditOptions::dense_below,
          "solve densely for at most this many backbone parameters, by MINRES for more")
        .at_least(0)
        .at_most(20000)
        .unit("parameters");
    s.add("iterations", &AuditOptions::iterations, "most iterations of the reference's MINRES")
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

/// `epochs` or `steps`, or neither.
const Schema<LengthOptions>& optional_length_schema() {
  static const Schema<LengthOptions> schema = [] {
    Schema<LengthOptions> s;
    s.add("epochs", &LengthOptions::epochs, "passes over the data (or give steps)")
        .more_than(0)
        .unit("epochs");
    s.add("steps", &LengthOptions::steps, "optimizer steps (or give epochs)")
        .at_least(1)
        .unit("steps");
    s.rule([](const LengthOptions& options, std::vector<Finding>& findings) {
      if (options.epochs && options.steps) {
        findings.push_back({Finding::Severity::error, "epochs",
                            "epochs and steps are both given; give one of them"});
      }
    });
    return s;
  }();
  return schema;
}

const Schema<HeadWarmupOptions>& head_warmup_schema() {
  static const Schema<HeadWarmupOptions> schema = [] {
    Schema<HeadWarmupOptions> s;
    s.add("fit", &HeadWarmupOptions::fit,
          "\"convex\" fits a linear head by logistic regression on the frozen backbone's features, "
          "\"sgd\" takes steps of `optimizer`, \"none\" leaves the head at random; \"auto\" is "
          "\"sgd\" where an optimizer is given, else \"convex\" where the head is linear in the "
          "features and the targets are categories, else \"none\"")
        .choices({"auto", "convex", "sgd", "none"});
    s.add("views", &HeadWarmupOptions::views,
          "views of each image that \"convex\" fits on, by the upper level's augmentation")
        .at_least(1)
        .at_most(1000)
        .unit("views");
    s.embed(&HeadWarmupOptions::length, optional_length_schema());
    s.rule([](const HeadWarmupOptions& options, std::vector<Finding>& findings) {
      const bool has_length = options.length.epochs || options.length.steps;
      if (options.fit == "sgd" && !has_length) {
        findings.push_back({Finding::Severity::error, "epochs", "give either epochs or steps"});
      }
      if ((options.fit == "convex" || options.fit == "none") && has_length) {
        findings.push_back(
            {Finding::Severity::warning, "fit", "makes no steps: epochs and steps have no effect"});
      }
    });
    return s;
  }();
  return schema;
}

const Schema<LowerOptions>& lower_schema() {
  static const Schema<LowerOptions> schema = [] {
    Schema<LowerOptions> s;
    add_data(s, &LowerOptions::data, "data source of the images");
    add_batch(s, &LowerOptions::batch);
    add_accumulation(s, &LowerOptions::accumulate);
    s.add("steps", &LowerOptions::steps, "optimizer steps in a round").at_least(1).unit("steps");
    s.add("hessian_batch", &LowerOptions::hessian_batch,
          "samples of the batch on which the Hessian is taken; 0: `batch`")
        .at_least(0)
        .unit("samples");
    s.add("hessian_batches", &LowerOptions::hessian_batches,
          "how many such batches the Hessian is the mean of")
        .at_least(1)
        .unit("batches");
    s.add("hessian_rounds", &LowerOptions::hessian_rounds,
          "rounds in a row whose Hessian is taken on the same images, with new views in each")
        .at_least(1)
        .unit("rounds");
    s.add("hessian_graph", &LowerOptions::hessian_graph,
          "\"kept\" builds the gradient's graph once a round and keeps it in memory, "
          "\"recomputed\" builds it for each product")
        .choices({"kept", "recomputed"})
        .execution_only();
    s.add("lr_factor", &LowerOptions::lr_factor, "factor on the optimizer's learning rate")
        .more_than(0);
    add_clipping(s, &LowerOptions::max_grad_norm, &LowerOptions::grad_norm_guard);
    return s;
  }();
  return schema;
}

const Schema<UpperOptions>& upper_schema() {
  static const Schema<UpperOptions> schema = [] {
    Schema<UpperOptions> s;
    add_data(s, &UpperOptions::data, "data source of the labelled images");
    add_batch(s, &UpperOptions::batch);
    add_accumulation(s, &UpperOptions::accumulate);
    s.add("steps", &UpperOptions::steps, "optimizer steps in a round").at_least(1).unit("steps");
    s.add("lr_factor", &UpperOptions::lr_factor,
          "factor on the optimizer's learning rate; \"auto\" chooses it before the first round, by "
          "how far first steps of the two levels move the backbone")
        .more_than(0)
        .accepts("a float of more than 0, or \"auto\"");
    add_clipping(s, &UpperOptions::max_grad_norm, &UpperOptions::grad_norm_guard);
    return s;
  }();
  return schema;
}

bool is_auto(const Value& value) {
  const auto* text = std::get_if<std::string>(&value);
  return text != nullptr && *text == auto_value;
}

/// The parameters that take "auto", which is chosen later.
const std::vector<std::string> chosen_keys = {"rounds", "lambda", "lr_factor"};

bool may_be_auto(const ParameterSpec& spec) {
  return std::find(chosen_keys.begin(), chosen_keys.end(), spec.name) != chosen_keys.end();
}

/// With defaults where "auto" is: for what takes numbers only.
template <class Options>
ParameterValues with_numbers(const Schema<Options>& schema, ParameterValues values) {
  for (const ParameterSpec& spec : schema.specs()) {
    const auto found = values.find(spec.name);
    if (found != values.end() && may_be_auto(spec) && is_auto(found->second)) {
      found->second = spec.default_value;
    }
  }
  return values;
}

/// Lets the parameters of a table be "auto".
template <class Options>
void take_auto(TableSpec& spec, const Schema<Options>& schema) {
  spec.check = [&schema](const ParameterValues& values) {
    return schema.check(with_numbers(schema, values));
  };
  for (ParameterSpec& one : spec.parameters) {
    if (may_be_auto(one)) {
      one.traits[takes_auto] = true;
    }
  }
}

}  // namespace

BisslOptions parse_bissl(const Table& table) {
  BisslOptions options = bissl_schema().parse(with_numbers(bissl_schema(), table.values));
  options.rounds_open = is_auto(table.values.at("rounds"));
  options.chooses_lambda = is_auto(table.values.at("lambda"));
  return options;
}

AuditOptions parse_audit(const Table& table) { return audit_schema().parse(table.values); }

HeadWarmupOptions parse_head_warmup(const Table& table) {
  return head_warmup_schema().parse(table.values);
}

LowerOptions parse_lower(const Table& table) { return lower_schema().parse(table.values); }

UpperOptions parse_upper(const Table& table) {
  UpperOptions options = upper_schema().parse(with_numbers(upper_schema(), table.values));
  options.chooses_rate = is_auto(table.values.at("lr_factor"));
  return options;
}

StageKindSpec bissl_spec() {
  TableSpec head_warmup = table_of(head_warmup_schema(), {length_keys});
  head_warmup.components = {optimizer_slot()};
  head_warmup.components.front().required = false;
  head_warmup.tables = {schedule_table(), rates_table()};
  TableSpec lower = table_of(lower_schema(), {views_keys});
  mark_own_meaning(lower, "steps");  // of a round; in `pretrain` it is the length of the stage
  lower.augment = several_views();
  lower.components = {pretext_slot(), optimizer_slot()};
  lower.tables = {schedule_table(), rates_table()};
  TableSpec upper = table_of(upper_schema());
  take_auto(upper, upper_schema());
  upper.augment = one_view();
  upper.components = {downstream_slot(), optimizer_slot()};
  upper.tables = {schedule_table(), rates_table(), mix_table()};

  StageKindSpec kind;
  kind.name = "bissl";
  kind.summary = "bilevel training between pretraining and fine-tuning (arXiv 2410.02387)";
  kind.table = table_of(bissl_schema());
  take_auto(kind.table, bissl_schema());
  mark_precision(kind.table);
  mark_batch_norm(kind.table);
  kind.table.renamed = {{"warmup", "head_warmup"}};
  kind.table.components = {
      {"hypergradient", ComponentKind::hypergradient, true, "approximates (I + H/(λ + δ))⁻¹·u"}};
  kind.table.tables = {
      {"head_warmup", head_warmup, false,
       "how the head is fitted on the frozen backbone first, on the upper data; without it as with "
       "fit = \"auto\""},
      {.name = "lower",
       .table = lower,
       .doc = "the pretext level; what is not given is taken from the pretrain stage before it",
       .inherits_from = "pretrain"},
      {"upper", upper, true, "the downstream level"},
      monitor_table(),
      {.name = "audit",
       .table = table_of(audit_schema()),
       .required = false,
       .doc = "compares the hypergradient of some upper steps with a reference solution in double "
              "precision",
       .execution_only = true}};
  kind.needs_parent = true;
  kind.hands_on = {"backbone", "pretext", "head"};
  kind.takes = {"backbone", "pretext"};
  return kind;
}

}  // namespace bissl::host
