#include "report/pooled.h"

#include "pipeline/metric_name.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>

namespace bissl::host {
namespace {

using Setting = std::vector<size_t>;
/// One arm's values by task and repetition.
using ArmValues = std::map<size_t, std::map<std::string, double>>;

/// What a metric measures, and where: "top1" of a stage.
std::string measure_of(const std::string& metric) {
  const std::optional<MetricName> name = parse_metric(metric);
  return name ? name->metric : metric;
}

std::string stage_of(const std::string& metric) {
  const std::optional<MetricName> name = parse_metric(metric);
  return name ? name->stage : metric;
}

double average_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// What two arms have of one task.
struct TaskPairs {
  std::vector<double> differences;
  size_t unpaired = 0;
};

TaskPairs pairs_of(const ArmValues& values, const ArmValues& others, size_t task) {
  const auto ours = values.find(task);
  const auto theirs = others.find(task);
  TaskPairs pairs;
  if (ours == values.end() || theirs == others.end()) {
    return pairs;
  }
  for (const auto& [repetition, value] : ours->second) {
    const auto other = theirs->second.find(repetition);
    if (other != theirs->second.end()) {
      pairs.differences.push_back(value - other->second);
    }
  }
  pairs.unpaired = ours->second.size() + theirs->second.size() - 2 * pairs.differences.size();
  return pairs;
}

class Pooling {
 public:
  explicit Pooling(const ReportData& data) : data_(data) {
    const auto axis = std::find_if(data.axes.begin(), data.axes.end(),
                                   [](const ReportAxis& one) { return one.is_tasks; });
    if (axis != data.axes.end()) {
      tasks_axis_ = static_cast<size_t>(axis - data.axes.begin());
    }
    const std::string measure = measure_of(data.metrics.front());
    const auto add = [&](const std::string& metric) {
      if (!metric.empty() && measure_of(metric) == measure &&
          std::find(metrics_.begin(), metrics_.end(), metric) == metrics_.end()) {
        metrics_.push_back(metric);
      }
    };
    add(data.metrics.front());
    add(data.reference);
    std::for_each(data.metrics.begin(), data.metrics.end(), add);
    for (const Observation& observation : data.observations) {
      by_setting_[without_task(observation.choices)].push_back(&observation);
    }
    for (const auto& [setting, observations] : by_setting_) {
      settings_.push_back(setting);
    }
  }

  PooledResults results();

 private:
  Setting without_task(Setting choices) const {
    if (tasks_axis_) {
      choices[*tasks_axis_] = 0;
    }
    return choices;
  }

  Setting baseline() const {
    Setting choices;
    for (const ReportAxis& axis : data_.axes) {
      choices.push_back(axis.baseline);
    }
    return without_task(choices);
  }

  Arm arm(const std::string& metric, const Setting& setting) const {
    std::string label;
    for (size_t i = 0; i < data_.axes.size() && settings_.size() > 1; ++i) {
      if (i != tasks_axis_) {
        label += (label.empty() ? "" : ", ") + data_.axes[i].labels.at(setting[i]);
      }
    }
    if (metrics_.size() > 1) {
      label = label.empty() ? stage_of(metric) : fmt::format("{} ({})", stage_of(metric), label);
    }
    return {label.empty() ? stage_of(metric) : label, metric, setting};
  }

  /// Those of the arm's setting, in the order of the results.
  std::vector<const Observation*> observations_of(const Arm& arm) const {
    const auto found = by_setting_.find(arm.choices);
    return found == by_setting_.end() ? std::vector<const Observation*>() : found->second;
  }

  ArmValues values_of(const Arm& arm) const {
    ArmValues values;
    for (const Observation* observation : observations_of(arm)) {
      const auto found = observation->metrics.find(arm.metric);
      if (found != observation->metrics.end()) {
        const size_t task = tasks_axis_ ? observation->choices[*tasks_axis_] : 0;
        values[task][observation->repetition] = found->second;
      }
    }
    return values;
  }

  std::optional<double> seconds_of(const Arm& arm) const {
    std::vector<double> seconds;
    for (const Observation* observation : observations_of(arm)) {
      const auto found = observation->seconds.find(arm.metric);
      if (found != observation->seconds.end()) {
        seconds.push_back(found->second);
      }
    }
    return seconds.empty() ? std::nullopt : std::optional(average_of(seconds));
  }

  std::optional<PooledComparison> compare(const Arm& arm, const Arm& against) const;
  std::vector<ArmMean> means() const;
  std::optional<size_t> primary(const PooledResults& results) const;
  void adjust(PooledResults& results, bool asked) const;

  /// Whether the comparison is with the reference or, without one, with the baseline's setting.
  bool is_asked(const PooledComparison& one) const {
    return data_.reference.empty() ? one.against.metric == one.arm.metric
                                   : one.against.metric == data_.reference;
  }

