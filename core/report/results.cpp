#include "report/results.h"

#include "bissl/error.h"
#include "store/posix_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace bissl {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr uint64_t most_bytes = uint64_t{1} << 30;

json read_json(const fs::path& file) {
  json content = json::parse(read_whole(file, most_bytes), nullptr, /*allow_exceptions=*/false);
  if (!content.is_object()) {
    fail_input("{} is not what this program writes: a JSON object was expected", file.string());
  }
  return content;
}

/// The number at a path of keys, if it is there and finite.
std::optional<double> number_at(const json& from, const std::vector<std::string>& keys) {
  const json* node = &from;
  for (const std::string& key : keys) {
    if (!node->is_object() || !node->contains(key)) {
      return std::nullopt;
    }
    node = &node->at(key);
  }
  if (!node->is_number()) {
    return std::nullopt;
  }
  const auto value = node->get<double>();
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

struct MetricName {
  std::string stage;
  std::string data;
  std::string metric;
};

MetricName split(const std::string& name) {
  const size_t last = name.rfind('.');
  const size_t middle = last == std::string::npos || last == 0 ? last : name.rfind('.', last - 1);
  if (last == std::string::npos || middle == std::string::npos) {
    fail_input(
        "\"{}\" is no metric of a sweep: \"STAGE.DATA.METRIC\" was expected, such as "
        "\"finetune.test.top1\"",
        name);
  }
  return {name.substr(0, middle), name.substr(middle + 1, last - middle - 1),
          name.substr(last + 1)};
}

/// In the order of `names`; results.json has the stages in that of the alphabet.
void add_timings(ReportData& data, const json& stages, const std::vector<std::string>& names,
                 const fs::path& folder, const std::vector<size_t>& choices,
                 const std::string& replicate) {
  for (const std::string& name : names) {
    if (!stages.contains(name)) {
      continue;
    }
    const json& stage = stages.at(name);
    data.stages.push_back(
        {.choices = choices,
         .replicate = replicate,
         .stage = name,
         .kind = stage.value("kind", ""),
         .key = stage.value("key", ""),
         .folder = folder / name,
         .seconds = number_at(stage, {"seconds"}).value_or(0),
         .peak_memory_bytes = number_at(stage, {"peak_memory_bytes"}).value_or(0)});
  }
}

/// A sweep's folder, by its plan and its cells' results.
class SweepReader {
 public:
  SweepReader(fs::path folder, const std::string& metric)
      : folder_(std::move(folder)), plan_(read_json(folder_ / "plan.json")), wanted_(metric) {}

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
    } catch (const json::exception& error) {
      fail_input("{} is not a sweep's plan: {}", (folder_ / "plan.json").string(), error.what());
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
      split(wanted_);
      std::erase(data_.metrics, wanted_);
      data_.metrics.insert(data_.metrics.begin(), wanted_);
      data_.maximise = !wanted_.ends_with("loss");
    }
  }

  void read_cell(const json& cell) {
    const auto id = cell.at("id").get<std::string>();
    const fs::path folder = folder_ / "cells" / id;
    if (!fs::exists(folder / "results.json")) {
      data_.missing.push_back({id, cause_of(cell)});
      return;
    }
    const json results = read_json(folder / "results.json");
    auto choices = cell.at("choices").get<std::vector<size_t>>();
    std::string replicate = "run";
    if (seed_axis_) {
      const size_t seed = choices.at(*seed_axis_);
      replicate = fmt::format("seed {}",
                              plan_.at("axes")[*seed_axis_].at("labels")[seed].get<std::string>());
      choices.erase(choices.begin() + static_cast<long>(*seed_axis_));
    }
    const json& stages = results.at("stages");
    add_timings(data_, stages, stage_names_, folder, choices, replicate);
    if (results.contains("search")) {
      add_chosen(results.at("search"), choices, replicate);
    }
    add_observations(stages, choices, replicate, folder);
    if (data_.observations.empty() || data_.observations.back().folder != folder ||
        data_.observations.back().metrics.count(data_.metrics.front()) == 0) {
      data_.missing.push_back({id, fmt::format("its results have no {}", data_.metrics.front())});
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
                             read_json(file).value("cause", ""));
        }
      }
    }
    return "not run yet";
  }

  fs::path folder_;
  json plan_;
  std::string wanted_;
  ReportData data_;
  std::vector<std::string> stage_names_;  ///< parents first
  std::optional<size_t> seed_axis_;
  bool by_repeats_ = false;
};

/// Run folders: their fine-tuning stages are the cells.
class RunReader {
 public:
  RunReader(const std::vector<fs::path>& folders, const std::string& metric)
      : folders_(folders), wanted_(metric) {}

  ReportData read() {
    for (const fs::path& folder : folders_) {
      runs_.push_back(read_json(folder / "results.json"));
    }
    name_axes();
    for (size_t i = 0; i < folders_.size(); ++i) {
      read_run(i);
    }
    if (data_.observations.empty()) {
      fail_input("{}: no stage was scored, so there is nothing to report",
                 folders_.front().string());
    }
    order_metrics();
    data_.replicates = "fine-tuning repeats, which share what comes before them";
    return std::move(data_);
  }

 private:
  bool several() const { return folders_.size() > 1; }

