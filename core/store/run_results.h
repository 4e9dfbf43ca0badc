#pragma once

#include "store/stage_results.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

/// Which draw of a cell's search was chosen.
struct SearchResults {
  std::string select;  ///< the metric
  /// Whether more was asked for; unset where the metric's own declaration decided.
  std::optional<bool> goal = std::nullopt;
  bool maximise = true;  ///< whether more was chosen
  std::string trials;    ///< see trials_hash
  size_t chosen = 0;
  std::map<std::string, std::string> values;  ///< what was drawn, by key
  std::vector<std::optional<double>> scores;  ///< by draw; none where it failed
};

/// What a run's folder says of the cell of a sweep that it is.
struct CellResults {
  std::string id;
  std::map<std::string, std::string> axes;  ///< label by axis
};

/// results.json of a run's folder.
struct RunResults {
  std::string pipeline;
  uint64_t seed = 0;
  std::map<std::string, StageResults> stages = {};  ///< by name
  std::optional<CellResults> cell = {};
  std::optional<SearchResults> search = {};

  /// The metric "STAGE.DATA.METRIC"; null if there is none.
  const MetricResult* find(const std::string& metric) const;
  /// A stage and those that it continues, parents first.
  std::vector<std::string> chain_of(const std::string& stage) const;

  nlohmann::json to_json() const;
  /// Throws Error(input) for what to_json, or that of an earlier version, did not write.
  static RunResults from_json(const nlohmann::json& json);
};

/// The results in a run's folder. Throws Error(input) if there are none that this program can read.
RunResults read_run_results(const std::filesystem::path& folder);

/// The same, and none where that throws.
std::optional<RunResults> run_results_if_there(const std::filesystem::path& folder);

}  // namespace bissl::host
