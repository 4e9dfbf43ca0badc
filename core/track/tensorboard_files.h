#pragma once

#include "track/runs.h"
#include "track/tensorboard_mirror.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace bissl::host {

/// The folder of TensorBoard's files within that of a run or of a sweep.
inline constexpr const char* tensorboard_folder = "tensorboard";

/// TensorBoard's files of runs:
///
///     RUN/tensorboard/STAGE/[PART/]events.out.tfevents.…           the numbers of each event log
///     SWEEP/tensorboard/CELL/STAGE/[PART/]events.out.tfevents.…    the same of a sweep's cells
///     SWEEP/tensorboard/CELL/events.out.tfevents.…                 a cell's axes and its metrics,
///                                                                  for the page "HParams"
///
/// Cells that share a stage have its numbers once, in the first of them.
class TensorboardFiles {
 public:
  /// With `to`, everything lies below that folder instead: TO/RUN/STAGE.
  explicit TensorboardFiles(std::filesystem::path to = {});

  struct Written {
    int64_t logs = 0;
    int64_t events = 0;
    std::vector<std::filesystem::path> folders = {};  ///< for TensorBoard's --logdir
  };
  /// Writes what the runs have more by now, and says what is there then. Throws Error(input) where
  /// a stage has the folder's name, Error(run) where a file cannot be written.
  Written update(const std::vector<TrackedRun>& runs);

 private:
  std::filesystem::path folder_of(const TrackedRun& run) const;
  std::filesystem::path top_of(const TrackedRun& run) const;

  std::filesystem::path to_;
  std::map<std::filesystem::path, TensorboardMirror> mirrors_;  ///< by folder and key
};

}  // namespace bissl::host
