#include "stages/source_names.h"

#include "base/json_file.h"
#include "stages/stage_kind.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace bissl::host {
namespace {

constexpr const char* sources_key = "sources";

/// In an order that depends on the stage's key alone.
std::vector<std::string> scored_sources(const Stage& stage) {
  std::vector<std::string> names;
  for (const DataUse& use : stage_kind(stage.kind).data(stage)) {
    if (use.scores) {
      names.push_back(use.name);
    }
  }
  return names;
}

}  // namespace

void note_sources(const Stage& stage, StageResults& results) {
  const std::vector<std::string> names = scored_sources(stage);
  if (!names.empty()) {
    results.details[sources_key] = names;
  }
}

StageResults results_by_names_of(const Stage& stage, const std::filesystem::path& folder) {
  StageResults results = read_stage_results(folder);
  const nlohmann::json content = read_json_file(folder / stage_results_file);
  const nlohmann::json noted = content.value(sources_key, nlohmann::json());
  const std::vector<std::string> names = scored_sources(stage);
  if (!noted.is_array() || noted.size() != names.size()) {
    return results;
  }
  std::map<std::string, std::string> renamed;
  for (size_t i = 0; i < names.size(); ++i) {
    if (noted.at(i).is_string()) {
      renamed[noted.at(i).get<std::string>()] = names[i];
    }
  }
  for (MetricResult& metric : results.metrics) {
    const auto found = renamed.find(metric.data);
    if (found != renamed.end()) {
      metric.data = found->second;
    }
  }
  std::stable_sort(
      results.metrics.begin(), results.metrics.end(),
      [](const MetricResult& left, const MetricResult& right) { return left.data < right.data; });
  return results;
}

}  // namespace bissl::host
