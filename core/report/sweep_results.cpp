#include "report/sweep_results.h"

#include "base/json_text.h"
#include "base/spelling.h"
#include "bissl/error.h"
#include "pipeline/diagnostics.h"
#include "pipeline/metric_name.h"
#include "report/joined_sweeps.h"
#include "report/result_files.h"
#include "store/stage_store.h"
#include "store/sweep_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <iterator>
#include <map>
#include <set>
#include <utility>

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
        wanted_(metric) {
    read_axes();
  }
  SweepReader(const SweepReader&) = delete;
  SweepReader& operator=(const SweepReader&) = delete;

  const SweepPlan& plan() const { return plan_; }
  std::optional<RunResults> results(const PlanCell& cell) const { return files_.results(cell); }
  fs::path cell_folder(const PlanCell& cell) const { return files_.cell_folder(cell); }

  /// What distinguishes a result from others: its choices and the repetition.
  using Place = std::pair<std::vector<size_t>, std::string>;
  Place place(const PlanCell& cell) const {
    Place place{cell.choices, "run"};
    if (seed_axis_) {
      const SweepPlan::AxisText& axis = plan_.axes[*seed_axis_];
      place.second = fmt::format("{} {}", axis.name, axis.labels.at(cell.choices.at(*seed_axis_)));
      place.first.erase(place.first.begin() + static_cast<long>(*seed_axis_));
    }
    return place;
  }

  /// Makes read() say nothing of a cell, of which another sweep's folder says something.
  void leave_out(const PlanCell& cell) { left_out_.insert(cell.id); }

  ReportData read() {
    read_metrics();
    for (const PlanUnit& unit : plan_.units) {
      for (const auto& [name, key] : unit.stages) {
        if (std::find(stage_names_.begin(), stage_names_.end(), name) == stage_names_.end()) {
          stage_names_.push_back(name);
        }
      }
    }
    for (const PlanCell& cell : plan_.cells) {
      if (left_out_.count(cell.id) == 0) {
        read_cell(cell);
      }
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
      if (wanted_ != plan_.metrics.front()) {
        data_.higher_is_better.reset();  // the results say it; the goal is that of the first
      }
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
    const auto [choices, repetition] = place(cell);
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
    const size_t before = data_.observations.size();
    add_observations(results, choices, repetition, folder);
    add_without_value(cell, results, before);
  }

  /// Names those of the cell's observations, from number `begin` on, that lack the first metric:
  /// the cell, where none has it.
  void add_without_value(const PlanCell& cell, const RunResults& results, size_t begin) {
    const std::string& name = data_.metrics.front();
    std::vector<size_t> without;
    for (size_t i = begin; i < data_.observations.size(); ++i) {
      if (data_.observations[i].metrics.count(name) == 0) {
        without.push_back(i);
      }
    }
    if (without.empty()) {
      return;
    }
    const MetricResult* first = results.find(name);
    if (first == nullptr || begin + without.size() == data_.observations.size()) {
      add_missing(cell, {},
                  first == nullptr || first->not_finite.empty()
                      ? fmt::format("its results have no {}", name)
                      : fmt::format("{} is not finite: {}", name, first->not_finite));
      return;
    }
    for (const size_t i : without) {
      add_missing(
          cell, {},
          fmt::format("{} is not finite: {}", name, name_of_non_finite(first->values[i - begin])));
      data_.missing.back().id += ", " + data_.observations[i].repetition;
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
      double of_chain = 0;  // a metric may be there twice, as one and as the reference
      for (const std::string& stage : results.chain_of(name->stage)) {
        of_chain += results.stages.at(stage).seconds;
      }
      seconds[metric] = of_chain;
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
  std::set<std::string> left_out_;  ///< cells
};

/// A cell of one of several sweeps.
struct CellOfSweep {
  SweepReader* sweep;
  const PlanCell* cell;

  std::string folder() const { return sweep->cell_folder(*cell).string(); }
  const std::string& lock() const {
    return sweep->plan().units.at(cell->unit ? *cell->unit : cell->finals.front()).lock;
  }
};

void require_no_difference(const std::optional<Difference>& difference, const std::string& first,
                           const std::string& other) {
  if (difference) {
    fail_input(
        "{} and {} are not of one ablation with other seeds: {} is {} in the one and {} in the "
        "other. Report each sweep on its own",
        first, other, difference->path, short_text(difference->left),
        short_text(difference->right));
  }
}

/// Leaves a cell that several sweeps have to one of them: to the first one with results.
void divide_cells(std::deque<SweepReader>& sweeps) {
  std::map<std::vector<size_t>, CellOfSweep> settings;
  std::map<SweepReader::Place, CellOfSweep> holders;
  for (SweepReader& sweep : sweeps) {
    for (const PlanCell& cell : sweep.plan().cells) {
      const CellOfSweep now{&sweep, &cell};
      const SweepReader::Place place = sweep.place(cell);
      const CellOfSweep& alike = settings.try_emplace(place.first, now).first->second;
      if (alike.sweep != &sweep) {
        require_no_difference(pipeline_difference(alike.lock(), now.lock()), alike.folder(),
                              now.folder());
      }
      CellOfSweep& holder = holders.try_emplace(place, now).first->second;
      if (holder.sweep == &sweep) {
        continue;
      }
      const std::optional<RunResults> held = holder.sweep->results(*holder.cell);
      const std::optional<RunResults> results = sweep.results(cell);
      const auto metric = held && results ? metric_difference(*held, *results) : std::nullopt;
      if (metric) {
        fail_input(
            "the cell {} has results in {} and in {} that differ, {} among them. Remove one of "
            "them, or report each sweep on its own",
            cell.id, holder.folder(), now.folder(), *metric);
      }
      const CellOfSweep& left_out = held || !results ? now : holder;
      left_out.sweep->leave_out(*left_out.cell);
      holder = held || !results ? holder : now;
    }
  }
}

template <class T>
void append(std::vector<T>& all, std::vector<T>& more) {
  all.insert(all.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

/// Adds the results of another sweep of the ablation.
void join(ReportData& data, ReportData more) {
  if (data.observations.empty()) {
    data.repetitions = more.repetitions;
  }
  if (!data.higher_is_better) {
    data.higher_is_better = more.higher_is_better;
  }
  if (data.selected_by.empty()) {
    data.selected_by = more.selected_by;
  }
  append(data.observations, more.observations);
  append(data.stages, more.stages);
  append(data.missing, more.missing);
  append(data.failed_draws, more.failed_draws);
  append(data.chosen, more.chosen);
}

}  // namespace

ReportData gather_sweeps(const std::vector<fs::path>& folders, const std::string& metric) {
  std::deque<SweepReader> readers;
  for (const fs::path& folder : folders) {
    const SweepReader& reader = readers.emplace_back(folder, metric);
    require_no_difference(plan_difference(readers.front().plan(), reader.plan()),
                          folders.front().string(), folder.string());
  }
  divide_cells(readers);
  ReportData data = readers.front().read();
  for (auto reader = std::next(readers.begin()); reader != readers.end(); ++reader) {
    join(data, reader->read());
  }
  return data;
}

}  // namespace bissl::host
