#pragma once

#include "report/results.h"
#include "report/statistics.h"

#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

/// What a comparison is about: a metric in the cells with these choices. The choice of the axis of
/// tasks says nothing.
struct Arm {
  std::string label;
  std::string metric;
  std::vector<size_t> choices;

  bool operator==(const Arm& other) const {
    return metric == other.metric && choices == other.choices;
  }
};

/// What one task says of two arms.
struct TaskDifference {
  std::string task;  ///< empty where there is no axis of tasks
  std::vector<double> differences;
  Estimate difference;
  SignFlipTest test;
};

/// Two arms over all tasks, paired by task and repetition.
struct PooledComparison {
  Arm arm;
  Arm against;
  std::vector<TaskDifference> tasks = {};
  PooledDifference difference = {};        ///< of the arm minus the other
  SignFlipTest test = {};                  ///< within tasks
  double adjusted = 1;                     ///< p after Holm's adjustment for those of its family
  std::vector<std::string> left_out = {};  ///< tasks on which the two have no pair of results
  size_t unpaired = 0;  ///< results on the other tasks whose repetition the other arm lacks
  /// Mean seconds of the stages behind a result, those that arms share included; none if unknown.
  std::optional<double> seconds = {};
  std::optional<double> seconds_against = {};
};

/// An arm's mean over the tasks' means, and how many tasks have results of it.
struct ArmMean {
  Arm arm;
  double mean = 0;
  size_t tasks = 0;
};

/// All that the results say of arms over a population of tasks. Where no axis is one of tasks, all
/// cells are of one task.
struct PooledResults {
  std::vector<PooledComparison> comparisons;
  std::optional<size_t> primary;  ///< the comparison that the verdict is about
  std::vector<ArmMean> arms;      ///< best first
  size_t tasks = 0;
};

/// The first metric is compared, in each setting of the axes that are not tasks, with the reference
/// and with the other metrics that measure the same of other stages ("a.test.top1" and
/// "b.test.top1"). Without a reference each setting is compared with the baseline's. The primary
/// comparison is that of the setting with the best mean, with its reference or the baseline. Tests
/// are adjusted in two families: the comparisons with reference or baseline, and the others.
PooledResults pooled_results(const ReportData& data);

/// Whether more of the first metric is better; it is, where the results do not say.
bool more_is_better(const ReportData& data);

}  // namespace bissl::host
