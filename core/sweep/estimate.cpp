#include "sweep/estimate.h"

#include "base/json_text.h"
#include "base/spelling.h"
#include "bissl/error.h"
#include "pipeline/metric_name.h"
#include "stages/check.h"
#include "stages/data_findings.h"
#include "stages/identity.h"
#include "sweep/cell_messages.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace bissl::host {
namespace {

/// Takes out real numbers, which change neither shapes nor cost, but for lengths.
void strip_reals(nlohmann::json& json) {
  for (auto& [key, value] : json.items()) {
    if (value.is_structured()) {
      strip_reals(value);
    } else if (value.is_number_float() && key.find("epochs") == std::string::npos) {
      value = nullptr;
    }
  }
}

/// What stages have in common that behave alike in a trial pass.
std::string signature(const StageIdentity& identity, bool reals_matter) {
  nlohmann::json json = identity.description;
  json.erase("seed");
  json.erase("parent");
  if (json.contains("match")) {
    json["match"].erase("stage");
  }
  if (!reals_matter) {
    strip_reals(json);
  }
  return json_text(json);
}

/// The cells that need each stage.
std::map<std::string, std::set<std::string>> cells_by_stage(const SweepPlan& plan) {
  std::map<std::string, std::set<std::string>> cells;
  const auto add = [&](size_t unit, const std::string& cell) {
    for (const auto& [stage, key] : plan.units[unit].stages) {
      cells[key].insert(cell);
    }
  };
  for (const PlanCell& cell : plan.cells) {
    if (cell.unit) {
      add(*cell.unit, cell.id);
    }
    for (const size_t unit : cell.trials) {
      add(unit, cell.id);
    }
    for (const size_t unit : cell.finals) {
      add(unit, cell.id);
    }
  }
  return cells;
}

/// What is to be run as if each search chose its first draw.
std::vector<std::pair<size_t, const PlanCell*>> expected_units(const SweepPlan& plan) {
  std::vector<std::pair<size_t, const PlanCell*>> units;
  for (const PlanCell& cell : plan.cells) {
    if (cell.unit) {
      units.emplace_back(*cell.unit, &cell);
      continue;
    }
    for (const size_t unit : cell.trials) {
      units.emplace_back(unit, &cell);
    }
    units.emplace_back(cell.finals.front(), &cell);
  }
  return units;
}

/// The time until all is done when each job takes the first stage whose parent is finished.
double wall_time(const std::vector<const PlanNode*>& nodes,
                 const std::map<std::string, double>& seconds, int jobs) {
  std::map<std::string, double> finished;
  std::set<std::string> known;
  for (const PlanNode* node : nodes) {
    known.insert(node->key);
  }
  std::vector<double> free_at(static_cast<size_t>(std::max(1, jobs)), 0.0);
  std::vector<const PlanNode*> left = nodes;
  while (!left.empty()) {
    const auto job = std::min_element(free_at.begin(), free_at.end());
    const auto ready_at = [&](const PlanNode* node) {
      double latest = 0;
      for (const std::string& key : needed_by(*node)) {
        if (known.count(key) != 0) {
          const auto needed = finished.find(key);
          latest = std::max(latest, needed == finished.end() ? 1e300 : needed->second);
        }
      }
      return latest;
    };
    const auto next =
        std::min_element(left.begin(), left.end(), [&](const PlanNode* a, const PlanNode* b) {
          return std::max(*job, ready_at(a)) < std::max(*job, ready_at(b));
        });
    const double end = std::max(*job, ready_at(*next)) + seconds.at((*next)->key);
    finished[(*next)->key] = end;
    *job = end;
    left.erase(next);
  }
  return *std::max_element(free_at.begin(), free_at.end());
}

/// What a stage hands on, as a text that distinguishes networks of different shapes.
std::string shapes_text(const HandedOn& weights) { return json_text(weights); }

class SweepTrial {
 public:
  SweepTrial(SweepState& state, const PlanResult& planned, const RunSettings& settings,
             std::shared_ptr<DatasetCache> datasets, bool measure)
      : state_(state),
        planned_(planned),
        settings_(settings),
        datasets_(std::move(datasets)),
        measure_(measure),
        cells_(cells_by_stage(state.plan())) {}

  SweepEstimate run(int jobs);

 private:
  void check_metrics(size_t unit, const std::vector<AskedMetric>& asked, const std::string& cell,
                     CellTexts& errors) const;
  const StagePlan& try_stage(const PlanNode& node, TrialDepth depth);
  std::optional<double> budget_of(const PlanNode& node, const Stage& stage) const;

