#include "sweep/state.h"

#include "base/json_text.h"
#include "stages/audit_artefact.h"
#include "stages/chosen_values.h"
#include "store/run_folder.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

namespace bissl::host {

namespace fs = std::filesystem;

SweepState::SweepState(const SweepPlan& plan, StageStore& store, fs::path folder)
    : plan_(plan),
      store_(store),
      files_(plan, std::move(folder)),
      attempts_(plan, files_),
      stages_(plan, store, files_),
      draws_(plan, store, files_, stages_) {}

WorkState SweepState::cell(const PlanCell& cell) {
  if (has_results(cell)) {
    return WorkState::done;  // as for a report, whatever the store lacks
  }
  std::set<WorkState> states;
  const std::vector<size_t> needed = units(cell);
  for (size_t i = 0; i < needed.size(); ++i) {
    const bool is_trial = i < cell.trials.size();  // they come first
    for (const auto& [stage, key] : plan_.units[needed[i]].stages) {
      const WorkState state = stages_.state(key);
      // A draw that fails is one that is not chosen.
      states.insert(is_trial && state == WorkState::failed ? WorkState::done : state);
    }
  }
  if (!cell.unit && needed == cell.trials) {
    const auto settled = [&](size_t unit) { return draws_.is_settled(unit); };
    const bool chosen = selection(cell).has_value();
    const bool all = std::all_of(cell.trials.begin(), cell.trials.end(), settled);
    states.insert(!chosen && all ? WorkState::failed : WorkState::waiting);
  }
  for (const WorkState state : {WorkState::failed, WorkState::running, WorkState::stale}) {
    if (states.count(state) != 0) {
      return state;
    }
  }
  return WorkState::waiting;
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
  return std::all_of(stages.begin(), stages.end(), [&](const auto& stage) {
    return stages_.state(stage.second) == WorkState::done;
  });
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

std::vector<CellFailure> SweepState::failures(const PlanCell& cell) {
  return files_.failures(
      cell,
      {.is_done = [this](const std::string& key) { return stages_.state(key) == WorkState::done; },
       .has_score = [this](const PlanUnit& unit) { return draws_.score(unit).has_value(); }});
}

void SweepState::forget_failures() {
  for (const PlanNode* node : wanted()) {
    for (const char* what : {"failed", "attempts", "end"}) {
      ::unlink(files_.state_file(node->key, what).c_str());
    }
  }
  draws_.forget();  // a draw that failed counts again
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
    if (!item->is_directory(ignored)) {
      continue;  // no cell, and not from a sweep
    }
    const auto cell = cells.find(item->path().filename().string());
    if (cell == cells.end() ? foreign : !has_results(*cell->second)) {
      doomed.push_back(item->path());
    }
  }
  for (const fs::path& cell : doomed) {
    RunFolder::clear(cell);
  }
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
      stages_.forget_done(key);
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
    run.write_lock(with_chosen_values(unit.lock, results));
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
