#include "store/run_results.h"

#include "base/exception_text.h"
#include "base/json_file.h"
#include "bissl/error.h"
#include "pipeline/metric_name.h"
#include "pipeline/run_names.h"

#include <fmt/format.h>

#include <algorithm>

namespace bissl::host {
namespace {

using nlohmann::json;

json search_json(const SearchResults& search) {
  json scores = json::array();
  for (const std::optional<double>& score : search.scores) {
    scores.push_back(score ? json(*score) : json(nullptr));
  }
  return {{"select", search.select},
          {"goal", search.goal ? json(*search.goal) : json(nullptr)},
          {"maximise", search.maximise},
          {"trials", search.trials},
          {"chosen", search.chosen},
          {"values", search.values},
          {"scores", scores}};
}

SearchResults search_from(const json& from) {
  // Versions before resolved the goal when they planned, and wrote it as `maximise`.
  const json goal = from.contains("goal") ? from.at("goal") : from.at("maximise");
  SearchResults search{.select = from.at("select"),
                       .goal = goal.is_null() ? std::nullopt : std::optional(goal.get<bool>()),
                       .maximise = from.at("maximise"),
                       .trials = from.at("trials"),
                       .chosen = from.at("chosen"),
                       .values = from.value("values", std::map<std::string, std::string>()),
                       .scores = {}};
  for (const json& score : from.at("scores")) {
    search.scores.push_back(score.is_number() ? std::optional(score.get<double>()) : std::nullopt);
  }
  if (search.chosen >= search.scores.size()) {
    fail_input("search.chosen is {}, and there are {} draws", search.chosen, search.scores.size());
  }
  return search;
}

RunResults run_results_from(const json& from) {
  RunResults results;
  results.pipeline = from.value("pipeline", "");
  results.seed = from.value("seed", uint64_t{0});
  for (const auto& [name, stage] : from.at("stages").items()) {
    try {
      results.stages[name] = StageResults::from_json(stage);
    } catch (const Error& error) {
      throw error.at("stages." + name);
    }
  }
  if (from.contains("cell")) {
    results.cell = {.id = from.at("cell").at("id"), .axes = from.at("cell").at("axes")};
  }
  if (from.contains("search")) {
    results.search = search_from(from.at("search"));
  }
  return results;
}

}  // namespace

const MetricResult* RunResults::find(const std::string& metric) const {
  const std::optional<MetricName> name = parse_metric(metric);
  const auto stage = name ? stages.find(name->stage) : stages.end();
  return stage == stages.end() ? nullptr : stage->second.find(name->data, name->metric);
}

std::vector<std::string> RunResults::chain_of(const std::string& stage) const {
  std::vector<std::string> chain;
  for (auto at = stages.find(stage); at != stages.end() && chain.size() < stages.size();
       at = stages.find(at->second.from)) {
    chain.insert(chain.begin(), at->first);
  }
  return chain;
}

json RunResults::to_json() const {
  json result = {{"pipeline", pipeline}, {"seed", seed}, {"stages", json::object()}};
  for (const auto& [name, stage] : stages) {
    result["stages"][name] = stage.to_json();
  }
  if (cell) {
    result["cell"] = {{"id", cell->id}, {"axes", cell->axes}};
  }
  if (search) {
    result["search"] = search_json(*search);
  }
  return result;
}

RunResults RunResults::from_json(const json& json) {
  try {
    return run_results_from(json);
  } catch (const nlohmann::json::exception& error) {
    fail_input("it is not what this program writes: {}", exception_text(error));
  }
}

RunResults read_run_results(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / run_results_file;
  const json content = read_json_file(file);
  try {
    return RunResults::from_json(content);
  } catch (const Error& error) {
    throw error.at(file.string());
  }
}

std::optional<RunResults> run_results_if_there(const std::filesystem::path& folder) {
  std::error_code ignored;
  if (!std::filesystem::exists(folder / run_results_file, ignored)) {
    return std::nullopt;
  }
  try {
    return read_run_results(folder);
  } catch (const Error&) {
    return std::nullopt;  // damaged, or removed by another process at this moment
  }
}

}  // namespace bissl::host
