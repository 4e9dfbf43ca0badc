#pragma once

#include "data/catalog.h"
#include "pipeline/component_source.h"
#include "pipeline/reader.h"
#include "sweep/ablation.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bissl {

/// What reading a cell's pipeline takes.
struct PipelineSources {
  ComponentSource& components;
  const std::vector<StageKindSpec>& stage_kinds;
  const TableSpec& data_selection;
};

/// One resolved pipeline of a sweep: a cell's, or one draw of a cell's search.
struct PlanUnit {
  std::string lock;  ///< the pipeline, as in pipeline.lock.toml
  /// The stages to be run with their keys, parents first.
  std::vector<std::pair<std::string, std::string>> stages;
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
  std::string parent;  ///< key; empty if it starts from random weights
  size_t unit = 0;     ///< one of those that need it
};

/// Everything that a sweep is going to do, in a form that another process or another machine can
/// read: `plan.json` of the sweep's folder.
struct SweepPlan {
  struct AxisText {
    std::string name;
    std::vector<std::string> keys;
    std::vector<std::string> labels;
    bool is_seed = false;
    std::optional<size_t> baseline;
  };

  std::string name;
  std::vector<AxisText> axes;
  std::vector<std::string> metrics;
  std::string reference;  ///< a metric that the first is held against; empty for none
  bool maximise = true;
  std::string select;  ///< of the search; empty for none
  bool select_maximise = true;
  nlohmann::json draws = nlohmann::json::array();  ///< what was drawn: a table for each draw
  std::vector<PlanUnit> units;
  std::vector<PlanCell> cells;
  std::vector<PlanNode> nodes;  ///< each key once, parents first
  size_t excluded = 0;          ///< combinations that a rule took out

  const PlanNode& node(const std::string& key) const;
  /// The first cell that needs the stage, for messages.
  const std::string& cell_of(const std::string& key) const;
  /// The axes' labels of a cell, by the axis' name.
  std::map<std::string, std::string> labels(const PlanCell& cell) const;

  nlohmann::json to_json() const;
  /// Throws Error(input) for what to_json did not write.
  static SweepPlan from_json(const nlohmann::json& json);

 private:
  void make_index() const;

  struct Place {
    size_t node = 0;
    std::string cell;
  };
  mutable std::map<std::string, Place> index_;  ///< by key, made when it is first needed
};

/// What came of an ablation file: a plan, if nothing is wrong with any cell.
struct PlanResult {
  std::optional<SweepPlan> plan;
  /// The resolved pipelines of plan->units.
  std::vector<Pipeline> pipelines;
  std::vector<Diagnostic> diagnostics;
  std::vector<AskedMetric> asked = {};           ///< of the units that give results
  std::vector<AskedMetric> asked_of_draws = {};  ///< of those among which a search chooses
};

/// Reads an ablation file and the pipelines of all of its cells, and opens their data for the keys.
/// All faults of all cells are reported together, each once, with the number of cells that have it.
/// `overrides` are laid on every cell.
PlanResult make_plan(const std::filesystem::path& file, const std::vector<std::string>& overrides,
                     const PipelineSources& sources, std::shared_ptr<DatasetCache> datasets);

/// The pipeline of a unit. Throws Error(input) if its components are no longer what they were.
Pipeline read_unit(const PlanUnit& unit, const PipelineSources& sources);

/// The file of a sweep's folder that holds its plan.
inline constexpr const char* plan_file = "plan.json";

}  // namespace bissl
