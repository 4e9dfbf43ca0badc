#pragma once

#include "store/stage_store.h"
#include "store/sweep_folder.h"
#include "sweep/attempts.h"
#include "sweep/plan.h"

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

enum class WorkState {
  waiting,
  running,
  stale,  ///< begun, and whoever worked on it is gone
  done,
  failed
};

const char* to_string(WorkState state);

/// Which draw of a cell's search was chosen.
struct Selection {
  size_t draw = 0;
  bool maximise = true;                       ///< whether it has the highest score
  std::vector<std::optional<double>> scores;  ///< by draw; none where it failed
};

/// A sweep's folder, seen by one process: what is done, what is left, what failed. Everything is
/// read from files that others write at the same time, so nothing here can be lost with a process:
/// those of SweepFolder and Attempts, and the store. For one thread.
class SweepState {
 public:
  SweepState(const SweepPlan& plan, StageStore& store, std::filesystem::path folder);
  SweepState(const SweepState&) = delete;
  SweepState& operator=(const SweepState&) = delete;

  const std::filesystem::path& folder() const { return files_.path(); }
  const SweepPlan& plan() const { return plan_; }

  WorkState node(const std::string& key);
  /// Done is a cell whose stages are finished and whose results, as the plan wants them, are in its
  /// folder, where a report finds them.
  WorkState cell(const PlanCell& cell);
  /// Whether all that the cell needs is done: as cell(), but without looking further than the first
  /// thing that is not.
  bool is_done(const PlanCell& cell);
  /// The stages that are to be run as far as is known now: a search's final ones come in when its
  /// draw is chosen, and its trials are out when the cell has its results. In the plan's order.
  std::vector<const PlanNode*> wanted();
  /// The same with the trials of searches that have ended.
  std::vector<const PlanNode*> needed();
  /// The units of a cell that are known to be needed.
  std::vector<size_t> units(const PlanCell& cell);
  /// The draw of a cell's search, once all of its trials are done or have failed. None before, and
  /// if all failed.
  std::optional<Selection> selection(const PlanCell& cell);

  void record_failure(const Failure& failure);
  std::optional<Failure> failure(const std::string& key) const;
  /// The failure of the stage or of one that it continues.
  std::optional<Failure> failure_above(const std::string& key) const;
  std::vector<Failure> failures() const;
  /// What failed of a cell, each draw by itself.
  std::vector<CellFailure> failures(const PlanCell& cell);
  /// For a new start: what failed is tried again, but for draws of searches that have ended.
  void forget_failures();
  /// For a new plan: removes what an earlier one left in the folders of this plan's cells and, if
  /// `foreign`, in all others.
  void remove_stale_cells(bool foreign);

  Attempts& attempts() { return attempts_; }

  /// The seconds that went into a finished stage; 0 if it is gone.
  double seconds_of(const std::string& key);

  /// Forgets that a stage was seen finished: it was found damaged.
  void forget_done(const std::string& key) { done_.erase(key); }

  /// Writes the run folder of a cell whose stages are done, if it is not there. Whether all is
  /// there now: a stage that turns out damaged is forgotten and has to be computed again.
  bool write_cell(const PlanCell& cell);
  /// Whether this object has written the cell's run folder or found it as it should be.
  bool is_written(const PlanCell& cell) const { return written_.count(cell.id) != 0; }
  /// The cell's results, if they are those that the plan wants: see is_result_of.
  std::optional<RunResults> results(const PlanCell& cell) const { return files_.results(cell); }
  std::filesystem::path cell_folder(const PlanCell& cell) const { return files_.cell_folder(cell); }

 private:
  /// What the trial was scored by; none if it failed or has no finite mean.
  std::optional<MetricResult> trial_score(const PlanUnit& unit);
  bool maximises(const MetricResult& score) const;
  bool is_settled(size_t unit);
  bool has_results(const PlanCell& cell);
  std::vector<size_t> open_units(const PlanCell& cell);
  std::vector<const PlanNode*> nodes_of(
      const std::function<std::vector<size_t>(const PlanCell&)>& units) const;
  std::optional<Selection> recorded_selection(const PlanCell& cell);

  const SweepPlan& plan_;
  StageStore& store_;
  SweepFolder files_;
  Attempts attempts_;
  std::set<std::string> done_;
  std::map<std::string, std::optional<Selection>> selections_;  ///< by cell; settled ones only
  std::set<std::string> with_results_;                          ///< cells
  std::set<std::string> written_;                               ///< cells
};

/// How long to wait between two looks at a sweep whose last one took so long: a large sweep must
/// not spend its time on looking.
std::chrono::nanoseconds pause_after(std::chrono::nanoseconds look);

}  // namespace bissl::host
