#pragma once

#include "store/run_results.h"

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

/// An event log of a stage of a run.
struct RunLog {
  std::string stage;
  std::string
      part;         ///< of a stage with several logs, the folder within it ("repeat-0"); else empty
  std::string key;  ///< of the stage
  bool finished = false;
  std::filesystem::path file;

  /// "STAGE" or "STAGE/PART".
  std::string name() const { return part.empty() ? stage : stage + "/" + part; }
};

/// A run, or a cell of a sweep, as it is now: it may not have begun, or may be computed by another
/// process.
struct TrackedRun {
  std::string name;  ///< the folder as it was given, or its way from there; different for each run
  std::filesystem::path folder;      ///< of a cell that has no results, where it will be
  std::filesystem::path sweep = {};  ///< the sweep's folder, of a cell
  std::map<std::string, std::string> axes = {};  ///< of a cell: label by axis
  std::string setting = {};  ///< of a cell: equal for those that differ in the seed alone
  std::vector<RunLog> logs;  ///< those that are there, in the order of the stages
  std::optional<RunResults> results = {};
};

/// The runs in these folders: each is a run's folder, a sweep's, whose cells are taken, or one that
/// holds such folders. Throws Error(input) for a folder that is not there or that has none of them.
std::vector<TrackedRun> find_runs(const std::vector<std::filesystem::path>& folders);

}  // namespace bissl::host
