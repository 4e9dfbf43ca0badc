#include "report/sweep_results.h"

#include "base/spelling.h"
#include "bissl/error.h"
#include "pipeline/diagnostics.h"
#include "pipeline/metric_name.h"
#include "report/result_files.h"
#include "store/stage_store.h"
#include "store/sweep_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// A metric's name in its plain spelling.
std::string plain_name(const std::string& name) {
  const std::optional<MetricName> parts = parse_metric(name);
  if (!parts) {
    fail_input("\"{}\" is not a metric of a sweep; expected {}", name, metric_form);
  }
  return parts->text();
}

/// A sweep's folder, by its plan and its cells' results.
class SweepReader {
 public:
  SweepReader(fs::path folder, const std::string& metric)
      : folder_(std::move(folder)),
        plan_(load_plan(folder_)),
        files_(plan_, folder_),
        store_(store_folder(fs::absolute(folder_).lexically_normal() / "..")),
        wanted_(metric) {}

  ReportData read() {
    read_axes();
    read_metrics();
    for (const PlanUnit& unit : plan_.units) {
      for (const auto& [name, key] : unit.stages) {
        if (std::find(stage_names_.begin(), stage_names_.end(), name) == stage_names_.end()) {
          stage_names_.push_back(name);
        }
      }
    }
    for (const PlanCell& cell : plan_.cells) {
      read_cell(cell);
    }
    require_wanted();
    data_.repetitions = repetitions();
    return std::move(data_);
  }

 private:
  std::string repetitions() const {
    if (seed_axis_) {
      const std::string& name = plan_.axes[*seed_axis_].name;
      return name == "seed" ? "seeds" : fmt::format("seeds ({})", name);
    }
    std::string text =
        by_repeats_ ? "fine-tuning repeats, which share what comes before them" : "single runs";
    for (const SweepPlan::AxisText& axis : plan_.axes) {
      if (axis.confounds_seed) {
        text += fmt::format(
            " (along {} the seed changes together with something else: their effects cannot be "
            "told apart)",
            axis.name);
      }
    }
    return text;
  }

  void read_axes() {
    data_.title = plan_.name;
    for (size_t i = 0; i < plan_.axes.size(); ++i) {
      const SweepPlan::AxisText& axis = plan_.axes[i];
      if (axis.is_seed) {
        seed_axis_ = i;
        continue;
      }
      data_.axes.push_back({.name = axis.name,
                            .labels = axis.labels,
                            .baseline = axis.baseline.value_or(0),
                            .is_tasks = axis.is_tasks});
    }
  }

  void read_metrics() {
    data_.metrics = plan_.metrics;
    data_.reference = plan_.reference;
    data_.higher_is_better = plan_.maximise;
    if (!wanted_.empty()) {
      wanted_ = plain_name(wanted_);
      std::erase(data_.metrics, wanted_);
      data_.metrics.insert(data_.metrics.begin(), wanted_);
      data_.higher_is_better.reset();  // the results say it
    }
  }

  /// A metric that was asked for and that no result has: with those that they have.
  void require_wanted() const {
    const auto has = [&](const Observation& one) { return one.metrics.count(wanted_) != 0; };
    if (wanted_.empty() || data_.observations.empty() ||
        std::any_of(data_.observations.begin(), data_.observations.end(), has)) {
      return;
    }
    const std::vector<std::string> names(given_.begin(), given_.end());
    const std::vector<std::string> near = nearest(wanted_, names);
    fail_input("--metric {}: no result has it; they have {}{}", wanted_, quoted_list(names),
               near.empty() ? "" : fmt::format("; did you mean {}?", near.front()));
  }

  /// Notes which metrics the stages have.
  void note_metrics(const RunResults& results) {
    for (const auto& [stage, of_stage] : results.stages) {
      for (const MetricResult& metric : of_stage.metrics) {
        given_.insert(MetricName{stage, metric.data, metric.metric}.text());
      }
    }
    const MetricResult* first = results.find(data_.metrics.front());
    if (first != nullptr && !data_.higher_is_better) {
      data_.higher_is_better = first->higher_is_better;
    }
  }

  void read_cell(const PlanCell& cell) {
    std::vector<size_t> choices = cell.choices;
    std::string repetition = "run";
    if (seed_axis_) {
      const SweepPlan::AxisText& axis = plan_.axes[*seed_axis_];
      repetition = fmt::format("{} {}", axis.name, axis.labels.at(choices.at(*seed_axis_)));
      choices.erase(choices.begin() + static_cast<long>(*seed_axis_));
    }
    const std::vector<CellFailure> failures = files_.failures(
        cell, {.is_done = [this](const std::string& key) { return is_finished(key); },
               .has_score = [this](const PlanUnit& unit) { return has_score(unit); }});
    const std::optional<RunResults> results = files_.results(cell);
    if (!results) {
      add_missing(cell, failures, cause_of(cell, failures));
      return;
    }
    for (const CellFailure& failure : failures) {
      data_.failed_draws.push_back(
          {cell.id, failure_text(plan_, cell, failure), failure_json(plan_, failure)});
    }
    read_results(cell, *results, choices, repetition);
  }

  bool is_finished(const std::string& key) const { return fs::exists(store_ / key / "stage.json"); }

