#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bissl::host {

/// One resolved pipeline of a sweep: a cell's, or one draw of a cell's search.
struct PlanUnit {
  std::string lock;  ///< the pipeline, as in pipeline.lock.toml
  /// The stages to be run with their keys, parents first.
  std::vector<std::pair<std::string, std::string>> stages;
  std::map<std::string, std::string> audits{};  ///< keys of the audits, by the stage's name
};

/// A combination of choices, one for each axis.
struct PlanCell {
  std::string id;               ///< names its folder: "hypergradient=cg,lambda=0.1,seed=0"
  std::vector<size_t> choices;  ///< by axis
  uint64_t seed = 0;
  /// Without a search, the one unit to run.
  std::optional<size_t> unit;
  /// With one, the units to choose among and, for each of them, the one that gives the score.
  std::vector<size_t> trials;
  std::vector<size_t> finals;
};

/// A stage that one or more units need.
struct PlanNode {
  std::string key;
  std::string stage;  ///< its name in `unit`
  std::string kind;
  std::string parent;                      ///< key; empty if it starts from random weights
  size_t unit = 0;                         ///< one of those that need it
  std::vector<std::string> compared = {};  ///< keys of stages that it reads beside its parent
  std::string matched = {};  ///< key of the stage that it is as long as; empty for none
};

/// The keys of the stages that must be finished before this one.
std::vector<std::string> needed_by(const PlanNode& node);

/// Everything that a sweep is going to do, in a form that another process or another machine can
/// read: `plan.json` of the sweep's folder.
struct SweepPlan {
  struct AxisText {
    std::string name;
    std::vector<std::string> keys;
    std::vector<std::string> labels;
    bool is_seed = false;         ///< its labels are repetitions
    bool confounds_seed = false;  ///< it varies the seed together with something else
    std::optional<size_t> baseline;
    bool is_tasks = false;  ///< its labels are tasks, over which arms are compared
  };

  std::string name;
  std::vector<AxisText> axes;
  std::vector<std::string> metrics;
  std::string reference;  ///< a metric that the first is compared with; empty for none
  /// Whether more of the first metric is better; unset: as the results say it of that metric.
  std::optional<bool> maximise;
  std::string select;                              ///< of the search; empty for none
  std::optional<bool> select_maximise;             ///< the same of the search's metric
  nlohmann::json draws = nlohmann::json::array();  ///< what was drawn: a table for each draw
  std::vector<PlanUnit> units;
  std::vector<PlanCell> cells;
  std::vector<PlanNode> nodes;  ///< each key once, parents first
  size_t excluded = 0;          ///< combinations that a rule took out

  const PlanNode& node(const std::string& key) const;
  /// The first cell that needs the stage, for messages; empty if none does.
  const std::string& cell_of(const std::string& key) const;
  /// What needs the stage, for messages: the first cell with the values, the seed and the draw that
  /// its name does not show, "lr=0.1 (seed 0; draw 3: stage.ft.batch = 50)".
  std::string user_of(const std::string& key) const;
  /// What a cell's name does not show of it: values that a folder's name changes, and the seed.
  std::string details_of(const PlanCell& cell) const;
  /// What was drawn: "stage.ft.batch = 50, stage.ft.optimizer.lr = 0.1".
  std::string draw_text(size_t draw) const;
  /// The axes' labels of a cell, by the axis' name.
  std::map<std::string, std::string> labels(const PlanCell& cell) const;

  nlohmann::json to_json() const;
  /// Throws Error(input) for what to_json did not write.
  static SweepPlan from_json(const nlohmann::json& json);

 private:
  void make_index() const;

  struct Place {
    size_t node = 0;
    std::optional<size_t> cell;  ///< the first that needs it
    std::optional<size_t> draw;  ///< of that cell's search
  };
  mutable std::map<std::string, Place> index_;  ///< by key, made when it is first needed
};

/// The file of a sweep's folder that holds its plan.
inline constexpr const char* plan_file = "plan.json";

/// The plan of a sweep's folder. Throws Error(input) if there is none that this program can read.
SweepPlan load_plan(const std::filesystem::path& folder);

}  // namespace bissl::host
