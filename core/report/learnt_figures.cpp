#include "report/learnt_figures.h"

#include "pipeline/metric_name.h"
#include "store/run_results.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

bool is_neighbours_score(const std::string& metric) {
  return metric.starts_with("knn") && metric.ends_with("_top1");
}

/// The figures that are tested: one for each question, chosen before any result is seen. Adjusted
/// for all that is measured no difference could be shown with the few seeds that anybody can pay
/// for. Of each line it is the first figure that a data source has, by its name.
constexpr std::array<std::array<bool (*)(const std::string& metric), 2>, 5> tested_figures{{
    // Do neighbours share a class?
    {is_neighbours_score, nullptr},
    // Can a linear head tell classes apart?
    {[](const std::string& metric) { return metric == "logistic_top1"; },
     [](const std::string& metric) {
       return metric.ends_with("_top1") && !is_neighbours_score(metric);
     }},
    // Are classes clusters?
    {[](const std::string& metric) { return metric == "silhouette"; }, nullptr},
    // How much do the samples of a class differ?
    {[](const std::string& metric) { return metric == "nc1"; }, nullptr},
    // How many directions are used?
    {[](const std::string& metric) { return metric == "rankme"; },
     [](const std::string& metric) { return metric == "effective_rank"; }},
}};

/// Figures of single levels of maps are apart from the others: there are many of them.
bool is_of_level(const std::string& metric) { return metric.find("_map") != std::string::npos; }

std::vector<size_t> run_choices(const Observation& observation, size_t axes) {
  return {observation.choices.begin(),
          observation.choices.begin() + static_cast<std::ptrdiff_t>(axes)};
}

bool has_several_runs(const ReportData& data, size_t axes) {
  std::map<std::vector<size_t>, std::set<fs::path>> folders;
  for (const Observation& observation : data.observations) {
    folders[run_choices(observation, axes)].insert(observation.folder);
  }
  return std::any_of(folders.begin(), folders.end(),
                     [](const auto& one) { return one.second.size() > 1; });
}

void add_metric(const Observation& observation, const std::string& stage,
                const MetricResult& metric, Learnt& learnt) {
  LearntFigures& figures = is_of_level(metric.metric) ? learnt.levels : learnt.figures;
  LearntFigure& figure = figures[{run_choices(observation, learnt.axes), metric.name()}];
  figure.data = metric.data;
  figure.metric = metric.metric;
  figure.higher_is_better = metric.higher_is_better;
  const std::string run = observation.folder.string();
  if (learnt.by_run) {
    if (metric.mean) {
      figure.of_stages[stage][run] = *metric.mean;
    }
    return;
  }
  for (size_t i = 0; i < metric.values.size(); ++i) {
    if (std::isfinite(metric.values[i])) {
      figure.of_stages[stage][fmt::format("{}#{}", run, i)] = metric.values[i];
    }
  }
}

void add_stage(const Observation& observation, const std::string& name, const StageResults& results,
               Learnt& learnt) {
  if (learnt.folders.emplace(name, observation.folder / name).second) {
    learnt.stages.push_back(name);
    learnt.arms[name] = results.from.empty() ? "scratch" : results.from;
  }
  for (const MetricResult& metric : results.metrics) {
    add_metric(observation, name, metric, learnt);
  }
}

/// The stage that looks at the arm of a metric: it is its own, or looks at the nearest of the
/// stages that led to it. Empty for none.
std::string stage_looking_at(const RunResults& run, const std::string& metric) {
  const std::optional<MetricName> name = metric.empty() ? std::nullopt : parse_metric(metric);
  if (!name || run.stages.count(name->stage) == 0) {
    return "";
  }
  if (run.stages.at(name->stage).describes) {
    return name->stage;
  }
  std::vector<std::string> chain = run.chain_of(name->stage);
  std::reverse(chain.begin(), chain.end());
  for (const std::string& looked_at : chain) {
    for (const auto& [stage, results] : run.stages) {
      if (results.describes && results.from == looked_at) {
        return stage;
      }
    }
  }
  return "";
}

bool has_bilevel_training(const RunResults& run, const std::string& stage) {
  const std::vector<std::string> chain = run.chain_of(stage);
  return std::any_of(chain.begin(), chain.end(), [&](const std::string& one) {
    const auto found = run.stages.find(one);
    return found != run.stages.end() && found->second.details.contains("solves");
  });
}

/// Arms that several stages look at are called by those.
void tell_arms_apart(Learnt& learnt) {
  std::map<std::string, int> looks;
  for (const auto& [stage, arm] : learnt.arms) {
    ++looks[arm];
  }
  for (auto& [stage, arm] : learnt.arms) {
    if (looks[arm] > 1) {
      arm = stage;
    }
  }
}

