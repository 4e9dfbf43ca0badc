#pragma once

#include "store/stage_results.h"

#include <nlohmann/json.hpp>

#include <chrono>
#include <filesystem>

namespace bissl::host {

/// Whether an earlier process left anything in a stage's folder that the next one builds on.
bool has_progress(const std::filesystem::path& folder);

/// The environments of the processes that worked on the stage in this folder, an array; empty where
/// nothing is left of them.
nlohmann::json environments_so_far(const std::filesystem::path& folder);

/// What went into a stage over all processes that worked on it: the seconds, and what each computed
/// with. Kept in the folder of the stage until it is published, so that the next process takes over
/// what an interrupted one did.
class WorkRecord {
 public:
  /// Begins, or continues what an earlier process left in the folder. Environments of processes of
  /// which nothing is left, no checkpoint and no finished repeat, are forgotten. Writes the file.
  /// The seconds of this process count from `begin`.
  WorkRecord(std::filesystem::path folder, nlohmann::json environment,
             std::chrono::steady_clock::time_point begin = std::chrono::steady_clock::now());

  /// To be called after each checkpoint.
  void save() const;
  /// Adds seconds and environments to the results.
  void add_to(StageResults& results) const;

 private:
  double seconds() const;

  std::filesystem::path file_;
  double before_ = 0;  ///< seconds up to the last checkpoint of an earlier process
  /// Of those who worked on the stage, one after the other; equal ones in a row count as one.
  nlohmann::json environments_ = nlohmann::json::array();
  std::chrono::steady_clock::time_point begin_;
};

}  // namespace bissl::host
