#include "bissl/error.h"
#include "pipeline/metric_name.h"
#include "pipeline/toml_parser.h"
#include "plugins/spelling.h"
#include "report/result_files.h"
#include "text/json_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

namespace bissl {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// Run folders: their fine-tuning stages are the cells.
class RunReader {
 public:
  RunReader(const std::vector<fs::path>& folders, const std::string& metric)
      : folders_(folders), wanted_(metric) {}

  ReportData read() {
    refuse_repeated();
    for (const fs::path& folder : folders_) {
      runs_.push_back(read_json_object(folder / "results.json"));
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
          if (runs[repeat][metric].is_null()) {
            const json reasons = runs[repeat].value(not_finite_key, json::object());
            data_.missing.push_back({fmt::format("{}, repeat {}", data_.label(choices), repeat),
                                     fmt::format("{} is not finite: {}", score_text(data, metric),
                                                 reasons.value(metric, ""))});
          }
          if (const auto value = number_at(runs[repeat], {metric})) {
            observation.metrics[score_text(data, metric)] = *value;
          }
        }
        data_.observations.push_back(std::move(observation));
      }
      add_timings(data_, stages, chain_of(stages, names[i]), folder, choices, "run");
    }
  }

  /// A stage and those that it continues, parents first.
  static std::vector<std::string> chain_of(const json& stages, const std::string& stage) {
    std::vector<std::string> chain;
    for (std::string name = stage; stages.contains(name) && chain.size() < stages.size();
         name = stages.at(name).value("from", "")) {
      chain.insert(chain.begin(), name);
    }
    return chain;
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
      const std::vector<std::string> parts = parse_toml_key(wanted_);
      if (parts.size() == 2) {
        wanted_ = score_text(parts[0], parts[1]);
      }
      if (names.count(wanted_) == 0) {
        const std::vector<std::string> near = nearest(wanted_, data_.metrics);
        fail_input("--metric {}: the results have {}{}", wanted_, fmt::join(data_.metrics, ", "),
                   near.empty() ? "" : fmt::format("; did you mean {}?", near.front()));
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

ReportData gather_runs(const std::vector<fs::path>& folders, const std::string& metric) {
  return RunReader(folders, metric).read();
}

}  // namespace bissl
