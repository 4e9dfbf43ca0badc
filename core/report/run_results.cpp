#include "report/run_results.h"

#include "base/json_text.h"
#include "base/spelling.h"
#include "bissl/error.h"
#include "pipeline/metric_name.h"
#include "pipeline/toml_parser.h"
#include "report/result_files.h"
#include "report/run_difference.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

/// Run folders: their fine-tuning stages are the cells.
class RunReader {
 public:
  RunReader(const std::vector<fs::path>& folders, const std::string& metric)
      : folders_(folders), wanted_(metric) {}

  ReportData read() {
    refuse_repeated();
    for (const fs::path& folder : folders_) {
      runs_.push_back(read_run_results(folder));
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
    data_.repetitions = "fine-tuning repeats, which share what comes before them";
    return std::move(data_);
  }

 private:
  bool several() const { return folders_.size() > 1; }

  /// A folder given twice would be two cells with equal results.
  void refuse_repeated() const {
    for (size_t i = 0; i < folders_.size(); ++i) {
      for (size_t k = 0; k < i; ++k) {
        std::error_code ignored;
        if (fs::equivalent(folders_[i], folders_[k], ignored)) {
          fail_input("{} and {} are the same folder: name each run once", folders_[k].string(),
                     folders_[i].string());
        }
      }
    }
  }

  /// The folder as it was named, but for what says nothing: "runs/x" for "runs/./x/", the whole
  /// path for ".".
  static std::string label_of(const fs::path& folder) {
    fs::path plain = folder.lexically_normal();
    plain = plain.has_filename() ? plain : plain.parent_path();
    const bool is_name = plain.filename() != "." && plain.filename() != "..";
    return is_name && !plain.empty() ? plain.string() : fs::canonical(folder).string();
  }

  void name_axes() {
    std::vector<std::string> titles;
    for (const fs::path& folder : folders_) {
      titles.push_back(folder_title(folder));
    }
    constexpr size_t most_named = 4;
    data_.title = !several() ? titles.front()
                  : titles.size() <= most_named
                      ? fmt::format("{} runs: {}", titles.size(), fmt::join(titles, ", "))
                      : fmt::format("{} runs", titles.size());
    if (several()) {
      data_.axes.push_back({"run", {}, 0});
      for (const fs::path& folder : folders_) {
        data_.axes.back().labels.push_back(label_of(folder));
      }
    }
    // The many figures of stages that analyse have a section of their own.
    std::vector<std::string> names = stages_with_metrics(/*analyses=*/!wanted_.empty());
    if (names.empty()) {
      names = stages_with_metrics(/*analyses=*/true);
    }
    data_.axes.push_back({"stage", names, 0});
  }

  std::vector<std::string> stages_with_metrics(bool analyses) const {
    std::vector<std::string> names;
    for (const RunResults& run : runs_) {
      for (const auto& [name, stage] : run.stages) {
        if (!stage.metrics.empty() && (analyses || !stage.describes) &&
            std::find(names.begin(), names.end(), name) == names.end()) {
          names.push_back(name);
        }
      }
    }
    return names;
  }

  void read_run(size_t number) {
    const fs::path& folder = folders_[number];
    const RunResults& run = runs_[number];
    const std::vector<std::string>& names = data_.axes.back().labels;
    for (size_t i = 0; i < names.size(); ++i) {
      const auto stage = run.stages.find(names[i]);
      if (stage == run.stages.end() || stage->second.metrics.empty()) {
        continue;
      }
      std::vector<size_t> choices;
      if (several()) {
        choices.push_back(number);
      }
      choices.push_back(i);
      read_stage(stage->second, folder, choices);
      add_timings(data_, run, run.chain_of(names[i]), folder, choices, "run");
    }
    add_missing(number);
  }

  /// The stages that the run's pipeline has and its results lack. A cell of a sweep has those that
  /// the sweep asks for.
  void add_missing(size_t number) {
    const RunResults& run = runs_[number];
    if (run.cell) {
      return;
    }
    for (const std::string& name : stages_of_lock(folders_[number])) {
      if (run.stages.count(name) == 0) {
        const std::string stage = "stage." + spelled_key(name);
        const std::string label = several() ? data_.axes.front().labels[number] : "";
        MissingCell missing{several() ? label + ", " + stage : stage,
                            "it has no result: it failed, was interrupted, or was not run yet",
                            {{"stage", name}},
                            run.seed};
        if (several()) {
          missing.axes["run"] = label;
        }
        data_.missing.push_back(std::move(missing));
      }
    }
  }

  /// None where the folder has no lock that can be read: the results are what is reported.
  static std::vector<std::string> stages_of_lock(const fs::path& folder) {
    std::vector<std::string> names;
    try {
      const nlohmann::json lock = read_lock(folder);
      const nlohmann::json stages = lock.value("stage", nlohmann::json::object());
      for (const auto& [name, table] : stages.items()) {
        names.push_back(name);
      }
    } catch (const std::exception&) {
      return {};
    }
    return names;
  }

  /// An observation for each network that the stage has scored.
  void read_stage(const StageResults& stage, const fs::path& folder,
                  const std::vector<size_t>& choices) {
    for (size_t repeat = 0; repeat < stage.metrics.front().values.size(); ++repeat) {
      Observation observation{choices, fmt::format("repeat {}", repeat), {}, folder};
      for (const MetricResult& metric : stage.metrics) {
        const double value = metric.values.at(repeat);
        names_.insert(metric.name());
        if (std::isfinite(value)) {
          observation.metrics[metric.name()] = value;
        } else {
          data_.missing.push_back(
              {fmt::format("{}, repeat {}", data_.label(choices), repeat),
               fmt::format("{} is not finite: {}", metric.name(), name_of_non_finite(value))});
        }
        if (metric.higher_is_better) {
          directions_[metric.name()] = *metric.higher_is_better;
        }
      }
      data_.observations.push_back(std::move(observation));
    }
  }

  void order_metrics() {
    std::set<std::string> finite;
    for (const Observation& observation : data_.observations) {
      for (const auto& [name, value] : observation.metrics) {
        finite.insert(name);
      }
    }
    // Where no value is finite, the report says so of all of them.
    const std::set<std::string>& shown = finite.empty() ? names_ : finite;
    data_.metrics.assign(shown.begin(), shown.end());
    // A score rather than what has no direction, as in old results, and that rather than a loss.
    const auto rank = [&](const std::string& name) {
      const std::optional<bool> direction = direction_of(name);
      return !direction ? 1 : *direction ? 0 : 2;
    };
    std::stable_sort(data_.metrics.begin(), data_.metrics.end(),
                     [&](const std::string& a, const std::string& b) { return rank(a) < rank(b); });
    if (!wanted_.empty()) {
      const std::vector<std::string> parts = parse_toml_key(wanted_);
      if (parts.size() == 2) {
        wanted_ = score_text(parts[0], parts[1]);
      }
      if (names_.count(wanted_) == 0) {
        const std::vector<std::string> all(names_.begin(), names_.end());
        const std::vector<std::string> near = nearest(wanted_, all);
        fail_input("--metric {}: the results have {}{}", wanted_, fmt::join(all, ", "),
                   near.empty() ? "" : fmt::format("; did you mean {}?", near.front()));
      }
      std::erase(data_.metrics, wanted_);
      data_.metrics.insert(data_.metrics.begin(), wanted_);
    }
    data_.higher_is_better = direction_of(data_.metrics.front());
  }

  std::optional<bool> direction_of(const std::string& metric) const {
    const auto found = directions_.find(metric);
    return found == directions_.end() ? std::nullopt : std::optional(found->second);
  }

  const std::vector<fs::path>& folders_;
  std::string wanted_;
  std::vector<RunResults> runs_;
  std::map<std::string, bool> directions_;  ///< of metrics, where the results say them
  std::set<std::string> names_;  ///< of all metrics, also of those without a finite value
  ReportData data_;
};

}  // namespace

ReportData gather_runs(const std::vector<fs::path>& folders, const std::string& metric) {
  return RunReader(folders, metric).read();
}

}  // namespace bissl::host