  SweepState& state_;
  const PlanResult& planned_;
  const RunSettings& settings_;
  std::shared_ptr<DatasetCache> datasets_;
  bool measure_;
  std::map<std::string, std::set<std::string>> cells_;
  std::map<std::string, StagePlan> tried_;             ///< by signature
  std::map<std::string, const StagePlan*> of_stages_;  ///< those of tried_, by key
};

/// What a stage with `match` will train, as far as the trials of those before it tell.
std::optional<double> SweepTrial::budget_of(const PlanNode& node, const Stage& stage) const {
  const std::optional<MatchOptions> match = parse_match(stage.table);
  if (!match) {
    return std::nullopt;
  }
  const auto cost = [&](const std::string& key) {
    return key.empty() ? TrainingCost{} : cost_in_plan(*of_stages_.at(key));
  };
  return matched_budget(*match, cost(node.matched), cost(node.parent));
}

/// Parents come before their children.
const StagePlan& SweepTrial::try_stage(const PlanNode& node, TrialDepth depth) {
  const Pipeline& pipeline = planned_.pipelines.at(node.unit);
  DataCatalog data(pipeline, datasets_);
  const Stage& stage = pipeline.stage(node.stage);
  const bool reals_matter = !measure_ && state_.plan().select.empty();
  const HandedOn* parent = node.parent.empty() ? nullptr : &of_stages_.at(node.parent)->weights;
  const auto& of_unit = state_.plan().units.at(node.unit).stages;
  const StageKeys keys(of_unit.begin(), of_unit.end());
  const std::string kind =
      fmt::format("{}{}{}", static_cast<int>(depth),
                  signature(identify(pipeline, stage, data, keys), reals_matter),
                  parent == nullptr ? "" : shapes_text(*parent));
  auto found = tried_.find(kind);
  if (found == tried_.end()) {
    found = tried_
                .emplace(kind, check_stage(pipeline, stage, parent, data, settings_, depth,
                                           budget_of(node, stage)))
                .first;
  }
  of_stages_[node.key] = &found->second;
  return found->second;
}

/// Whether the unit's stages give what is requested. Those whose trial failed say nothing.
void SweepTrial::check_metrics(size_t unit, const std::vector<AskedMetric>& asked,
                               const std::string& cell, CellTexts& errors) const {
  std::vector<std::string> given;
  std::set<std::string> unknown;
  for (const auto& [stage, key] : state_.plan().units[unit].stages) {
    const StagePlan& tried = *of_stages_.at(key);
    if (!tried.errors.empty() && tried.metrics.empty()) {
      unknown.insert(stage);
    }
    for (const MetricResult& metric : tried.metrics) {
      given.push_back(MetricName{stage, metric.data, metric.metric}.text());
    }
  }
  for (const AskedMetric& one : asked) {
    const std::optional<MetricName> name = parse_metric(one.metric);
    if (!name || unknown.count(name->stage) != 0 ||
        std::find(given.begin(), given.end(), one.metric) != given.end()) {
      continue;
    }
    Diagnostic message{.severity = Diagnostic::Severity::error,
                       .at = one.at,
                       .key = one.key,
                       .message = fmt::format("no stage gives {} with this data", one.metric),
                       .accepted = quoted_list(given),
                       .suggestions = nearest(one.metric, given)};
    errors.add(message.text_without_severity(), {cell});
  }
}

SweepEstimate SweepTrial::run(int jobs) {
  const SweepPlan& plan = state_.plan();
  SweepEstimate estimate;
  CellTexts errors;
  CellTexts warnings;
  std::map<std::string, double> of_all;
  std::vector<const PlanNode*> to_do;
  std::set<std::string> counted;
  for (const auto& [unit, cell] : expected_units(plan)) {
    for (const auto& [stage, key] : plan.units[unit].stages) {
      if (!counted.insert(key).second) {
        continue;
      }
      const PlanNode& node = plan.node(key);
      const bool done = state_.stages().state(key) == WorkState::done;
      // Of what is done, only what others want to know of it.
      const StagePlan& tried = try_stage(node, measure_ ? TrialDepth::measured
                                               : done   ? TrialDepth::built
                                                        : TrialDepth::tried);
      for (const std::string& text : tried.errors) {
        errors.add(text, cells_[key]);
      }
      for (const std::string& text : tried.warnings) {
        warnings.add(is_about_data(text) ? text : "stage." + spelled_key(node.stage) + ": " + text,
                     cells_[key]);
      }
      of_all[key] = tried.seconds;
      if (!done) {
        estimate.seconds[key] = tried.seconds;
        estimate.work += tried.seconds;
        to_do.push_back(&node);
      }
    }
  }
  for (const auto& [unit, cell] : expected_units(plan)) {
    const bool is_draw =
        std::find(cell->trials.begin(), cell->trials.end(), unit) != cell->trials.end();
    check_metrics(unit, is_draw ? planned_.asked_of_draws : planned_.asked, cell->id, errors);
  }
  if (measure_) {
    for (const auto& [unit, cell] : expected_units(plan)) {
      for (const auto& [stage, key] : plan.units[unit].stages) {
        estimate.without_sharing += of_all.at(key);
      }
    }
    estimate.wall = wall_time(to_do, estimate.seconds, jobs);
  }
  estimate.errors = errors.all(plan.cells.size());
  estimate.warnings = warnings.all(plan.cells.size());
  return estimate;
}

}  // namespace

SweepEstimate try_sweep(SweepState& state, const PlanResult& planned, const RunSettings& settings,
                        std::shared_ptr<DatasetCache> datasets, bool measure, int jobs) {
  return SweepTrial(state, planned, settings, std::move(datasets), measure).run(jobs);
}

}  // namespace bissl::host