  void name_axes() {
    data_.title = several() ? fmt::format("{} runs", folders_.size())
                            : fs::absolute(folders_.front()).lexically_normal().filename().string();
    if (several()) {
      data_.axes.push_back({"run", {}, 0});
      for (const fs::path& folder : folders_) {
        data_.axes.back().labels.push_back(folder.lexically_normal().string());
      }
    }
    std::vector<std::string> names;
    for (const json& run : runs_) {
      const json stages = run.value("stages", json::object());
      for (const auto& [name, stage] : stages.items()) {
        if (stage.contains("metrics") &&
            std::find(names.begin(), names.end(), name) == names.end()) {
          names.push_back(name);
        }
      }
    }
    data_.axes.push_back({"stage", names, 0});
  }

  void read_run(size_t number) {
    const fs::path& folder = folders_[number];
    const json stages = runs_[number].value("stages", json::object());
    const std::vector<std::string>& names = data_.axes.back().labels;
    for (size_t i = 0; i < names.size(); ++i) {
      if (!stages.contains(names[i]) || !stages.at(names[i]).contains("metrics")) {
        continue;
      }
      const json& stage = stages.at(names[i]);
      std::vector<size_t> choices;
      if (several()) {
        choices.push_back(number);
      }
      choices.push_back(i);
      const std::string data = stage.at("metrics").begin().key();
      const json runs = stage.value("runs", json::array());
      for (size_t repeat = 0; repeat < runs.size(); ++repeat) {
        Observation observation{choices, fmt::format("repeat {}", repeat), {}, folder};
        for (const auto& [metric, ignored] : runs[repeat].items()) {
          if (const auto value = number_at(runs[repeat], {metric})) {
            observation.metrics[data + "." + metric] = *value;
          }
        }
        data_.observations.push_back(std::move(observation));
      }
      add_timings(data_, stages, {names[i]}, folder, choices, "run");
    }
    std::vector<std::string> others;
    for (const auto& [name, stage] : stages.items()) {
      if (std::find(names.begin(), names.end(), name) == names.end()) {
        others.push_back(name);
      }
    }
    std::vector<size_t> none(data_.axes.size(), 0);
    none.front() = several() ? number : 0;
    add_timings(data_, stages, others, folder, none, "run");
  }

  void order_metrics() {
    std::set<std::string> names;
    for (const Observation& observation : data_.observations) {
      for (const auto& [name, value] : observation.metrics) {
        names.insert(name);
      }
    }
    data_.metrics.assign(names.begin(), names.end());
    // A score rather than a loss.
    std::stable_partition(data_.metrics.begin(), data_.metrics.end(),
                          [](const std::string& name) { return !name.ends_with("loss"); });
    if (!wanted_.empty()) {
      if (names.count(wanted_) == 0) {
        fail_input("--metric {}: the results have {}", wanted_, fmt::join(data_.metrics, ", "));
      }
      std::erase(data_.metrics, wanted_);
      data_.metrics.insert(data_.metrics.begin(), wanted_);
    }
    data_.maximise = !data_.metrics.front().ends_with("loss");
  }

  const std::vector<fs::path>& folders_;
  std::string wanted_;
  std::vector<json> runs_;
  ReportData data_;
};

}  // namespace

std::string ReportData::label(const std::vector<size_t>& choices) const {
  std::vector<std::string> parts;
  for (size_t i = 0; i < axes.size(); ++i) {
    parts.push_back(axes[i].labels.at(choices.at(i)));
  }
  return parts.empty() ? title : fmt::format("{}", fmt::join(parts, ", "));
}

ReportData gather(const std::vector<fs::path>& folders, const std::string& metric) {
  if (folders.size() == 1 && fs::exists(folders.front() / "plan.json")) {
    ReportData data = SweepReader(folders.front(), metric).read();
    if (data.observations.empty()) {
      fail_input("{}: no cell has results yet{}", folders.front().string(),
                 data.missing.empty() ? "" : "; the first: " + data.missing.front().cause);
    }
    return data;
  }
  for (const fs::path& folder : folders) {
    if (fs::exists(folder / "plan.json")) {
      fail_input("{} is a sweep: a sweep is reported on its own", folder.string());
    }
    if (!fs::exists(folder / "results.json")) {
      fail_input(
          "{} is neither a run's folder (it has no results.json) nor a sweep's (no "
          "plan.json)",
          folder.string());
    }
  }
  return RunReader(folders, metric).read();
}

void set_baseline(ReportData& data, const std::vector<std::string>& choices) {
  for (const std::string& choice : choices) {
    const size_t equals = choice.find('=');
    const std::string name = choice.substr(0, equals);
    const auto axis = std::find_if(data.axes.begin(), data.axes.end(),
                                   [&](const ReportAxis& one) { return one.name == name; });
    if (equals == std::string::npos || axis == data.axes.end()) {
      std::vector<std::string> names;
      for (const ReportAxis& one : data.axes) {
        names.push_back(one.name);
      }
      fail_input("--baseline {}: expected AXIS=LABEL; the axes are {}", choice,
                 fmt::join(names, ", "));
    }
    const std::string label = choice.substr(equals + 1);
    const auto found = std::find(axis->labels.begin(), axis->labels.end(), label);
    if (found == axis->labels.end()) {
      fail_input("--baseline {}: the labels of {} are {}", choice, name,
                 fmt::join(axis->labels, " | "));
    }
    axis->baseline = static_cast<size_t>(found - axis->labels.begin());
  }
}

}  // namespace bissl
