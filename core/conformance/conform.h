#pragma once

#include "conformance/report.h"

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace bissl::host {

struct ConformanceOptions {
  /// "component.parameter=value" or "parameter=value" (for all components that have it), the value
  /// as in TOML: needed where a parameter has no default.
  std::vector<std::string> values;
  /// The names of the components to try; empty: all.
  std::vector<std::string> components;
  /// The name of a backbone to try tasks with, of the library or of another; empty: a small
  /// one without abilities.
  std::string backbone;
  /// Where that is looked for after the library, as PluginSearch does.
  std::vector<std::string> plugin_paths;
  bool third_party = true;
  std::chrono::milliseconds limit = std::chrono::minutes(10);       ///< for the whole library
  std::chrono::milliseconds check_limit = std::chrono::minutes(1);  ///< for each check
};

/// Loads a library as the program does and compares each of its components with what the headers of
/// its kind promise, in child processes: a crash or a check that does not end is a failed check,
/// and the next component is tried in a new child. Throws Error(ErrorKind::input) for values that
/// no component of the library takes, and for names that none has, before anything is checked.
///
/// Threads: forks, so call it before this process starts threads.
ConformanceReport conform(const std::filesystem::path& library, const ConformanceOptions& options);

}  // namespace bissl::host