  /// Whether a draw that was run has the metric by which one is chosen.
  bool has_score(const PlanUnit& unit) const {
    const std::optional<MetricName> select = parse_metric(plan_.select);
    for (const auto& [stage, key] : unit.stages) {
      if (!select || stage != select->stage) {
        continue;
      }
      try {
        const StageResults results = read_stage_results(store_ / key);
        const MetricResult* score = results.find(select->data, select->metric);
        return score != nullptr && score->mean.has_value();
      } catch (const Error&) {
        return false;  // the store is not there, for a folder that was copied
      }
    }
    return false;
  }

  void read_results(const PlanCell& cell, const RunResults& results,
                    const std::vector<size_t>& choices, const std::string& repetition) {
    const fs::path folder = files_.cell_folder(cell);
    note_metrics(results);
    add_timings(data_, results, stage_names_, folder, choices, repetition);
    if (results.search) {
      add_chosen(*results.search, choices, repetition);
    }
    add_observations(results, choices, repetition, folder);
    const std::string& name = data_.metrics.front();
    if (data_.observations.empty() || data_.observations.back().folder != folder ||
        data_.observations.back().metrics.count(name) == 0) {
      const MetricResult* first = results.find(name);
      add_missing(cell, {},
                  first == nullptr || first->not_finite.empty()
                      ? fmt::format("its results have no {}", name)
                      : fmt::format("{} is not finite: {}", name, first->not_finite));
    }
  }

  void add_missing(const PlanCell& cell, const std::vector<CellFailure>& failures,
                   const std::string& cause) {
    MissingCell missing{cell.id, cause, plan_.labels(cell), cell.seed, json::array()};
    for (const CellFailure& failure : failures) {
      missing.failures.push_back(failure_json(plan_, failure));
    }
    data_.missing.push_back(std::move(missing));
  }

  void add_chosen(const SearchResults& search, const std::vector<size_t>& choices,
                  const std::string& repetition) {
    data_.selected_by = search.select;
    data_.chosen.push_back({.choices = choices,
                            .repetition = repetition,
                            .draw = search.chosen,
                            .values = search.values,
                            .score = search.scores.at(search.chosen).value_or(0)});
  }

  void add_observations(const RunResults& results, const std::vector<size_t>& choices,
                        const std::string& repetition, const fs::path& folder) {
    std::vector<std::string> names = data_.metrics;
    if (!data_.reference.empty()) {
      names.push_back(data_.reference);
    }
    // Where nothing else repeats, the networks do that a stage has trained side by side.
    const MetricResult* first = results.find(data_.metrics.front());
    if (!seed_axis_ && first != nullptr && first->values.size() > 1) {
      by_repeats_ = true;
      for (size_t repeat = 0; repeat < first->values.size(); ++repeat) {
        Observation observation{choices, fmt::format("repeat {}", repeat), {}, folder};
        for (const std::string& name : names) {
          const MetricResult* metric = results.find(name);
          if (metric != nullptr && repeat < metric->values.size() &&
              std::isfinite(metric->values[repeat])) {
            observation.metrics[name] = metric->values[repeat];
          }
        }
        observation.seconds = seconds_of(results, names);
        data_.observations.push_back(std::move(observation));
      }
      return;
    }
    Observation observation{choices, repetition, {}, folder};
    for (const std::string& name : names) {
      const MetricResult* metric = results.find(name);
      if (metric != nullptr && metric->mean) {
        observation.metrics[name] = *metric->mean;
      }
    }
    observation.seconds = seconds_of(results, names);
    data_.observations.push_back(std::move(observation));
  }

  /// The seconds of each metric's stage and those that it continues.
  static std::map<std::string, double> seconds_of(const RunResults& results,
                                                  const std::vector<std::string>& metrics) {
    std::map<std::string, double> seconds;
    for (const std::string& metric : metrics) {
      const std::optional<MetricName> name = parse_metric(metric);
      if (!name || results.stages.count(name->stage) == 0) {
        continue;
      }
      for (const std::string& stage : results.chain_of(name->stage)) {
        seconds[metric] += results.stages.at(stage).seconds;
      }
    }
    return seconds;
  }

  /// Why a cell has no results: the failures of its stages, if that is what happened.
  std::string cause_of(const PlanCell& cell, const std::vector<CellFailure>& failures) const {
    std::string cause;
    for (const CellFailure& failure : failures) {
      cause += (cause.empty() ? "" : "; ") + failure_text(plan_, cell, failure);
    }
    const bool some_draws = !cell.unit && !failures.empty() && failures.front().draw.has_value() &&
                            failures.size() < cell.trials.size();
    if (failures.empty() || some_draws) {
      const bool stale = fs::exists(files_.cell_folder(cell) / "results.json");
      cause = std::string(stale ? "not run with this plan yet: its folder holds the results of "
                                  "another one"
                                : "not run yet") +
              (cause.empty() ? "" : "; " + cause);
    }
    return cause;
  }

  fs::path folder_;
  SweepPlan plan_;
  SweepFolder files_;
  fs::path store_;  ///< may not be there, for a folder that was copied
  std::string wanted_;
  std::set<std::string> given_;  ///< metrics of all results
  ReportData data_;
  std::vector<std::string> stage_names_;  ///< parents first
  std::optional<size_t> seed_axis_;
  bool by_repeats_ = false;
};

}  // namespace

ReportData gather_sweep(const fs::path& folder, const std::string& metric) {
  return SweepReader(folder, metric).read();
}

}  // namespace bissl::host
