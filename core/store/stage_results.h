#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

/// What one metric was on one data source, for all networks of a stage that were scored.
struct MetricResult {
  std::string data;
  std::string metric;
  /// Whether more of it is better. Not known of results that an earlier version wrote.
  std::optional<bool> higher_is_better;
  std::vector<double> values = {};       ///< by repeat; as they are, finite or not
  std::optional<double> mean = {};       ///< none where a network has no finite value
  std::optional<double> deviation = {};  ///< of a sample; 0 for one network
  std::string not_finite = {};           ///< why there is no mean: "inf in repeat 0"

  /// "DATA.METRIC", spelled as in MetricName.
  std::string name() const;
};

/// A metric with mean and deviation of its values, of which there must be one at least.
MetricResult summarised(MetricResult metric);

/// The results of a stage: results.json of its folder, and its part of a run's results.json.
struct StageResults {
  std::string kind;
  int64_t repeats = 0;                ///< networks that it trained or scored side by side; 0: one
  std::vector<MetricResult> metrics;  ///< by data source and name
  std::vector<std::string> logs;      ///< its event logs, relative to its folder
  std::vector<std::string> losses;    ///< names of losses in their lines
  /// What only its kind has: "steps", "images", "solves". An object; no name is one of those above.
  nlohmann::json details = nlohmann::json::object();
  /// Whether its metrics describe what a network has learnt, many figures that have a section of
  /// their own in reports, and score no training.
  bool describes = false;

  double seconds = 0;
  double peak_memory_bytes = 0;                           ///< 0 if it was not recorded
  nlohmann::json environments = nlohmann::json::array();  ///< what computed it, one after the other

  // In a run's results.
  std::string key;
  std::string from;  ///< the stage that it continues; empty for none

  /// Null if there is none.
  const MetricResult* find(const std::string& data, const std::string& metric) const;

  nlohmann::json to_json() const;
  /// Reads what to_json writes, and what versions before `format` wrote. Throws Error(input).
  static StageResults from_json(const nlohmann::json& json);
};

inline constexpr const char* stage_results_file = "results.json";

/// Results of a finished stage, by its folder in the store. Throws Error(input).
StageResults read_stage_results(const std::filesystem::path& folder);
void write_stage_results(const std::filesystem::path& folder, const StageResults& results);

}  // namespace bissl::host
