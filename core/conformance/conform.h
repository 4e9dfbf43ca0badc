#pragma once

#include "conformance/report.h"

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace bissl {

struct ConformanceOptions {
  /// "component.parameter=value" or "parameter=value" (for all components that have it), the value
  /// as in TOML: for parameters without a default.
  std::vector<std::string> values;
  /// Names of pretext tasks whose losses hold targets fixed on purpose (stop-gradient): their
  /// gradients are not compared with differences of losses.
  std::vector<std::string> fixed_targets;
  std::chrono::milliseconds limit = std::chrono::minutes(10);  ///< for the whole library
};

/// Loads a library as the program does and holds each of its components against what the headers of
/// its kind promise, in child processes: a crash is a failed check, and the next component is tried
/// in a new child. Throws Error(ErrorKind::input) for options that are none.
///
/// Threads: forks, so call it before this process starts threads.
ConformanceReport conform(const std::filesystem::path& library, const ConformanceOptions& options);

}  // namespace bissl
