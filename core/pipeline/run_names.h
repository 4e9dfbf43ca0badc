#pragma once

#include <string>

namespace bissl::host {

// Names in a run's folder. Links to the stages lie beside these files, under the stages' names.

inline constexpr const char* run_lock_file = "pipeline.lock.toml";
inline constexpr const char* run_results_file = "results.json";
inline constexpr const char* run_profile_folder = "profile";
// In it, with the stage's name before them:
inline constexpr const char* profile_text_ending = ".txt";
inline constexpr const char* profile_trace_ending = ".trace.json";

/// Whether the program gives the name to a file of a run's folder, or takes a folder that holds it
/// for another kind (a sweep's has plan.json). Upper and lower case count as equal, as they do for
/// some file systems.
bool is_run_file(const std::string& name);

}  // namespace bissl::host
