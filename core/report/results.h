#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

/// Something that distinguishes the cells of a report.
struct ReportAxis {
  std::string name;
  std::vector<std::string> labels;
  size_t baseline = 0;  ///< number of the label that others are compared with
  /// Its labels are tasks of one kind, over which arms are compared; they are not compared with
  /// each other.
  bool is_tasks = false;
};

/// One result: a cell's choices, which repetition it is, what was measured.
struct Observation {
  std::vector<size_t> choices;  ///< by axis
  std::string repetition;       ///< "seed 0", "repeat 1"
  std::map<std::string, double> metrics;
  std::filesystem::path folder;  ///< the run folder it is from
  /// Of each metric: the seconds of its stage and of those that it continues.
  std::map<std::string, double> seconds = {};
};

/// One stage of one observation's run.
struct StageTiming {
  std::vector<size_t> choices;
  std::string repetition;
  std::string stage;
  std::string kind;
  std::string key;
  std::filesystem::path folder;
  double seconds = 0;
  double peak_memory_bytes = 0;          ///< 0 if it was not recorded
  std::vector<std::string> logs = {};    ///< event logs, relative to the folder
  std::vector<std::string> losses = {};  ///< names of losses in them
  nlohmann::json bilevel = nullptr;      ///< the details of a stage with solves; null for others
};

/// The draw that a cell's random search chose.
struct ChosenDraw {
  std::vector<size_t> choices;
  std::string repetition;
  size_t draw = 0;
  std::map<std::string, std::string> values;  ///< what was drawn, by key
  double score = 0;                           ///< on the validation split
};

/// A cell without a result.
struct MissingCell {
  std::string id;
  std::string cause;
  std::map<std::string, std::string> axes = {};  ///< label by name, the seed's included
  uint64_t seed = 0;
  nlohmann::json failures = nlohmann::json::array();  ///< see failure_json
};

/// A draw of a search that failed, of a cell that has a result.
struct FailedDraw {
  std::string cell;
  std::string cause;
  nlohmann::json failure;  ///< see failure_json
};

/// What a report is made of.
struct ReportData {
  std::string title;
  std::vector<ReportAxis> axes;      ///< without the seed
  std::vector<std::string> metrics;  ///< the first is the one that is compared by
  std::string reference;             ///< a metric that the first is compared with; may be empty
  /// Whether more of the first metric is better; unset where its results do not say.
  std::optional<bool> higher_is_better;
  std::string repetitions;  ///< what the repetitions are, in words
  std::vector<Observation> observations;
  std::vector<StageTiming> stages;
  std::vector<MissingCell> missing;
  std::vector<FailedDraw> failed_draws;
  std::string selected_by;  ///< the metric of a search; empty for none
  std::vector<ChosenDraw> chosen;

  /// The labels of a cell: "cg, 0.1".
  std::string label(const std::vector<size_t>& choices) const;
};

/// Makes other labels the baseline: texts "AXIS=LABEL". Throws Error(input) for what is not there.
void set_baseline(ReportData& data, const std::vector<std::string>& choices);

}  // namespace bissl::host
