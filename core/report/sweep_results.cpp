#include "bissl/error.h"
#include "pipeline/diagnostics.h"
#include "pipeline/metric_name.h"
#include "plugins/spelling.h"
#include "report/result_files.h"
#include "text/exception_text.h"
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
        plan_(read_json_object(folder_ / "plan.json")),
        wanted_(metric) {}

  ReportData read() {
    try {
      read_axes();
      read_metrics();
      for (const json& unit : plan_.at("units")) {
        for (const json& stage : unit.at("stages")) {
          const auto name = stage.at(0).get<std::string>();
          if (std::find(stage_names_.begin(), stage_names_.end(), name) == stage_names_.end()) {
            stage_names_.push_back(name);
          }
        }
      }
      for (const json& cell : plan_.at("cells")) {
        read_cell(cell);
      }
      require_wanted();
    } catch (const json::exception& error) {
      fail_input("{} is not a sweep's plan: {}", (folder_ / "plan.json").string(),
                 exception_text(error));
    }
    data_.replicates = seed_axis_    ? "seeds"
                       : by_repeats_ ? "fine-tuning repeats, which share what comes before them"
                                     : "single runs";
    return std::move(data_);
  }

 private:
  void read_axes() {
    data_.title = plan_.at("name");
    const json& axes = plan_.at("axes");
    for (size_t i = 0; i < axes.size(); ++i) {
      if (axes[i].at("is_seed").get<bool>()) {
        seed_axis_ = i;
        continue;
      }
      const json& baseline = axes[i].at("baseline");
      data_.axes.push_back({.name = axes[i].at("name"),
                            .labels = axes[i].at("labels"),
                            .baseline = baseline.is_null() ? 0 : baseline.get<size_t>()});
    }
  }

  void read_metrics() {
    data_.metrics = plan_.at("metrics").get<std::vector<std::string>>();
    data_.reference = plan_.at("reference");
    data_.maximise = plan_.at("maximise");
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

  void read_cell(const json& cell) {
    const auto id = cell.at("id").get<std::string>();
    const fs::path folder = folder_ / "cells" / id;
    if (!fs::exists(folder / "results.json")) {
      data_.missing.push_back({id, cause_of(cell)});
      return;
    }
    const json results = read_json_object(folder / "results.json");
    auto choices = cell.at("choices").get<std::vector<size_t>>();
    std::string replicate = "run";
    if (seed_axis_) {
      const size_t seed = choices.at(*seed_axis_);
      replicate = fmt::format("seed {}",
                              plan_.at("axes")[*seed_axis_].at("labels")[seed].get<std::string>());
      choices.erase(choices.begin() + static_cast<long>(*seed_axis_));
    }
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
      data_.missing.push_back(
          {id, reason.empty()
                   ? fmt::format("its results have no {}", data_.metrics.front())
                   : fmt::format("{} is not finite: {}", data_.metrics.front(), reason)});
    }
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

  /// Why a cell has no results: the failure of one of its stages, if that is what happened.
  std::string cause_of(const json& cell) const {
    std::vector<size_t> units;
    if (!cell.at("unit").is_null()) {
      units.push_back(cell.at("unit"));
    }
    for (const char* list : {"trials", "finals"}) {
      const auto more = cell.at(list).get<std::vector<size_t>>();
      units.insert(units.end(), more.begin(), more.end());
    }
    for (const size_t unit : units) {
      for (const json& stage : plan_.at("units").at(unit).at("stages")) {
        const fs::path file = folder_ / "state" / (stage.at(1).get<std::string>() + ".failed");
        if (fs::exists(file)) {
          return fmt::format("{} failed: {}", stage.at(0).get<std::string>(),
                             read_json_object(file).value("cause", ""));
        }
      }
    }
    return "not run yet";
  }

  fs::path folder_;
  json plan_;
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