/// One minus other, of the repetitions that both have.
std::vector<double> differences_of(const LearntFigure& figure, const std::string& one,
                                   const std::string& other) {
  std::vector<double> differences;
  const auto left = figure.of_stages.find(one);
  const auto right = figure.of_stages.find(other);
  if (left != figure.of_stages.end() && right != figure.of_stages.end()) {
    for (const auto& [repetition, value] : left->second) {
      if (const auto same = right->second.find(repetition); same != right->second.end()) {
        differences.push_back(value - same->second);
      }
    }
  }
  return differences;
}

/// The names of those of these figures that are tested.
std::set<std::string> tested_of(const std::map<std::string, const LearntFigure*>& figures) {
  std::map<std::string, std::vector<std::pair<std::string, std::string>>> by_data;
  for (const auto& [name, figure] : figures) {
    by_data[figure->data].emplace_back(name, figure->metric);
  }
  std::set<std::string> tested;
  for (const auto& [data, names] : by_data) {
    for (const auto& alternatives : tested_figures) {
      for (const auto& is_wanted : alternatives) {
        const auto found = std::find_if(names.begin(), names.end(), [&](const auto& one) {
          return is_wanted != nullptr && is_wanted(one.second);
        });
        if (found != names.end()) {
          tested.insert(found->first);
          break;
        }
      }
    }
  }
  return tested;
}

LearntComparison compare_with_reference(const Learnt& learnt, const std::string& stage) {
  LearntComparison comparison{stage, {}};
  std::map<std::string, const LearntFigure*> compared;
  for (const auto& [place, figure] : learnt.figures) {
    const std::vector<double> differences = differences_of(figure, stage, learnt.reference);
    if (differences.empty() || !figure.higher_is_better) {
      continue;
    }
    compared[place.second] = &figure;
    comparison.differences.push_back({.choices = place.first,
                                      .figure = place.second,
                                      .higher_is_better = *figure.higher_is_better,
                                      .difference = estimate(differences),
                                      .test = sign_flip_test(differences),
                                      .adjusted = std::nullopt});
  }
  const std::set<std::string> tested = tested_of(compared);
  const auto others = std::stable_partition(
      comparison.differences.begin(), comparison.differences.end(),
      [&](const LearntDifference& one) { return tested.count(one.figure) != 0; });
  std::vector<double> p_values;
  for (auto one = comparison.differences.begin(); one != others; ++one) {
    p_values.push_back(one->test.p);
  }
  const std::vector<double> adjusted = holm(p_values);
  for (size_t i = 0; i < adjusted.size(); ++i) {
    comparison.differences[i].adjusted = adjusted[i];
  }
  return comparison;
}

}  // namespace

const char* const tested_words =
    "top1 of the first kNN, top1 of the logistic regression or the first other probe, silhouette, "
    "nc1, and rankme or effective_rank, of each data source";

std::optional<Estimate> LearntFigure::of_stage(const std::string& stage) const {
  const auto found = of_stages.find(stage);
  if (found == of_stages.end() || found->second.empty()) {
    return std::nullopt;
  }
  std::vector<double> values;
  for (const auto& [repetition, value] : found->second) {
    values.push_back(value);
  }
  return estimate(values);
}

Learnt gather_learnt(const ReportData& data) {
  Learnt learnt;
  // The last axis of a report of runs is the stage that a row is of, and its metrics name none. An
  // axis of a sweep may have that name, too.
  const bool of_runs = !data.axes.empty() && data.axes.back().name == "stage" &&
                       (data.metrics.empty() || !parse_metric(data.metrics.front()));
  learnt.axes = data.axes.size() - (of_runs ? 1 : 0);
  learnt.by_run = has_several_runs(data, learnt.axes);
  std::set<fs::path> seen;
  std::set<std::string> without_bilevel;
  for (const Observation& observation : data.observations) {
    const std::optional<RunResults> run = seen.insert(observation.folder).second
                                              ? run_results_if_there(observation.folder)
                                              : std::nullopt;
    if (!run) {
      continue;
    }
    for (const auto& [name, results] : run->stages) {
      if (results.describes) {
        add_stage(observation, name, results, learnt);
        if (!has_bilevel_training(*run, name)) {
          without_bilevel.insert(name);
        }
      }
    }
    if (learnt.reference.empty()) {
      learnt.reference = stage_looking_at(*run, data.reference);
    }
  }
  std::sort(learnt.stages.begin(), learnt.stages.end());
  if (learnt.reference.empty() && !learnt.stages.empty()) {
    learnt.reference = without_bilevel.empty() ? learnt.stages.front() : *without_bilevel.begin();
  }
  tell_arms_apart(learnt);
  return learnt;
}

std::vector<LearntComparison> compare_learnt(const Learnt& learnt) {
  std::vector<LearntComparison> comparisons;
  for (const std::string& stage : learnt.stages) {
    if (stage != learnt.reference) {
      LearntComparison comparison = compare_with_reference(learnt, stage);
      if (!comparison.differences.empty()) {
        comparisons.push_back(std::move(comparison));
      }
    }
  }
  return comparisons;
}

}  // namespace bissl::host
