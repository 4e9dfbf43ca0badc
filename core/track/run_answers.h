#pragma once

#include "track/runs.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace bissl::host {

// What `bissl serve` answers. All of it is found by looking at the folders anew.

/// A list of runs: name, state ("waiting", "running", "done", where "running" is what has a stage
/// that is neither finished nor the last one's), whether there is a report of it, metrics, logs
/// with their sizes.
nlohmann::json runs_answer(const std::vector<TrackedRun>& runs);

/// Events of a log from `position` on, as read_events() gives them: numbers that are not finite are
/// null. Throws Error(input) if no run or log has the name.
nlohmann::json events_answer(const std::vector<TrackedRun>& runs, const std::string& run,
                             const std::string& log, uint64_t position);

/// The page of `bissl report` for these runs; for the only one that is a cell's, of its sweep.
/// Throws Error(input) for runs without results.
std::string report_answer(const std::vector<TrackedRun>& runs,
                          const std::vector<std::string>& names);

}  // namespace bissl::host
