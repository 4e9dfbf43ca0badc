#include "store/stage_results.h"

#include "base/atomic_file.h"
#include "base/exception_text.h"
#include "base/json_file.h"
#include "base/json_text.h"
#include "bissl/error.h"
#include "pipeline/metric_name.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

namespace bissl::host {
namespace {

using nlohmann::json;

/// 1: without a member `format`; one data source, no directions of metrics, no list of logs.
/// 2: `runs` instead of `per_repeat`.
constexpr int results_format = 3;

/// The kind whose results describe. It did so before results said it themselves.
constexpr const char* first_describing_kind = "analyse";

/// Members that are not details of a kind.
const std::set<std::string>& own_members() {
  static const std::set<std::string> members = {"format",
                                                "kind",
                                                "repeats",
                                                "metrics",
                                                "per_repeat",
                                                "runs",
                                                "logs",
                                                "losses",
                                                "key",
                                                "from",
                                                "seconds",
                                                "environments",
                                                "peak_memory_bytes",
                                                "describes",
                                                "sources"};
  return members;
}

json metric_json(const MetricResult& metric) {
  json result = {{"mean", metric.mean ? json(*metric.mean) : json(nullptr)},
                 {"std", metric.deviation ? json(*metric.deviation) : json(nullptr)}};
  if (metric.higher_is_better) {
    result["higher_is_better"] = *metric.higher_is_better;
  }
  if (!metric.not_finite.empty()) {
    result[not_finite_key] = {{"mean", metric.not_finite}, {"std", metric.not_finite}};
  }
  return result;
}

std::optional<double> finite_at(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number() || !std::isfinite(found->get<double>())) {
    return std::nullopt;
  }
  return found->get<double>();
}

MetricResult metric_from(const std::string& data, const std::string& name, const json& summary) {
  MetricResult metric{.data = data, .metric = name, .higher_is_better = std::nullopt};
  metric.mean = finite_at(summary, "mean");
  metric.deviation = finite_at(summary, "std");
  if (summary.contains("higher_is_better")) {
    metric.higher_is_better = summary.at("higher_is_better").get<bool>();
  }
  if (summary.contains(not_finite_key)) {
    metric.not_finite = summary.at(not_finite_key).value("mean", "");
  }
  return metric;
}

/// Adds the values of the repeats to the metrics. `of_one` gives those of a data source.
template <class OfOne>
void add_values(const json& repeats, std::vector<MetricResult>& metrics, const OfOne& of_one) {
  for (const json& written : repeats) {
    const json repeat = with_non_finite(written);
    for (MetricResult& metric : metrics) {
      const json values = of_one(repeat, metric.data);
      const auto value = values.find(metric.metric);
      metric.values.push_back(value != values.end() && value->is_number()
                                  ? value->template get<double>()
                                  : std::numeric_limits<double>::quiet_NaN());
    }
  }
}

/// The object at a key; an empty one if there is none.
json object_at(const json& from, const std::string& key) {
  json found = from.value(key, json::object());
  if (!found.is_object()) {
    fail_input("it is not what this program writes: \"{}\" is not an object", key);
  }
  return found;
}

StageResults stage_results_from(const json& from) {
  const int format = from.value("format", 1);
  if (format < 1 || format > results_format) {
    fail_input("it has the format {}, and this program reads {} and earlier ones", format,
               results_format);
  }
  StageResults results;
  results.kind = from.value("kind", "");
  results.describes = from.value("describes", results.kind == first_describing_kind);
  results.repeats = from.value("repeats", int64_t{0});
  const json by_data = object_at(from, "metrics");
  for (const auto& [data, ignored] : by_data.items()) {
    const json metrics = object_at(by_data, data);
    for (const auto& [name, summary] : metrics.items()) {
      results.metrics.push_back(metric_from(data, name, summary));
    }
  }
  const json repeats = from.value(format < 3 ? "runs" : "per_repeat", json::array());
  if (format == 1) {
    add_values(repeats, results.metrics, [](const json& one, const std::string&) { return one; });
    for (size_t i = 0; i < repeats.size(); ++i) {
      results.logs.push_back(fmt::format("run-{}/events.jsonl", i));
    }
    if (repeats.empty()) {
      results.logs = {"events.jsonl"};
    }
    results.losses = {"loss", "lower", "upper"};
  } else {
    add_values(repeats, results.metrics, [](const json& one, const std::string& data) {
      return one.value(data, json::object());
    });
    results.logs = from.value("logs", std::vector<std::string>());
    results.losses = from.value("losses", std::vector<std::string>());
  }
  results.seconds = finite_at(from, "seconds").value_or(0);
  results.peak_memory_bytes = finite_at(from, "peak_memory_bytes").value_or(0);
  results.environments = from.value("environments", json::array());
  results.key = from.value("key", "");
  results.from = from.value("from", "");
  for (const auto& [name, value] : from.items()) {
    if (own_members().count(name) == 0) {
      results.details[name] = value;
    }
  }
  return results;
}

}  // namespace

