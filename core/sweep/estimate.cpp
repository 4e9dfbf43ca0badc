#include "sweep/estimate.h"

#include "base/spelling.h"
#include "pipeline/metric_name.h"
#include "sweep/cell_messages.h"
#include "sweep/stage_trials.h"
#include "sweep/wall_time.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace bissl::host {
namespace {

using UnitOfCell = std::pair<size_t, const PlanCell*>;

/// What a sweep is made of, as if each search that has not chosen yet chose its first draw.
std::vector<UnitOfCell> expected_units(SweepState& state) {
  std::vector<UnitOfCell> units;
  for (const PlanCell& cell : state.plan().cells) {
    if (cell.unit) {
      units.emplace_back(*cell.unit, &cell);
      continue;
    }
    for (const size_t unit : cell.trials) {
      units.emplace_back(unit, &cell);
    }
    const std::optional<Selection> chosen = state.selection(cell);
    units.emplace_back(cell.finals.at(chosen ? chosen->draw : 0), &cell);
  }
  return units;
}

/// The keys of what a run looks for in the store, with the same expectation: without draws of
/// searches that have ended, which no run tries again.
std::set<std::string> expected_keys(SweepState& state) {
  std::set<std::string> keys;
  for (const PlanNode* node : state.wanted()) {
    keys.insert(node->key);
  }
  for (const PlanCell& cell : state.plan().cells) {
    if (!cell.unit && !state.selection(cell)) {
      for (const auto& [stage, key] : state.plan().units[cell.finals.front()].stages) {
        keys.insert(key);
      }
    }
  }
  return keys;
}

/// What a run may have to compute: any draw may be chosen, but where one was.
std::vector<UnitOfCell> possible_units(const SweepState& state) {
  std::vector<UnitOfCell> units;
  for (const PlanCell& cell : state.plan().cells) {
    if (cell.unit) {
      units.emplace_back(*cell.unit, &cell);
      continue;
    }
    if (const std::optional<RunResults> results = state.results(cell)) {
      units.emplace_back(cell.finals.at(results->search->chosen), &cell);
      continue;
    }
    for (const std::vector<size_t>* list : {&cell.trials, &cell.finals}) {
      for (const size_t unit : *list) {
        units.emplace_back(unit, &cell);
      }
    }
  }
  return units;
}

bool has(const std::vector<std::string>& texts, const std::string& text) {
  return std::find(texts.begin(), texts.end(), text) != texts.end();
}

class SweepTrial {
 public:
  SweepTrial(SweepState& state, const PlanResult& planned, const RunSettings& settings,
             std::shared_ptr<DatasetCache> datasets, bool measure)
      : state_(state),
        planned_(planned),
        measure_(measure),
        trials_(state, planned, settings, std::move(datasets), measure) {}

  SweepEstimate run(int jobs);

 private:
  void check_metrics(const UnitOfCell& unit, CellTexts& errors) const;
  void add_costs(int jobs, SweepEstimate& estimate);

  SweepState& state_;
  const PlanResult& planned_;
  bool measure_;
  StageTrials trials_;
};

/// Whether the unit's stages give what is requested. Those whose trial failed say nothing.
void SweepTrial::check_metrics(const UnitOfCell& unit, CellTexts& errors) const {
  const auto& [number, cell] = unit;
  const bool is_draw =
      std::find(cell->trials.begin(), cell->trials.end(), number) != cell->trials.end();
  std::vector<std::string> given;
  std::set<std::string> unknown;
  for (const auto& [stage, key] : state_.plan().units[number].stages) {
    const StagePlan& tried = trials_.plan(key);
    if (!tried.errors.empty() && tried.metrics.empty()) {
      unknown.insert(stage);
    }
    for (const MetricResult& metric : tried.metrics) {
      given.push_back(MetricName{stage, metric.data, metric.metric}.text());
    }
  }
  for (const AskedMetric& one : is_draw ? planned_.asked_of_draws : planned_.asked) {
    const std::optional<MetricName> name = parse_metric(one.metric);
    if (!name || unknown.count(name->stage) != 0 || has(given, one.metric)) {
      continue;
    }
    Diagnostic message{.severity = Diagnostic::Severity::error,
                       .at = one.at,
                       .key = one.key,
                       .message = fmt::format("no stage gives {} with this data", one.metric),
                       .accepted = quoted_list(given),
                       .suggestions = nearest(one.metric, given)};
    errors.add(message.text_without_severity(), {cell->id});
  }
}

/// What is left to do, and what all would cost.
void SweepTrial::add_costs(int jobs, SweepEstimate& estimate) {
  const std::set<std::string> expected = expected_keys(state_);
  std::vector<const PlanNode*> to_do;
  std::set<std::string> counted;
  for (const auto& [unit, cell] : expected_units(state_)) {
    for (const auto& [stage, key] : state_.plan().units[unit].stages) {
      const double seconds = trials_.plan(key).seconds;
      estimate.without_sharing += seconds;
      if (counted.insert(key).second && expected.count(key) != 0 &&
          state_.stages().state(key) != WorkState::done) {
        estimate.seconds[key] = seconds;
        estimate.work += seconds;
        to_do.push_back(&state_.plan().node(key));
      }
    }
  }
  estimate.wall = wall_time(to_do, estimate.seconds, jobs);
}

SweepEstimate SweepTrial::run(int jobs) {
  const SweepPlan& plan = state_.plan();
  std::vector<UnitOfCell> units = expected_units(state_);
  std::set<std::string> open;
  for (const UnitOfCell& unit : possible_units(state_)) {
    units.push_back(unit);
    for (const auto& [stage, key] : plan.units[unit.first].stages) {
      open.insert(key);
    }
  }
  std::vector<const PlanNode*> nodes;
  std::set<std::string> listed;
  for (const auto& [unit, cell] : units) {
    for (const auto& [stage, key] : plan.units[unit].stages) {
      if (listed.insert(key).second) {
        nodes.push_back(&plan.node(key));
      }
    }
  }
  trials_.try_all(nodes, std::move(open));
  SweepEstimate estimate;
  DrawTexts errors;
  DrawTexts warnings;
  for (const PlanNode* node : nodes) {
    trials_.tell(*node, &StagePlan::errors, errors);
    trials_.tell(*node, &StagePlan::warnings, warnings);
  }
  CellTexts of_metrics;
  for (const UnitOfCell& unit : units) {
    check_metrics(unit, of_metrics);
  }
  if (measure_) {
    add_costs(jobs, estimate);
  }
  estimate.errors = errors.all(plan.cells.size());
  for (std::string& text : of_metrics.all(plan.cells.size())) {
    estimate.errors.push_back(std::move(text));
  }
  estimate.warnings = warnings.all(plan.cells.size());
  return estimate;
}

}  // namespace

SweepEstimate try_sweep(SweepState& state, const PlanResult& planned, const RunSettings& settings,
                        std::shared_ptr<DatasetCache> datasets, bool measure, int jobs) {
  return SweepTrial(state, planned, settings, std::move(datasets), measure).run(jobs);
}

}  // namespace bissl::host