  const ReportData& data_;
  std::optional<size_t> tasks_axis_;
  std::vector<std::string> metrics_;  ///< that measure the same as the first, which is the first
  std::vector<Setting> settings_;
  std::map<Setting, std::vector<const Observation*>> by_setting_;
};

std::optional<PooledComparison> Pooling::compare(const Arm& arm, const Arm& against) const {
  const ArmValues values = values_of(arm);
  const ArmValues others = values_of(against);
  PooledComparison result{.arm = arm, .against = against};
  std::vector<std::vector<double>> strata;
  const size_t tasks = tasks_axis_ ? data_.axes[*tasks_axis_].labels.size() : 1;
  for (size_t task = 0; task < tasks; ++task) {
    const std::string name = tasks_axis_ ? data_.axes[*tasks_axis_].labels[task] : "";
    TaskPairs pairs = pairs_of(values, others, task);
    if (pairs.differences.empty()) {
      result.left_out.push_back(name);
      continue;
    }
    result.unpaired += pairs.unpaired;
    result.tasks.push_back(
        {name, pairs.differences, estimate(pairs.differences), sign_flip_test(pairs.differences)});
    strata.push_back(std::move(pairs.differences));
  }
  if (strata.empty()) {
    return std::nullopt;
  }
  result.difference = pooled_difference(strata);
  result.test = stratified_sign_flip_test(strata);
  result.seconds = seconds_of(arm);
  result.seconds_against = seconds_of(against);
  return result;
}

std::vector<ArmMean> Pooling::means() const {
  std::vector<ArmMean> arms;
  for (const Setting& setting : settings_) {
    for (const std::string& metric : metrics_) {
      ArmMean one{.arm = arm(metric, setting)};
      std::vector<double> of_tasks;
      for (const auto& [task, by_repetition] : values_of(one.arm)) {
        std::vector<double> values;
        for (const auto& [repetition, value] : by_repetition) {
          values.push_back(value);
        }
        of_tasks.push_back(average_of(values));
      }
      if (!of_tasks.empty()) {
        one.mean = average_of(of_tasks);
        one.tasks = of_tasks.size();
        arms.push_back(std::move(one));
      }
    }
  }
  const bool more = more_is_better(data_);
  std::stable_sort(arms.begin(), arms.end(), [&](const ArmMean& left, const ArmMean& right) {
    // An arm without results on some tasks is no better for having been spared them.
    return left.tasks != right.tasks ? left.tasks > right.tasks
           : more                    ? left.mean > right.mean
                                     : left.mean < right.mean;
  });
  return arms;
}

/// That of the best setting, or of the best one that is compared at all.
std::optional<size_t> Pooling::primary(const PooledResults& results) const {
  for (const ArmMean& mean : results.arms) {
    if (mean.arm.metric != data_.metrics.front()) {
      continue;
    }
    for (size_t i = 0; i < results.comparisons.size(); ++i) {
      const PooledComparison& one = results.comparisons[i];
      if (one.arm == mean.arm && is_asked(one)) {
        return i;
      }
    }
  }
  return results.comparisons.empty() ? std::nullopt : std::optional<size_t>(0);
}

void Pooling::adjust(PooledResults& results, bool asked) const {
  std::vector<PooledComparison*> family;
  std::vector<double> p_values;
  for (PooledComparison& one : results.comparisons) {
    if (is_asked(one) == asked) {
      family.push_back(&one);
      p_values.push_back(one.test.p);
    }
  }
  const std::vector<double> adjusted = holm(p_values);
  for (size_t i = 0; i < family.size(); ++i) {
    family[i]->adjusted = adjusted[i];
  }
}

PooledResults Pooling::results() {
  PooledResults results;
  const std::string& first = data_.metrics.front();
  for (const Setting& setting : settings_) {
    std::vector<Arm> opponents;
    for (size_t i = 1; i < metrics_.size(); ++i) {
      opponents.push_back(arm(metrics_[i], setting));
    }
    if (data_.reference.empty() && setting != baseline()) {
      opponents.push_back(arm(first, baseline()));
    }
    for (const Arm& opponent : opponents) {
      if (std::optional<PooledComparison> one = compare(arm(first, setting), opponent)) {
        results.tasks = std::max(results.tasks, one->tasks.size());
        results.comparisons.push_back(std::move(*one));
      }
    }
  }
  // What the file asks is one family of tests; the other arms are another.
  adjust(results, true);
  adjust(results, false);
  results.arms = means();
  results.primary = primary(results);
  return results;
}

}  // namespace

PooledResults pooled_results(const ReportData& data) {
  return data.observations.empty() ? PooledResults{} : Pooling(data).results();
}

bool more_is_better(const ReportData& data) { return data.higher_is_better.value_or(true); }

}  // namespace bissl::host
