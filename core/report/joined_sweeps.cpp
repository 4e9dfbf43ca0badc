#include "report/joined_sweeps.h"

#include "pipeline/metric_name.h"
#include "report/run_difference.h"

#include <algorithm>
#include <map>
#include <vector>

namespace bissl::host {
namespace {

using nlohmann::json;

/// What two plans of one ablation have in common.
json common_part(SweepPlan plan) {
  plan.name.clear();
  plan.excluded = 0;
  plan.units.clear();
  plan.cells.clear();
  plan.nodes.clear();
  for (SweepPlan::AxisText& axis : plan.axes) {
    if (axis.is_seed) {
      axis.labels.clear();
      axis.baseline.reset();
    }
  }
  return plan.to_json();
}

json common_part(const std::string& lock) {
  json pipeline = parse_lock(lock, plan_file);
  pipeline.erase("lock");
  pipeline.erase("plugins");
  return pipeline;
}

bool is_from_root(const json& value) {
  return value.is_array() ? !value.empty() && std::all_of(value.begin(), value.end(), is_from_root)
                          : value.is_string() && value.get<std::string>().starts_with('/');
}

bool may_differ(const Difference& one) {
  return one.path == "seed" || one.path.ends_with(".seed") || one.path.ends_with("_seed") ||
         (is_from_root(one.left) && is_from_root(one.right));
}

std::map<std::string, MetricResult> metrics_by_name(const RunResults& results) {
  std::map<std::string, MetricResult> metrics;
  for (const auto& [stage, of_stage] : results.stages) {
    for (const MetricResult& metric : of_stage.metrics) {
      metrics[MetricName{stage, metric.data, metric.metric}.text()] = metric;
    }
  }
  return metrics;
}

}  // namespace

std::optional<Difference> plan_difference(const SweepPlan& first, const SweepPlan& other) {
  const std::vector<Difference> found = differences(common_part(first), common_part(other));
  return found.empty() ? std::nullopt : std::optional(found.front());
}

std::optional<Difference> pipeline_difference(const std::string& first, const std::string& other) {
  const std::vector<Difference> found = differences(common_part(first), common_part(other));
  const auto one = std::find_if_not(found.begin(), found.end(), may_differ);
  return one == found.end() ? std::nullopt : std::optional(*one);
}

std::optional<std::string> metric_difference(const RunResults& first, const RunResults& other) {
  const std::map<std::string, MetricResult> left = metrics_by_name(first);
  const std::map<std::string, MetricResult> right = metrics_by_name(other);
  const auto same = [](const auto& one, const auto& two) {
    const MetricResult& a = one.second;
    const MetricResult& b = two.second;
    // NaN is no value that equals itself.
    return one.first == two.first && a.not_finite == b.not_finite &&
           (!a.not_finite.empty() || a.values == b.values);
  };
  const auto [at, beside] =
      std::mismatch(left.begin(), left.end(), right.begin(), right.end(), same);
  if (at == left.end() && beside == right.end()) {
    return std::nullopt;
  }
  const bool only_right = beside != right.end() && (at == left.end() || beside->first < at->first);
  return only_right ? beside->first : at->first;
}

}  // namespace bissl::host
