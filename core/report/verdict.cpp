#include "report/verdict.h"

#include "pipeline/metric_name.h"
#include "report/sections.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace bissl::host {
namespace {

std::string p_words(double p) {
  return p < 0.001 ? fmt::format("{:.1e}", p) : fmt::format("{:.3f}", p);
}

std::string signed_text(double value) { return (value >= 0 ? "+" : "") + number_text(value); }

/// "6 tasks and 5 repetitions each", with their fewest and most where they differ.
std::string extent_words(const PooledComparison& one) {
  size_t fewest = one.tasks.front().differences.size();
  size_t most = fewest;
  for (const TaskDifference& task : one.tasks) {
    fewest = std::min(fewest, task.differences.size());
    most = std::max(most, task.differences.size());
  }
  const std::string pairs =
      fewest == most ? fmt::format("{}", most) : fmt::format("{} to {}", fewest, most);
  const std::string pairs_words = most == 1 ? pairs + " pair" : pairs + " pairs";
  return one.tasks.size() == 1
             ? pairs_words + " of runs"
             : fmt::format("{} tasks with {} of runs each", one.tasks.size(), pairs_words);
}

constexpr double usual_level = 0.05;

/// Whether p is the least that this number of pairs allows: all of them have the same sign.
bool all_pairs_agree(const SignFlipTest& test) { return test.exact && test.p < 1.5 * test.least; }

std::string how_sure(const PooledComparison& one) {
  if (one.test.least > usual_level) {
    return fmt::format(
        "So few pairs cannot show whether this is chance (p cannot be less than {}).",
        p_words(one.test.least));
  }
  const std::string p = fmt::format(
      "p = {}{}", p_words(one.test.p),
      one.adjusted == one.test.p ? "" : fmt::format(", {} adjusted", p_words(one.adjusted)));
  if (!is_sure(one) && one.test.p < usual_level && all_pairs_agree(one.test)) {
    return fmt::format(
        "All pairs agree, but so few of them cannot show more among several comparisons ({}): "
        "more repetitions would tell.",
        p);
  }
  return is_sure(one)
             ? fmt::format("Chance hardly explains this ({}).", p)
             : fmt::format("Chance can explain this ({}): the runs do not tell the two apart.", p);
}

std::string cost_words(const PooledComparison& one, bool arm_wins) {
  if (!one.seconds || !one.seconds_against || *one.seconds <= 0 || *one.seconds_against <= 0) {
    return "";
  }
  const double winner = arm_wins ? *one.seconds : *one.seconds_against;
  const double loser = arm_wins ? *one.seconds_against : *one.seconds;
  const bool equal = one.difference.mean == 0;  // neither is named as the better one
  return fmt::format(" A run of {} takes {:.1f} seconds, of {} {:.1f} ({:.2f} times).",
                     equal ? one.arm.label : "it", winner,
                     equal ? one.against.label : "the other one", loser, winner / loser);
}

/// What the comparison does not contain, as a sentence each; empty where each result has its pair
/// and the comparison is with the reference that there is.
std::string left_out_words(const ReportData& data, const PooledComparison& one) {
  std::string text;
  if (!data.reference.empty() && one.against.metric != data.reference) {
    text += fmt::format(
        " This is not the comparison that was asked for: {} has no result beside one of {}.",
        data.reference, data.metrics.front());
  }
  if (!one.left_out.empty()) {
    text += fmt::format(" Left out, as the two have no pair of results there: {}.",
                        fmt::join(one.left_out, ", "));
  }
  if (one.unpaired > 0) {
    text += one.unpaired == 1
                ? " 1 result is left out, as the other arm lacks its repetition."
                : fmt::format(" {} results are left out, as the other arm lacks their repetitions.",
                              one.unpaired);
  }
  return text;
}

/// How many tasks are on the side of the pooled difference.
size_t tasks_alike(const PooledComparison& one) {
  return static_cast<size_t>(std::count_if(
      one.tasks.begin(), one.tasks.end(),
      [&](const TaskDifference& task) { return task.difference.mean * one.difference.mean > 0; }));
}

std::string interval_words(const std::optional<double>& low, const std::optional<double>& high) {
  return low && high ? fmt::format("{} … {}", number_text(*low), number_text(*high)) : "–";
}

std::string measure_words(const ReportData& data) {
  const std::optional<MetricName> name = parse_metric(data.metrics.front());
  return name ? name->metric : data.metrics.front();
}

ReportTable pooled_table(const PooledResults& pooled, bool more) {
  ReportTable table{"pooled", {{"arm"}, {"against"}}, {}};
  add_columns(table, {"tasks", "pairs", "difference"});
  table.columns.push_back({"95 % interval", ReportColumn::Kind::interval});
  table.columns.push_back({"over tasks", ReportColumn::Kind::interval});
  add_columns(table, {"ahead on", "p", "adjusted", "seconds", "seconds against"});
  for (const PooledComparison& one : pooled.comparisons) {
    const PooledDifference& difference = one.difference;
    const auto ahead =
        std::count_if(one.tasks.begin(), one.tasks.end(), [&](const TaskDifference& task) {
          return more ? task.difference.mean > 0 : task.difference.mean < 0;
        });
    const auto over_tasks = difference.over_tasks;
    table.rows.push_back(
        {one.arm.label, one.against.label, count_cell(static_cast<int64_t>(one.tasks.size())),
         count_cell(difference.pairs), number_cell(difference.mean, signed_text(difference.mean)),
         ReportCell(interval_words(difference.low(), difference.high()),
                    {difference.low(), difference.high()}),
         over_tasks ? ReportCell(interval_words(over_tasks->low(), over_tasks->high()),
                                 {over_tasks->low(), over_tasks->high()})
                    : ReportCell("–", {std::nullopt, std::nullopt}),
         count_cell(ahead), number_cell(one.test.p, p_words(one.test.p)),
         number_cell(one.adjusted, p_words(one.adjusted)), number_cell(one.seconds),
         number_cell(one.seconds_against)});
  }
  return table;
}

ReportTable tasks_table(const PooledComparison& one) {
  ReportTable table{"tasks", {{"task"}}, {}};
  add_columns(table, {"pairs", "difference"});
  table.columns.push_back({"95 % interval", ReportColumn::Kind::interval});
  add_columns(table, {"p"});
  for (const TaskDifference& task : one.tasks) {
    const Estimate& difference = task.difference;
    table.rows.push_back({task.task, count_cell(difference.count),
                          number_cell(difference.mean, signed_text(difference.mean)),
                          ReportCell(interval_words(difference.low(), difference.high()),
                                     {difference.low(), difference.high()}),
                          number_cell(task.test.p, p_words(task.test.p))});
  }
  return table;
}

}  // namespace

