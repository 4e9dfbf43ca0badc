#pragma once

#include "store/stage_store.h"
#include "store/sweep_folder.h"
#include "sweep/attempts.h"
#include "sweep/draw_chooser.h"
#include "sweep/plan.h"
#include "sweep/stage_states.h"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace bissl::host {

/// A sweep, seen by one process: its stages, the draws of its searches, its cells. Everything is
/// read from files that others write at the same time, so nothing here can be lost with a process:
/// those of SweepFolder and Attempts, and the store. For one thread.
class SweepState {
 public:
  SweepState(const SweepPlan& plan, StageStore& store, std::filesystem::path folder);
  SweepState(const SweepState&) = delete;
  SweepState& operator=(const SweepState&) = delete;

  const std::filesystem::path& folder() const { return files_.path(); }
  const SweepPlan& plan() const { return plan_; }

  StageStates& stages() { return stages_; }
  const StageStates& stages() const { return stages_; }
  Attempts& attempts() { return attempts_; }

  /// Done is a cell whose results, as the plan wants them, are in its folder, where a report finds
  /// them: also one of whose stages the store lacks some, which a run computes again.
  WorkState cell(const PlanCell& cell);
  /// Whether the store has all stages of which the cell's results are made.
  bool is_done(const PlanCell& cell);
  /// The stages that are to be run as far as is known now: a search's final ones come in when its
  /// draw is chosen, and its trials are out when the cell has its results. In the plan's order.
  std::vector<const PlanNode*> wanted();
  /// The same with the trials of searches that have ended.
  std::vector<const PlanNode*> needed();
  /// The units of a cell that are known to be needed.
  std::vector<size_t> units(const PlanCell& cell);
  /// See DrawChooser.
  std::optional<Selection> selection(const PlanCell& cell) { return draws_.selection(cell); }

  /// What failed of a cell, each draw by itself.
  std::vector<CellFailure> failures(const PlanCell& cell);
  /// For a new start: what failed is tried again, but for draws of searches that have ended.
  void forget_failures();
  /// For a new plan: removes what an earlier one left in the folders of this plan's cells and, if
  /// `foreign`, in all others.
  void remove_stale_cells(bool foreign);

  /// Writes the run folder of a cell whose stages are done, if it is not there. Whether all is
  /// there now: a stage that turns out damaged is forgotten and has to be computed again.
  bool write_cell(const PlanCell& cell);
  /// Whether this object has written the cell's run folder or found it as it should be.
  bool is_written(const PlanCell& cell) const { return written_.count(cell.id) != 0; }
  /// The cell's results, if they are those that the plan wants: see is_result_of.
  std::optional<RunResults> results(const PlanCell& cell) const { return files_.results(cell); }
  std::filesystem::path cell_folder(const PlanCell& cell) const { return files_.cell_folder(cell); }

 private:
  bool has_results(const PlanCell& cell);
  std::vector<size_t> open_units(const PlanCell& cell);
  std::vector<const PlanNode*> nodes_of(
      const std::function<std::vector<size_t>(const PlanCell&)>& units) const;

  const SweepPlan& plan_;
  StageStore& store_;
  SweepFolder files_;
  Attempts attempts_;
  StageStates stages_;
  DrawChooser draws_;
  std::set<std::string> with_results_;  ///< cells
  std::set<std::string> written_;       ///< cells
};

/// How long to wait between two looks at a sweep whose last one took so long: a large sweep must
/// not spend its time on looking.
std::chrono::nanoseconds pause_after(std::chrono::nanoseconds look);

}  // namespace bissl::host
