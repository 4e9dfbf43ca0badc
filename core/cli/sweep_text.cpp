#include "cli/sweep_text.h"

#include "base/json_text.h"
#include "base/table.h"
#include "telemetry/progress.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <set>

namespace bissl::host {
namespace {

/// The sums of a stage of a given name and place in the graph over all cells.
struct Level {
  std::string stage;
  std::string parent;  ///< the stage's name; empty for none
  std::string kind;
  std::set<std::string> keys;
  size_t uses = 0;  ///< how often units ask for it
};

std::vector<Level> levels(SweepState& state) {
  const SweepPlan& plan = state.plan();
  std::vector<Level> found;
  for (const PlanCell& cell : plan.cells) {
    for (const size_t unit : state.units(cell)) {
      std::map<std::string, std::string> names;
      for (const auto& [stage, key] : plan.units[unit].stages) {
        names[key] = stage;
        const PlanNode& node = plan.node(key);
        const std::string parent = node.parent.empty() ? "" : names.at(node.parent);
        auto level = std::find_if(found.begin(), found.end(), [&, name = stage](const Level& one) {
          return one.stage == name && one.parent == parent;
        });
        if (level == found.end()) {
          found.push_back({stage, parent, node.kind, {}, 0});
          level = found.end() - 1;
        }
        ++level->uses;
        level->keys.insert(key);
      }
    }
  }
  return found;
}

std::set<std::string> node_keys(const std::vector<const PlanNode*>& nodes) {
  std::set<std::string> keys;
  for (const PlanNode* node : nodes) {
    keys.insert(node->key);
  }
  return keys;
}

size_t count_done(SweepState& state, const std::set<std::string>& keys) {
  return static_cast<size_t>(std::count_if(keys.begin(), keys.end(), [&](const std::string& key) {
    return state.stages().state(key) == WorkState::done;
  }));
}

/// How many of the stages a run computes: those in `wanted` that are not done. Draws of a search
/// that has ended are not among them, whether they failed or the store has lost them.
size_t count_left(SweepState& state, const std::set<std::string>& keys,
                  const std::set<std::string>& wanted) {
  return static_cast<size_t>(std::count_if(keys.begin(), keys.end(), [&](const std::string& key) {
    return wanted.count(key) != 0 && state.stages().state(key) != WorkState::done;
  }));
}

double seconds_of(const SweepEstimate& estimate, const std::set<std::string>& keys) {
  double seconds = 0;
  for (const std::string& key : keys) {
    const auto found = estimate.seconds.find(key);
    seconds += found == estimate.seconds.end() ? 0 : found->second;
  }
  return seconds;
}

/// Rows of the graph, children below their parents and further in.
void add_levels(TextTable& table, SweepState& state, const std::vector<Level>& all,
                const std::set<std::string>& wanted, const SweepEstimate& estimate,
                const std::string& parent, size_t depth) {
  for (const Level& level : all) {
    if (level.parent != parent) {
      continue;
    }
    table.add_row({std::string(2 * depth, ' ') + level.stage, level.kind,
                   fmt::format("{}", level.uses), fmt::format("{}", level.keys.size()),
                   fmt::format("{}", count_done(state, level.keys)),
                   fmt::format("{}", count_left(state, level.keys, wanted)),
                   format_duration(seconds_of(estimate, level.keys))});
    add_levels(table, state, all, wanted, estimate, level.stage, depth + 1);
  }
}

std::string metric_text(const std::optional<double>& value) {
  return value ? fmt::format("{:.4f}", *value) : "";
}

/// "a, b and 7 more".
std::string short_list(const std::vector<std::string>& names) {
  constexpr size_t most = 6;
  const size_t shown = names.size() <= most + 1 ? names.size() : most;
  const std::vector<std::string> first(names.begin(), names.begin() + static_cast<long>(shown));
  return fmt::format(
      "{}{}", fmt::join(first, ", "),
      shown == names.size() ? "" : fmt::format(" and {} more", names.size() - shown));
}

/// A line for each stage that failed: the cell, the draw and the seed that met it first, the cause,
/// and all cells that cannot be finished without it.
std::string failures_text(SweepState& state) {
  std::map<std::string, std::vector<std::string>> stopped;  // cells, by key
  for (const PlanCell& cell : state.plan().cells) {
    if (state.cell(cell) == WorkState::failed) {
      for (const CellFailure& failure : state.failures(cell)) {
        stopped[failure.failure.key].push_back(cell.id);
      }
    }
  }
  std::string text;
  for (const Failure& failure : state.stages().failures()) {
    const std::vector<std::string>& cells = stopped[failure.key];
    text += fmt::format("failed: {} of {}: {}{}\n", failure.stage,
                        state.plan().user_of(failure.key), failure.cause,
                        cells.size() < 2 ? ""
                                         : fmt::format(" [{} cells cannot be finished without it: "
                                                       "{}]",
                                                       cells.size(), short_list(cells)));
  }
  return text;
}

nlohmann::json failures_json(SweepState& state) {
  nlohmann::json failures = nlohmann::json::array();
  for (const Failure& failure : state.stages().failures()) {
    failures.push_back({{"stage", failure.stage},
                        {"cell", state.plan().cell_of(failure.key)},
                        {"of", state.plan().user_of(failure.key)},
                        {"key", failure.key},
                        {"cause", failure.cause}});
  }
  return failures;
}

std::string axes_text(const SweepPlan& plan) {
  std::string text;
  for (const SweepPlan::AxisText& axis : plan.axes) {
    text += fmt::format("  {}: {}\n", axis.name, fmt::join(axis.labels, " | "));
  }
  if (!plan.select.empty()) {
    text += fmt::format("  search: {} draws in each cell, chosen by {}\n", plan.draws.size(),
                        plan.select);
  }
  return text;
}

}  // namespace

std::string summary_text(SweepState& state) {
  size_t uses = 0;
  for (const PlanCell& cell : state.plan().cells) {
    for (const size_t unit : state.units(cell)) {
      uses += state.plan().units[unit].stages.size();
    }
  }
  const std::set<std::string> keys = node_keys(state.needed());
  const size_t excluded = state.plan().excluded;
  return fmt::format("{}: {} cells{}; {} stages instead of {} without sharing; {} in the store\n",
                     state.plan().name, state.plan().cells.size(),
                     excluded > 0 ? fmt::format(" ({} excluded)", excluded) : "", keys.size(), uses,
                     count_done(state, keys));
}

std::string plan_text(SweepState& state, const SweepEstimate& estimate, int jobs) {
  using Align = TextTable::Align;
  TextTable table({{"stage"},
                   {"kind"},
                   {"asked for", Align::right},
                   {"different", Align::right},
                   {"in store", Align::right},
                   {"to do", Align::right},
                   {"estimate", Align::right}});
  add_levels(table, state, levels(state), node_keys(state.wanted()), estimate, "", 0);
  return fmt::format(
      "{}{}\n{}\nleft to do: about {} of work, about {} with {} at a time. Each cell on its own, "
      "one at a time: about {}\n(from the time of one gradient and one Hessian product of each "
      "kind of stage)\n",
      summary_text(state), axes_text(state.plan()), table.text(), format_duration(estimate.work),
      format_duration(estimate.wall), jobs, format_duration(estimate.without_sharing));
}

nlohmann::json plan_json(SweepState& state, const SweepEstimate& estimate, int jobs) {
  nlohmann::json stages = nlohmann::json::array();
  for (const PlanNode* node : state.needed()) {
    const auto seconds = estimate.seconds.find(node->key);
    stages.push_back(
        {{"key", node->key},
         {"stage", node->stage},
         {"kind", node->kind},
         {"parent", node->parent},
         {"state", to_string(state.stages().state(node->key))},
         {"estimated_seconds", seconds == estimate.seconds.end() ? 0.0 : seconds->second}});
  }
  nlohmann::json cells = nlohmann::json::array();
  for (const PlanCell& cell : state.plan().cells) {
    cells.push_back({{"id", cell.id}, {"axes", state.plan().labels(cell)}});
  }
  return {{"name", state.plan().name},
          {"cells", cells},
          {"draws", state.plan().draws},
          {"stages", stages},
          {"jobs", jobs},
          {"estimated_work_seconds", estimate.work},
          {"estimated_wall_seconds", estimate.wall},
          {"estimated_seconds_without_sharing", estimate.without_sharing},
          {"errors", estimate.errors}};
}

std::string cells_text(SweepState& state) {
  using Align = TextTable::Align;
  const SweepPlan& plan = state.plan();
  std::vector<TextTable::Column> columns;
  for (const SweepPlan::AxisText& axis : plan.axes) {
    columns.push_back({axis.name});
  }
  columns.push_back({"state"});
  for (const std::string& metric : plan.metrics) {
    columns.push_back({metric, Align::right});
  }
  TextTable table(columns);
  std::map<WorkState, size_t> counts;
  for (const PlanCell& cell : plan.cells) {
    const WorkState cell_state = state.cell(cell);
    ++counts[cell_state];
    std::vector<std::string> row;
    for (size_t i = 0; i < plan.axes.size(); ++i) {
      row.push_back(plan.axes[i].labels[cell.choices[i]]);
    }
    row.emplace_back(to_string(cell_state));
    const std::optional<RunResults> results = state.results(cell);
    for (const std::string& metric : plan.metrics) {
      const MetricResult* found = results ? results->find(metric) : nullptr;
      const bool not_finite = found != nullptr && !found->not_finite.empty();
      row.push_back(not_finite ? "not finite"
                               : metric_text(found == nullptr ? std::nullopt : found->mean));
    }
    table.add_row(std::move(row));
  }
  const std::string text = "\n" + table.text() + "\n" + failures_text(state);
  std::string summary;
  for (const auto& [one, count] : counts) {
    summary += fmt::format("{}{} {}", summary.empty() ? "" : ", ", count, to_string(one));
  }
  return text + fmt::format("{} cells: {}. Sweep folder: {}\n", plan.cells.size(), summary,
                            state.folder().string());
}

nlohmann::json cells_json(SweepState& state) {
  nlohmann::json cells = nlohmann::json::array();
  for (const PlanCell& cell : state.plan().cells) {
    nlohmann::json metrics = nlohmann::json::object();
    const std::optional<RunResults> results = state.results(cell);
    for (const std::string& metric : state.plan().metrics) {
      const MetricResult* found = results ? results->find(metric) : nullptr;
      metrics[metric] =
          found != nullptr && found->mean ? nlohmann::json(*found->mean) : nlohmann::json(nullptr);
      if (found != nullptr && !found->not_finite.empty()) {
        metrics[not_finite_key][metric] = found->not_finite;
      }
    }
    nlohmann::json failures = nlohmann::json::array();
    for (const CellFailure& failure : state.failures(cell)) {
      failures.push_back(failure_json(state.plan(), failure));
    }
    cells.push_back({{"id", cell.id},
                     {"axes", state.plan().labels(cell)},
                     {"seed", cell.seed},
                     {"state", to_string(state.cell(cell))},
                     {"failures", failures},
                     {"folder", state.cell_folder(cell).string()},
                     {"metrics", metrics}});
  }
  return {
      {"folder", state.folder().string()}, {"cells", cells}, {"failures", failures_json(state)}};
}

}  // namespace bissl::host
