#include "report/run_difference.h"

#include "base/posix_file.h"
#include "base/spelling.h"
#include "bissl/error.h"
#include "pipeline/metric_name.h"
#include "pipeline/run_names.h"
#include "pipeline/toml_parser.h"
#include "report/sections.h"
#include "store/run_results.h"
#include "telemetry/environment.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

json to_json(const ConfigNode& node);

struct ScalarToJson {
  json operator()(std::monostate /*unset*/) const { return nullptr; }
  template <class T>
  json operator()(const T& value) const {
    return value;
  }
};

json to_json(const ConfigNode& node) {
  if (node.is_table()) {
    json table = json::object();
    for (const ConfigEntry& entry : node.entries) {
      table[entry.key] = to_json(entry.value);
    }
    return table;
  }
  if (node.type == ConfigNode::Type::array) {
    json list = json::array();
    for (const ConfigNode& item : node.items) {
      list.push_back(to_json(item));
    }
    return list;
  }
  return std::visit(ScalarToJson{}, node.scalar);
}

}  // namespace

json read_lock(const fs::path& folder) {
  constexpr uint64_t limit = 1 << 24;
  const fs::path file = folder / "pipeline.lock.toml";
  if (!fs::exists(file)) {
    fail_input(
        "{} is no run's folder: it has no pipeline.lock.toml. The cells of a sweep are in "
        "its folder `cells`",
        folder.string());
  }
  return parse_lock(read_whole(file, limit), file.string());
}

json parse_lock(const std::string& text, const std::string& name) {
  DiagnosticCollector diagnostics;
  const std::optional<ConfigNode> root = parse_toml(text, name, diagnostics);
  if (!root) {
    fail_input("{}", to_text(diagnostics.sorted(name)));
  }
  json lock = to_json(*root);
  if (lock.contains("lock") && lock["lock"].is_object()) {
    lock["lock"].erase("identity");  // says that something differs, not what
    lock["lock"].erase("chosen");    // what stages made of the configuration
  }
  return lock;
}

namespace {

/// The stages that a run has finished, by name.
std::map<std::string, StageResults> read_stages(const fs::path& folder) {
  return fs::exists(folder / run_results_file) ? read_run_results(folder).stages
                                               : std::map<std::string, StageResults>();
}

/// "stage.data.metric" → mean, or why there is none.
json means(const std::map<std::string, StageResults>& stages) {
  json found = json::object();
  for (const auto& [stage, results] : stages) {
    for (const MetricResult& metric : results.metrics) {
      json& mean = found[MetricName{stage, metric.data, metric.metric}.text()];
      mean = metric.mean ? json(*metric.mean) : json(nullptr);
      if (!metric.not_finite.empty()) {
        mean = metric.not_finite;
      }
    }
  }
  return found;
}

std::string summary_of(const json& environments) {
  std::vector<std::string> summaries;
  for (const json& environment : environments) {
    summaries.push_back(environment_summary(environment));
  }
  return summaries.empty() ? "not recorded" : fmt::format("{}", fmt::join(summaries, "; then "));
}

/// Compares what a stage was computed with on both sides.
void compare_environments(const std::string& stage, const json& left, const json& right,
                          RunDifference& difference) {
  if (left == right) {
    difference.common_environments.emplace_back(stage, summary_of(left));
    return;
  }
  const std::string name = spelled_key(stage);
  if (left.size() != right.size()) {
    difference.environments.push_back({name, summary_of(left), summary_of(right)});
    return;
  }
  for (size_t i = 0; i < left.size(); ++i) {
    const std::string place = left.size() == 1 ? name : fmt::format("{} (process {})", name, i + 1);
    for (Difference& one : differences(left[i], right[i])) {
      one.path = place + "." + one.path;
      difference.environments.push_back(std::move(one));
    }
  }
}

std::optional<double> number_of(const json& value) {
  return value.is_number() ? std::optional(value.get<double>()) : std::nullopt;
}

/// A text is the reason why there is no number.
ReportCell metric_cell(const json& value) {
  return value.is_string() ? ReportCell("not finite", {std::nullopt})
                           : number_cell(number_of(value));
}

/// Both values with the fewest digits, four at least, that distinguish them.
std::pair<ReportCell, ReportCell> told_apart(double left, double right) {
  constexpr int fewest = 4;
  constexpr int enough_for_any = 20;
  for (int digits = fewest; digits <= enough_for_any; ++digits) {
    std::string words = fmt::format("{:.{}f}", left, digits);
    std::string other = fmt::format("{:.{}f}", right, digits);
    if (left == right || words != other) {
      return {number_cell(left, std::move(words)), number_cell(right, std::move(other))};
    }
  }
  return {number_cell(left, fmt::format("{}", left)), number_cell(right, fmt::format("{}", right))};
}

/// "+0.0125"; "+3.2e-06" for one that four digits would show as none.
std::string change_text(double change) {
  constexpr double shown_as_none = 5e-5;
  return change != 0 && std::abs(change) < shown_as_none ? fmt::format("{:+.1e}", change)
                                                         : fmt::format("{:+.4f}", change);
}

}  // namespace

RunDifference compare_runs(const fs::path& left, const fs::path& right) {
  RunDifference difference;
  difference.configuration = differences(read_lock(left), read_lock(right));
  const std::map<std::string, StageResults> left_stages = read_stages(left);
  const std::map<std::string, StageResults> right_stages = read_stages(right);
  for (const auto& [name, stage] : left_stages) {
    const auto other = right_stages.find(name);
    if (other == right_stages.end()) {
      continue;
    }
    if (!stage.key.empty() && other->second.key == stage.key) {
      difference.same_stages.push_back(name);
    }
    compare_environments(name, stage.environments, other->second.environments, difference);
  }
  // All metrics, also those that are equal: a reader wants to see that they are.
  const json left_means = means(left_stages);
  const json right_means = means(right_stages);
  for (const auto& [name, value] : left_means.items()) {
    difference.results.push_back({name, value, right_means.value(name, json())});
  }
  for (const auto& [name, value] : right_means.items()) {
    if (!left_means.contains(name)) {
      difference.results.push_back({name, nullptr, value});
    }
  }
  return difference;
}

bool results_differ(const RunDifference& difference) {
  return std::any_of(difference.results.begin(), difference.results.end(),
                     [](const Difference& one) { return one.left != one.right; });
}

std::vector<ReportTable> difference_tables(const RunDifference& difference, const std::string& left,
                                           const std::string& right) {
  ReportTable configuration{"configuration", {{"key"}, {left}, {right}}, {}};
  for (const Difference& one : difference.configuration) {
    configuration.rows.push_back({one.path, short_text(one.left), short_text(one.right)});
  }
  ReportTable environments{"environments", {{"computed with"}, {left}, {right}}, {}};
  for (const Difference& one : difference.environments) {
    environments.rows.push_back({one.path, short_text(one.left), short_text(one.right)});
  }
  ReportTable results{"results", {{"metric"}}, {}};
  add_columns(results, {left, right, "difference"});
  for (const Difference& one : difference.results) {
    const std::optional<double> values[] = {number_of(one.left), number_of(one.right)};
    if (values[0] && values[1]) {
      const double change = *values[1] - *values[0];
      auto [first, second] = told_apart(*values[0], *values[1]);
      results.rows.push_back({one.path, std::move(first), std::move(second),
                              number_cell(change, change_text(change))});
    } else {
      results.rows.push_back(
          {one.path, metric_cell(one.left), metric_cell(one.right), number_cell(std::nullopt)});
    }
  }
  return {std::move(configuration), std::move(environments), std::move(results)};
}

}  // namespace bissl::host
