#include "bissl/error.h"
#include "pipeline/diagnostics.h"
#include "pipeline/metric_name.h"
#include "plugins/spelling.h"
#include "report/result_files.h"
#include "store/stage_store.h"
#include "store/sweep_folder.h"
#include "text/json_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace bissl {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

MetricName split(const std::string& name) {
  std::optional<MetricName> parts = parse_metric(name);
  if (!parts) {
    fail_input("\"{}\" is no metric of a sweep; expected {}", name, metric_form);
  }
  return std::move(*parts);
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
    data_.replicates = replicates();
    return std::move(data_);
  }

 private:
  std::string replicates() const {
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
      data_.axes.push_back(
          {.name = axis.name, .labels = axis.labels, .baseline = axis.baseline.value_or(0)});
    }
  }

  void read_metrics() {
    data_.metrics = plan_.metrics;
    data_.reference = plan_.reference;
    data_.maximise = plan_.maximise;
    if (!wanted_.empty()) {
      wanted_ = split(wanted_).text();
      std::erase(data_.metrics, wanted_);
      data_.metrics.insert(data_.metrics.begin(), wanted_);
      data_.maximise = !wanted_.ends_with("loss");
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
  void note_metrics(const json& stages) {
    for (const auto& [stage, results] : stages.items()) {
      const json scored = results.value("metrics", json::object());
      for (const auto& [data, metrics] : scored.items()) {
        for (const auto& [metric, ignored] : metrics.items()) {
          given_.insert(MetricName{stage, data, metric}.text());
        }
      }
    }
  }

  void read_cell(const PlanCell& cell) {
    std::vector<size_t> choices = cell.choices;
    std::string replicate = "run";
    if (seed_axis_) {
      const SweepPlan::AxisText& axis = plan_.axes[*seed_axis_];
      replicate = fmt::format("{} {}", axis.name, axis.labels.at(choices.at(*seed_axis_)));
      choices.erase(choices.begin() + static_cast<long>(*seed_axis_));
    }
    const std::vector<CellFailure> failures = files_.failures(
        cell, {.is_done = [this](const std::string& key) { return is_finished(key); },
               .has_score = [this](const PlanUnit& unit) { return has_score(unit); }});
    const std::optional<json> results = files_.results(cell);
    if (!results) {
      add_missing(cell, failures, cause_of(cell, failures));
      return;
    }
    for (const CellFailure& failure : failures) {
      data_.failed_draws.push_back(
          {cell.id, failure_text(plan_, cell, failure), failure_json(plan_, failure)});
    }
    try {
      read_results(cell, *results, choices, replicate);
    } catch (const json::exception&) {
      fail_input("{} is not what this program writes: parts are missing or of another kind",
                 (files_.cell_folder(cell) / "results.json").string());
    }
  }

  bool is_finished(const std::string& key) const { return fs::exists(store_ / key / "stage.json"); }

  /// Whether a draw that was run has the metric by which one is chosen.
  bool has_score(const PlanUnit& unit) const {
    const MetricName parts = split(plan_.select);
    for (const auto& [stage, key] : unit.stages) {
      if (stage == parts.stage) {
        const std::optional<json> results = read_json_if_there(store_ / key / "results.json");
        return results &&
               number_at(*results, {"metrics", parts.data, parts.metric, "mean"}).has_value();
      }
    }
    return false;
  }

  void read_results(const PlanCell& cell, const json& results, const std::vector<size_t>& choices,
                    const std::string& replicate) {
    const fs::path folder = files_.cell_folder(cell);
    const json& stages = results.at("stages");
    note_metrics(stages);
    add_timings(data_, stages, stage_names_, folder, choices, replicate);
    if (results.contains("search")) {
      add_chosen(results.at("search"), choices, replicate);
    }
    add_observations(stages, choices, replicate, folder);
    if (data_.observations.empty() || data_.observations.back().folder != folder ||
        data_.observations.back().metrics.count(data_.metrics.front()) == 0) {
      const std::string reason = reason_at(stages, data_.metrics.front());
      add_missing(cell, {},
                  reason.empty()
                      ? fmt::format("its results have no {}", data_.metrics.front())
                      : fmt::format("{} is not finite: {}", data_.metrics.front(), reason));
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

  void add_chosen(const json& search, const std::vector<size_t>& choices,
                  const std::string& replicate) {
    data_.selected_by = search.at("select");
    const size_t draw = search.at("chosen");
    data_.chosen.push_back({.choices = choices,
                            .replicate = replicate,
                            .draw = draw,
                            .values = search.at("values"),
                            .score = search.at("scores").at(draw)});
  }

  void add_observations(const json& stages, const std::vector<size_t>& choices,
                        const std::string& replicate, const fs::path& folder) {
    std::vector<std::string> names = data_.metrics;
    if (!data_.reference.empty()) {
      names.push_back(data_.reference);
    }
    // Where nothing else repeats, the repeats of fine-tuning do.
    const MetricName first = split(data_.metrics.front());
    const json runs = stages.contains(first.stage)
                          ? stages.at(first.stage).value("runs", json::array())
                          : json::array();
    if (!seed_axis_ && runs.size() > 1) {
      by_repeats_ = true;
      for (size_t repeat = 0; repeat < runs.size(); ++repeat) {
        Observation observation{choices, fmt::format("repeat {}", repeat), {}, folder};
        for (const std::string& name : names) {
          add_repeat(observation, stages, name, repeat);
        }
        data_.observations.push_back(std::move(observation));
      }
      return;
    }
    Observation observation{choices, replicate, {}, folder};
    for (const std::string& name : names) {
      const MetricName parts = split(name);
      if (const auto value =
              number_at(stages, {parts.stage, "metrics", parts.data, parts.metric, "mean"})) {
        observation.metrics[name] = *value;
      }
    }
    data_.observations.push_back(std::move(observation));
  }

  /// Why a metric has no finite mean; empty if it has, or is not there at all.
  static std::string reason_at(const json& stages, const std::string& name) {
    const MetricName parts = split(name);
    const json::json_pointer place = json::json_pointer() / parts.stage / "metrics" / parts.data /
                                     parts.metric / not_finite_key / "mean";
    return stages.contains(place) && stages.at(place).is_string()
               ? stages.at(place).get<std::string>()
               : "";
  }

  static void add_repeat(Observation& observation, const json& stages, const std::string& name,
                         size_t repeat) {
    const MetricName parts = split(name);
    if (!stages.contains(parts.stage)) {
      return;
    }
    const json runs = stages.at(parts.stage).value("runs", json::array());
    if (repeat < runs.size()) {
      if (const auto value = number_at(runs[repeat], {parts.metric})) {
        observation.metrics[name] = *value;
      }
    }
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

}  // namespace bissl
