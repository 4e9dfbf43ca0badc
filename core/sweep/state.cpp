#include "sweep/state.h"

#include "base/json_text.h"
#include "bissl/error.h"
#include "pipeline/metric_name.h"
#include "stages/audit_artefact.h"
#include "store/run_folder.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

namespace bissl::host {

namespace fs = std::filesystem;

const char* to_string(WorkState state) {
  switch (state) {
    case WorkState::waiting:
      return "waiting";
    case WorkState::running:
      return "running";
    case WorkState::stale:
      return "stale";
    case WorkState::done:
      return "done";
    case WorkState::failed:
      return "failed";
  }
  return "";
}

SweepState::SweepState(const SweepPlan& plan, StageStore& store, fs::path folder)
    : plan_(plan), store_(store), files_(plan, std::move(folder)), attempts_(plan, files_) {}

WorkState SweepState::node(const std::string& key) {
  if (done_.count(key) != 0) {
    return WorkState::done;
  }
  if (store_.contains(key)) {
    done_.insert(key);
    return WorkState::done;
  }
  if (store_.is_running(key)) {
    return WorkState::running;
  }
  if (failure_above(key)) {
    return WorkState::failed;
  }
  return store_.is_begun(key) ? WorkState::stale : WorkState::waiting;
}

WorkState SweepState::cell(const PlanCell& cell) {
  std::set<WorkState> states;
  const std::vector<size_t> needed = open_units(cell);
  for (const size_t unit : needed) {
    const bool is_trial =
        std::find(cell.trials.begin(), cell.trials.end(), unit) != cell.trials.end();
    for (const auto& [stage, key] : plan_.units[unit].stages) {
      const WorkState state = node(key);
      // A draw that fails is one that is not chosen.
      states.insert(is_trial && state == WorkState::failed ? WorkState::done : state);
    }
  }
  if (!cell.unit && needed == cell.trials) {
    const auto settled = [&](size_t unit) { return is_settled(unit); };
    const bool chosen = selection(cell).has_value();
    const bool all = std::all_of(cell.trials.begin(), cell.trials.end(), settled);
    states.insert(chosen ? WorkState::done : all ? WorkState::failed : WorkState::waiting);
  }
  for (const WorkState state : {WorkState::failed, WorkState::running, WorkState::stale}) {
    if (states.count(state) != 0) {
      return state;
    }
  }
  return states.count(WorkState::waiting) == 0 && has_results(cell) ? WorkState::done
                                                                    : WorkState::waiting;
}

bool SweepState::has_results(const PlanCell& cell) {
  if (with_results_.count(cell.id) == 0 && files_.results(cell)) {
    with_results_.insert(cell.id);
  }
  return with_results_.count(cell.id) != 0;
}

bool SweepState::is_done(const PlanCell& cell) {
  std::optional<size_t> unit = cell.unit;
  if (!unit) {
    const std::optional<Selection> chosen = selection(cell);
    if (!chosen) {
      return false;
    }
    unit = cell.finals.at(chosen->draw);
  }
  const auto& stages = plan_.units[*unit].stages;
  return std::all_of(stages.begin(), stages.end(),
                     [&](const auto& stage) { return node(stage.second) == WorkState::done; });
}

std::vector<size_t> SweepState::units(const PlanCell& cell) {
  if (cell.unit) {
    return {*cell.unit};
  }
  std::vector<size_t> needed = cell.trials;
  if (const std::optional<Selection> chosen = selection(cell)) {
    const size_t final = cell.finals.at(chosen->draw);
    if (std::find(needed.begin(), needed.end(), final) == needed.end()) {
      needed.push_back(final);
    }
  }
  return needed;
}

/// Those whose stages decide about the cell's state: with results, the chosen draw's alone.
std::vector<size_t> SweepState::open_units(const PlanCell& cell) {
  if (!cell.unit && has_results(cell)) {
    if (const std::optional<Selection> chosen = selection(cell)) {
      return {cell.finals.at(chosen->draw)};
    }
  }
  return units(cell);
}

std::vector<const PlanNode*> SweepState::wanted() {
  return nodes_of([this](const PlanCell& cell) { return open_units(cell); });
}

std::vector<const PlanNode*> SweepState::needed() {
  return nodes_of([this](const PlanCell& cell) { return units(cell); });
}

std::vector<const PlanNode*> SweepState::nodes_of(
    const std::function<std::vector<size_t>(const PlanCell&)>& units) const {
  std::set<std::string> keys;
  for (const PlanCell& cell : plan_.cells) {
    for (const size_t unit : units(cell)) {
      for (const auto& [stage, key] : plan_.units[unit].stages) {
        keys.insert(key);
      }
    }
  }
  std::vector<const PlanNode*> nodes;
  for (const PlanNode& node : plan_.nodes) {
    if (keys.count(node.key) != 0) {
      nodes.push_back(&node);
    }
  }
  return nodes;
}

bool SweepState::is_settled(size_t unit) {
  const auto& stages = plan_.units[unit].stages;
  return std::all_of(stages.begin(), stages.end(), [&](const auto& stage) {
    const WorkState state = node(stage.second);
    return state == WorkState::done || state == WorkState::failed;
  });
}

std::optional<MetricResult> SweepState::trial_score(const PlanUnit& unit) {
  const std::optional<MetricName> select = parse_metric(plan_.select);
  std::optional<MetricResult> score;
  for (const auto& [stage, key] : unit.stages) {
    if (node(key) != WorkState::done) {
      return std::nullopt;
    }
    if (!select || select->stage != stage) {
      continue;
    }
    const std::optional<fs::path> folder = store_.find(key);
    if (!folder) {
      forget_done(key);  // it is damaged
      return std::nullopt;
    }
    const StageResults results = read_stage_results(*folder);
    if (const MetricResult* found = results.find(select->data, select->metric)) {
      score = *found;
    }
  }
  return score && score->mean ? score : std::nullopt;
}

/// Whether more of the search's metric is better.
bool SweepState::maximises(const MetricResult& score) const {
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

std::optional<Selection> SweepState::selection(const PlanCell& cell) {
  const auto known = selections_.find(cell.id);
  if (known != selections_.end()) {
    return known->second;
  }
  if (std::optional<Selection> recorded = recorded_selection(cell)) {
    return selections_[cell.id] = std::move(recorded);
  }
  for (const size_t unit : cell.trials) {
    if (!is_settled(unit)) {
      return std::nullopt;
    }
  }
  Selection selection;
  std::optional<double> best;
  for (size_t draw = 0; draw < cell.trials.size(); ++draw) {
    const std::optional<MetricResult> result = trial_score(plan_.units[cell.trials[draw]]);
    if (!is_settled(cell.trials[draw])) {
      return std::nullopt;
    }
    const std::optional<double> score = result ? result->mean : std::nullopt;
    selection.scores.push_back(score);
    if (!score) {
      continue;
    }
    selection.maximise = maximises(*result);
    if (!best || (selection.maximise ? *score > *best : *score < *best)) {
      best = score;
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
std::optional<Selection> SweepState::recorded_selection(const PlanCell& cell) {
  const std::optional<RunResults> results = files_.results(cell);
  if (!results) {
    return std::nullopt;
  }
  const SearchResults& search = *results->search;
  return Selection{.draw = search.chosen, .maximise = search.maximise, .scores = search.scores};
}

void SweepState::record_failure(const Failure& failure) { files_.record(failure); }

std::optional<Failure> SweepState::failure(const std::string& key) const {
  return files_.failure(key);
}

std::vector<CellFailure> SweepState::failures(const PlanCell& cell) {
  return files_.failures(
      cell, {.is_done = [this](const std::string& key) { return node(key) == WorkState::done; },
             .has_score = [this](const PlanUnit& unit) { return trial_score(unit).has_value(); }});
}

std::optional<Failure> SweepState::failure_above(const std::string& key) const {
  for (std::string at = key; !at.empty(); at = plan_.node(at).parent) {
    if (done_.count(at) != 0) {
      return std::nullopt;
    }
    if (std::optional<Failure> found = failure(at)) {
      return found;
    }
  }
  return std::nullopt;
}

std::vector<Failure> SweepState::failures() const {
  std::vector<Failure> found;
  for (const PlanNode& node : plan_.nodes) {
    if (done_.count(node.key) == 0) {
      if (std::optional<Failure> one = failure(node.key)) {
        found.push_back(std::move(*one));
      }
    }
  }
  return found;
}

void SweepState::forget_failures() {
  for (const PlanNode* node : wanted()) {
    for (const char* what : {"failed", "attempts", "end"}) {
      ::unlink(files_.state_file(node->key, what).c_str());
    }
  }
  selections_.clear();  // a draw that failed counts again
}

void SweepState::remove_stale_cells(bool foreign) {
  std::map<std::string, const PlanCell*> cells;
  for (const PlanCell& cell : plan_.cells) {
    cells[cell.id] = &cell;
  }
  std::vector<fs::path> doomed;
  std::error_code ignored;
  for (fs::directory_iterator item(folder() / "cells", ignored), end; item != end;
       item.increment(ignored)) {
    const auto cell = cells.find(item->path().filename().string());
    if (cell == cells.end() ? foreign : !has_results(*cell->second)) {
      doomed.push_back(item->path());
    }
  }
  for (const fs::path& cell : doomed) {
    RunFolder::clear(cell);
  }
}

double SweepState::seconds_of(const std::string& key) {
  const std::optional<fs::path> folder = store_.find(key);
  return folder ? read_stage_results(*folder).seconds : 0.0;
}

bool SweepState::write_cell(const PlanCell& cell) {
  if (written_.count(cell.id) != 0) {
    return true;
  }
  const std::optional<Selection> chosen = cell.unit ? std::nullopt : selection(cell);
  const PlanUnit& unit = plan_.units[cell.unit ? *cell.unit : cell.finals[chosen->draw]];
  RunResults results{
      .pipeline = plan_.name, .seed = cell.seed, .cell = CellResults{cell.id, plan_.labels(cell)}};
  std::map<std::string, fs::path> folders;
  for (const auto& [stage, key] : unit.stages) {
    const std::optional<fs::path> folder = store_.find(key);
    if (!folder) {
      forget_done(key);
      return false;
    }
    folders[stage] = *folder;
    StageResults& of_stage = results.stages[stage];
    of_stage = read_stage_results(*folder);
    of_stage.key = key;
    const auto audit = unit.audits.find(stage);
    if (audit != unit.audits.end()) {
      if (const std::optional<fs::path> found = store_.find(audit->second)) {
        of_stage.details["solves"]["audit"] = read_audit(*found);
      }
    }
    const std::string& parent = plan_.node(key).parent;
    const auto from = std::find_if(unit.stages.begin(), unit.stages.end(),
                                   [&](const auto& other) { return other.second == parent; });
    of_stage.from = from == unit.stages.end() ? "" : from->first;
  }
  if (chosen) {
    results.search = {.select = plan_.select,
                      .goal = plan_.select_maximise,
                      .maximise = chosen->maximise,
                      .trials = trials_hash(plan_, cell),
                      .chosen = chosen->draw,
                      .values = plan_.draws.at(chosen->draw),
                      .scores = chosen->scores};
  }
  const std::optional<RunResults> written = run_results_if_there(cell_folder(cell));
  if (!written || json_text(written->to_json()) != json_text(results.to_json())) {
    const RunFolder run(folder() / "cells", cell.id);
    run.keep_only({unit.stages.begin(), unit.stages.end()});
    run.write_lock(unit.lock);
    for (const auto& [stage, folder] : folders) {
      run.link_stage(stage, folder);
    }
    run.write_results(results);
  }
  written_.insert(cell.id);
  with_results_.insert(cell.id);
  return true;
}

std::chrono::nanoseconds pause_after(std::chrono::nanoseconds look) {
  return std::max<std::chrono::nanoseconds>(std::chrono::milliseconds(200), 10 * look);
}

}  // namespace bissl::host