std::string MetricResult::name() const { return score_text(data, metric); }

MetricResult summarised(MetricResult metric) {
  std::vector<std::string> faults;
  double sum = 0;
  for (size_t i = 0; i < metric.values.size(); ++i) {
    sum += metric.values[i];
    if (!std::isfinite(metric.values[i])) {
      faults.push_back(fmt::format("{} in repeat {}", name_of_non_finite(metric.values[i]), i));
    }
  }
  if (!faults.empty()) {
    metric.not_finite = fmt::format("{}", fmt::join(faults, ", "));
    return metric;
  }
  const auto count = static_cast<double>(metric.values.size());
  metric.mean = sum / count;
  double squares = 0;
  for (const double value : metric.values) {
    squares += std::pow(value - *metric.mean, 2);
  }
  metric.deviation = count > 1 ? std::sqrt(squares / (count - 1)) : 0.0;
  return metric;
}

const MetricResult* StageResults::find(const std::string& data, const std::string& metric) const {
  const auto found = std::find_if(metrics.begin(), metrics.end(), [&](const MetricResult& one) {
    return one.data == data && one.metric == metric;
  });
  return found == metrics.end() ? nullptr : &*found;
}

json StageResults::to_json() const {
  json result = details;
  result["format"] = results_format;
  result["kind"] = kind;
  if (describes) {
    result["describes"] = true;
  }
  if (repeats > 0) {
    result["repeats"] = repeats;
  }
  size_t scored = 0;
  for (const MetricResult& metric : metrics) {
    result["metrics"][metric.data][metric.metric] = metric_json(metric);
    scored = std::max(scored, metric.values.size());
  }
  for (size_t i = 0; i < scored; ++i) {
    json repeat = json::object();
    for (const MetricResult& metric : metrics) {
      repeat[metric.data][metric.metric] = metric.values.at(i);
    }
    result["per_repeat"].push_back(repeat);
  }
  result["logs"] = logs;
  result["losses"] = losses;
  result["seconds"] = seconds;
  result["environments"] = environments;
  result["peak_memory_bytes"] = peak_memory_bytes;
  if (!key.empty()) {
    result["key"] = key;
    result["from"] = from;
  }
  return result;
}

StageResults StageResults::from_json(const json& json) {
  try {
    if (!json.is_object()) {
      fail_input("it is no JSON object");
    }
    return stage_results_from(json);
  } catch (const nlohmann::json::exception& error) {
    fail_input("it is not what this program writes: {}", exception_text(error));
  }
}

StageResults read_stage_results(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / stage_results_file;
  const json content = read_json_file(file);
  try {
    return StageResults::from_json(content);
  } catch (const Error& error) {
    throw error.at(file.string());
  }
}

void write_stage_results(const std::filesystem::path& folder, const StageResults& results) {
  write_file_atomically(folder / stage_results_file, json_text(results.to_json(), 2) + "\n");
}

}  // namespace bissl::host
