#pragma once

#include "report/report.h"
#include "store/difference.h"

#include <filesystem>
#include <string>
#include <vector>

namespace bissl {

/// What differs between two runs or cells.
struct RunDifference {
  /// Of pipeline.lock.toml by dotted key: settings, versions of libraries, fingerprints of data.
  std::vector<Difference> configuration;
  std::vector<std::string> same_stages;  ///< computed once for both: their keys are equal
  /// Metrics: "stage.data.metric" with the means of both; null where one side has none, and
  /// a text, the reason, where one is not finite.
  std::vector<Difference> results;
};

/// Reads two run folders. Throws Error(input) for a folder that is none.
RunDifference compare_runs(const std::filesystem::path& left, const std::filesystem::path& right);

/// The differences as tables; `left` and `right` name the columns.
std::vector<ReportTable> difference_tables(const RunDifference& difference, const std::string& left,
                                           const std::string& right);

}  // namespace bissl
