#pragma once

#include "base/difference.h"
#include "report/report.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace bissl::host {

/// What differs between two runs or cells.
struct RunDifference {
  /// Of pipeline.lock.toml by dotted key: settings, versions of libraries, fingerprints of data.
  std::vector<Difference> configuration;
  /// Stages whose keys are equal: in one store they were computed once for both.
  std::vector<std::string> same_stages;
  /// What stages of one name were computed with (computing_environment), where that differs; the
  /// path begins with the stage. "not recorded" is on the side of a stage without a record.
  std::vector<Difference> environments;
  /// The same of each stage that is equal on both sides, in a line.
  std::vector<std::pair<std::string, std::string>> common_environments;
  /// Metrics: "stage.data.metric" with the means of both; null where one side has none, and
  /// a text, the reason, where one is not finite.
  std::vector<Difference> results;
};

/// Whether a metric is not the same on both sides.
bool results_differ(const RunDifference& difference);

/// What pipeline.lock.toml of a run's folder holds. Throws Error(input) for a folder that has none.
nlohmann::json read_lock(const std::filesystem::path& folder);

/// The same of such a text; `name` is that of the file it is from. Throws Error(input).
nlohmann::json parse_lock(const std::string& text, const std::string& name);

/// Reads two run folders. Throws Error(input) for a folder that is none.
RunDifference compare_runs(const std::filesystem::path& left, const std::filesystem::path& right);

/// The differences as tables: of the configuration, of the environments, of the results; `left` and
/// `right` name the columns.
std::vector<ReportTable> difference_tables(const RunDifference& difference, const std::string& left,
                                           const std::string& right);

}  // namespace bissl::host
