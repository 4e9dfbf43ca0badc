#pragma once

#include "store/run_results.h"
#include "store/sweep_plan.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

/// Why a stage of a sweep failed.
struct Failure {
  std::string key;
  std::string stage;
  std::string cell;    ///< a cell that needs it
  std::string cause;   ///< never empty
  bool input = false;  ///< the cause is in the input, not in the run
};

/// A failed stage as one cell, or one draw of its search, meets it.
struct CellFailure {
  Failure failure;
  std::optional<size_t> draw;         ///< of the cell's search; none if it concerns all draws
  std::vector<std::string> children;  ///< the cell's stages that continue the one that failed
};

/// Whether the results in a cell's folder are what this cell of the plan asks for: its stages
/// have the plan's names and keys and, with a search, the draw was chosen among the plan's draws by
/// the plan's metric, of which it has the best value. Everything that shows results of a sweep asks
/// this first: what an earlier plan left in the folder never counts.
bool is_result_of(const RunResults& results, const SweepPlan& plan, const PlanCell& cell);

/// A hash of the keys of all draws of a cell's search, for `search.trials` of its results.json.
std::string trials_hash(const SweepPlan& plan, const PlanCell& cell);

/// What the files of a sweep's folder say about its plan:
///
///     <folder>/plan.json               what to do
///     <folder>/state/<key>.failed      why a stage failed
///     <folder>/cells/<id>/             a run folder for each cell whose stages are done
///
/// Other processes may write them at the same time. The plan must outlive the object.
class SweepFolder {
 public:
  SweepFolder(const SweepPlan& plan, std::filesystem::path folder);

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path cell_folder(const PlanCell& cell) const;
  std::filesystem::path state_file(const std::string& key, const char* what) const;

  /// The results in the cell's folder, if is_result_of() the plan's cell.
  std::optional<RunResults> results(const PlanCell& cell) const;

  /// Why a stage failed, if it did.
  std::optional<Failure> failure(const std::string& key) const;
  void record(const Failure& failure) const;

  /// How far stages have got, for failures().
  struct Progress {
    /// Whether the stage of a key is finished by now: then an old failure does not count.
    std::function<bool(const std::string& key)> is_done;
    /// Whether a draw that was run has the score by which one is chosen.
    std::function<bool(const PlanUnit& unit)> has_score;
  };

  /// What failed of a cell, each draw by itself. While the cell has no results, a draw without a
  /// score is among it.
  std::vector<CellFailure> failures(const PlanCell& cell, const Progress& progress) const;

 private:
  std::optional<CellFailure> failure_of_unit(
      const PlanUnit& unit, const std::function<bool(const std::string&)>& is_done) const;
  void add_unscored(const PlanCell& cell, const Progress& progress,
                    std::vector<CellFailure>& failures) const;

  const SweepPlan& plan_;
  std::filesystem::path path_;
};

/// "ft failed (seed 0; draw 3: stage.ft.batch = 50): the cause (needed by probe)". Of the cell
/// only what its name does not show.
std::string failure_text(const SweepPlan& plan, const PlanCell& cell, const CellFailure& failure);

/// The same for programs: stage, key, cause, draw with what was drawn, the stages that it stops.
nlohmann::json failure_json(const SweepPlan& plan, const CellFailure& failure);

}  // namespace bissl::host