bool is_sure(const PooledComparison& one) { return one.adjusted < usual_level; }

std::string verdict(const ReportData& data, const PooledResults& pooled) {
  if (!pooled.primary) {
    return "";
  }
  const PooledComparison& one = pooled.comparisons[*pooled.primary];
  const double difference = one.difference.mean;
  std::string text;
  bool arm_wins = true;
  if (difference == 0) {
    text = fmt::format("{} and {} are equal in {} over {}.", one.arm.label, one.against.label,
                       measure_words(data), extent_words(one));
  } else {
    arm_wins = (difference > 0) == more_is_better(data);
    const double sign = difference > 0 ? 1 : -1;
    const std::string interval =
        one.difference.half ? fmt::format(", 95 % interval {}",
                                          interval_words(sign * difference - *one.difference.half,
                                                         sign * difference + *one.difference.half))
                            : "";
    const std::string tasks =
        one.tasks.size() > 1 ? fmt::format(", and on {} of the tasks", tasks_alike(one)) : "";
    text = fmt::format(
        "{} {} than {} by {} in {}{}, over {}{}. {}", arm_wins ? one.arm.label : one.against.label,
        is_sure(one) ? "is better" : "was better in these runs",
        arm_wins ? one.against.label : one.arm.label, number_text(std::abs(difference)),
        measure_words(data), interval, extent_words(one), tasks, how_sure(one));
  }
  text += cost_words(one, arm_wins);
  text += left_out_words(data, one);
  if (pooled.arms.size() > 2) {
    const ArmMean& best = pooled.arms.front();
    text += fmt::format(" Of all {} arms, {} has the best mean: {}.", pooled.arms.size(),
                        best.arm.label, number_text(best.mean));
  }
  return text;
}

ReportSection verdict_section(const ReportData& data, const PooledResults& pooled) {
  ReportSection section;
  section.title = "Verdict";
  if (!pooled.primary) {
    return section;
  }
  section.paragraphs.push_back(verdict(data, pooled));
  const PooledComparison& primary = pooled.comparisons[*pooled.primary];
  if (pooled.tasks > 1) {
    section.paragraphs.push_back(
        "Differences are paired by task and repetition; the tasks' means have equal weights. The "
        "interval is for these tasks, from the spread within each (Welch's degrees of freedom); "
        "\"over tasks\" is Student's over the tasks' means, for tasks of the same kind. p: signs "
        "are changed by chance within the tasks. \"adjusted\" is Holm's, for the comparisons that "
        "the file asks for and for the other arms apart; p of single tasks is not adjusted.");
  }
  section.tables.push_back(pooled_table(pooled, more_is_better(data)));
  if (pooled.tasks > 1) {
    section.tables.push_back(tasks_table(primary));
    std::vector<IntervalRow> rows;
    for (const TaskDifference& task : primary.tasks) {
      rows.push_back({.label = task.task,
                      .points = task.differences,
                      .mean = task.difference.mean,
                      .low = task.difference.low(),
                      .high = task.difference.high(),
                      .tip = fmt::format("{}\nmean {} of {}", task.task,
                                         signed_text(task.difference.mean), task.difference.count),
                      .baseline = false,
                      .heading = false});
    }
    section.plots.push_back(interval_plot(
        "tasks", fmt::format("{} minus {}, by task", primary.arm.label, primary.against.label),
        "difference in " + measure_words(data), rows, /*zero=*/true));
  }
  return section;
}

}  // namespace bissl::host
