#include "sweep/draw_chooser.h"

#include "bissl/error.h"
#include "pipeline/metric_name.h"

#include <algorithm>

namespace bissl::host {

bool DrawChooser::is_settled(size_t unit) {
  const auto& stages = plan_.units[unit].stages;
  return std::all_of(stages.begin(), stages.end(), [&](const auto& stage) {
    const WorkState state = stages_.state(stage.second);
    return state == WorkState::done || state == WorkState::failed;
  });
}

std::optional<MetricResult> DrawChooser::score(const PlanUnit& unit) {
  const std::optional<MetricName> select = parse_metric(plan_.select);
  std::optional<MetricResult> found;
  for (const auto& [stage, key] : unit.stages) {
    if (stages_.state(key) != WorkState::done) {
      return std::nullopt;
    }
    if (!select || select->stage != stage) {
      continue;
    }
    const std::optional<std::filesystem::path> folder = store_.find(key);
    if (!folder) {
      stages_.forget_done(key);  // it is damaged
      return std::nullopt;
    }
    const StageResults results = read_stage_results(*folder);
    if (const MetricResult* metric = results.find(select->data, select->metric)) {
      found = *metric;
    }
  }
  return found && found->mean ? found : std::nullopt;
}

/// Whether more of the search's metric is better.
bool DrawChooser::maximises(const MetricResult& score) const {
  const std::optional<bool> goal =
      plan_.select_maximise ? plan_.select_maximise : score.higher_is_better;
  if (!goal) {
    fail_run(
        "the results of a draw do not say whether more of {} is better: an earlier version of the "
        "program wrote them. Give search.goal",
        plan_.select);
  }
  return *goal;
}

std::optional<Selection> DrawChooser::selection(const PlanCell& cell) {
  const auto known = selections_.find(cell.id);
  if (known != selections_.end()) {
    return known->second;
  }
  if (std::optional<Selection> before = recorded(cell)) {
    return selections_[cell.id] = std::move(before);
  }
  for (const size_t unit : cell.trials) {
    if (!is_settled(unit)) {
      return std::nullopt;
    }
  }
  Selection selection;
  std::optional<double> best;
  for (size_t draw = 0; draw < cell.trials.size(); ++draw) {
    const std::optional<MetricResult> result = score(plan_.units[cell.trials[draw]]);
    if (!is_settled(cell.trials[draw])) {
      return std::nullopt;
    }
    const std::optional<double> mean = result ? result->mean : std::nullopt;
    selection.scores.push_back(mean);
    if (!mean) {
      continue;
    }
    selection.maximise = maximises(*result);
    if (!best || (selection.maximise ? *mean > *best : *mean < *best)) {
      best = mean;
      selection.draw = draw;
    }
  }
  const std::optional<Selection> result = best ? std::optional(selection) : std::nullopt;
  if (result) {
    selections_[cell.id] = result;
  }
  return result;
}

/// What was chosen when the cell's results were written.
std::optional<Selection> DrawChooser::recorded(const PlanCell& cell) {
  const std::optional<RunResults> results = files_.results(cell);
  if (!results) {
    return std::nullopt;
  }
  const SearchResults& search = *results->search;
  return Selection{.draw = search.chosen, .maximise = search.maximise, .scores = search.scores};
}

}  // namespace bissl::host
