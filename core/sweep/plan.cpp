#include "sweep/plan.h"

#include "bissl/error.h"
#include "pipeline/toml_parser.h"
#include "text/exception_text.h"

#include <fmt/format.h>

#include <set>

namespace bissl {
namespace {

using nlohmann::json;

constexpr int plan_format = 1;

json optional_json(const std::optional<size_t>& value) {
  return value ? json(*value) : json(nullptr);
}

std::optional<size_t> optional_size(const json& value) {
  return value.is_null() ? std::nullopt : std::optional(value.get<size_t>());
}

json axis_json(const SweepPlan::AxisText& axis) {
  return {{"name", axis.name},
          {"keys", axis.keys},
          {"labels", axis.labels},
          {"is_seed", axis.is_seed},
          {"baseline", optional_json(axis.baseline)}};
}

json cell_json(const PlanCell& cell) {
  return {{"id", cell.id},         {"choices", cell.choices},
          {"seed", cell.seed},     {"unit", optional_json(cell.unit)},
          {"trials", cell.trials}, {"finals", cell.finals}};
}

json node_json(const PlanNode& node) {
  return {{"key", node.key},
          {"stage", node.stage},
          {"kind", node.kind},
          {"parent", node.parent},
          {"unit", node.unit}};
}

PlanCell cell_from(const json& cell) {
  return {.id = cell.at("id"),
          .choices = cell.at("choices"),
          .seed = cell.at("seed"),
          .unit = optional_size(cell.at("unit")),
          .trials = cell.at("trials"),
          .finals = cell.at("finals")};
}

SweepPlan plan_from(const json& json) {
  SweepPlan plan;
  plan.name = json.at("name");
  plan.metrics = json.at("metrics").get<std::vector<std::string>>();
  plan.reference = json.at("reference");
  plan.maximise = json.at("maximise");
  plan.select = json.at("select");
  plan.select_maximise = json.at("select_maximise");
  plan.draws = json.at("draws");
  plan.excluded = json.at("excluded");
  for (const auto& axis : json.at("axes")) {
    plan.axes.push_back({.name = axis.at("name"),
                         .keys = axis.at("keys"),
                         .labels = axis.at("labels"),
                         .is_seed = axis.at("is_seed"),
                         .baseline = optional_size(axis.at("baseline"))});
  }
  for (const auto& unit : json.at("units")) {
    plan.units.push_back({.lock = unit.at("lock"), .stages = unit.at("stages")});
  }
  for (const auto& cell : json.at("cells")) {
    plan.cells.push_back(cell_from(cell));
  }
  for (const auto& node : json.at("nodes")) {
    plan.nodes.push_back({.key = node.at("key"),
                          .stage = node.at("stage"),
                          .kind = node.at("kind"),
                          .parent = node.at("parent"),
                          .unit = node.at("unit")});
  }
  return plan;
}

/// A file that was cut, edited or mixed up with another must not send anybody past the end of a
/// list, or out of the sweep's folder.
void require_whole(const SweepPlan& plan) {
  const auto require = [](bool kept, const std::string& what) {
    if (!kept) {
      fail_input("this is not a sweep's plan: {}", what);
    }
  };
  std::set<std::string> keys;
  for (const PlanNode& node : plan.nodes) {
    require(keys.insert(node.key).second, fmt::format("the stage {} is there twice", node.key));
    require(node.parent.empty() || keys.count(node.parent) != 0,
            fmt::format("the stage {} comes before the one that it continues", node.key));
    require(node.unit < plan.units.size(), fmt::format("the stage {} has no pipeline", node.key));
  }
  for (const PlanUnit& unit : plan.units) {
    for (const auto& [stage, key] : unit.stages) {
      require(keys.count(key) != 0,
              fmt::format("nothing is known of the stage {} ({})", stage, key));
    }
  }
  for (const SweepPlan::AxisText& axis : plan.axes) {
    require(!axis.baseline || *axis.baseline < axis.labels.size(),
            fmt::format("the axis {} has no baseline of its number", axis.name));
  }
  for (const PlanCell& cell : plan.cells) {
    require(!cell.id.empty() && cell.id.front() != '.' && cell.id.find('/') == std::string::npos,
            "a cell's name is no name of a folder");
    require(cell.choices.size() == plan.axes.size(),
            fmt::format("the cell {} has not one choice for each axis", cell.id));
    for (size_t i = 0; i < plan.axes.size(); ++i) {
      require(cell.choices[i] < plan.axes[i].labels.size(),
              fmt::format("the cell {} has a choice that its axis lacks", cell.id));
    }
    std::vector<size_t> units = cell.trials;
    units.insert(units.end(), cell.finals.begin(), cell.finals.end());
    if (cell.unit) {
      units.push_back(*cell.unit);
    }
    for (const size_t unit : units) {
      require(unit < plan.units.size(), fmt::format("the cell {} has no pipeline", cell.id));
    }
  }
}

}  // namespace

void SweepPlan::make_index() const {
  if (index_.size() == nodes.size()) {
    return;
  }
  index_.clear();
  for (size_t i = 0; i < nodes.size(); ++i) {
    index_[nodes[i].key].node = i;
  }
  const auto note = [&](size_t unit, const std::string& cell) {
    for (const auto& [stage, key] : units.at(unit).stages) {
      std::string& first = index_.at(key).cell;
      first = first.empty() ? cell : first;
    }
  };
  for (const PlanCell& cell : cells) {
    if (cell.unit) {
      note(*cell.unit, cell.id);
    }
    for (const auto* list : {&cell.trials, &cell.finals}) {
      for (const size_t unit : *list) {
        note(unit, cell.id);
      }
    }
  }
}

const PlanNode& SweepPlan::node(const std::string& key) const {
  make_index();
  const auto found = index_.find(key);
  if (found == index_.end()) {
    fail_run("the plan has no stage {}", key);
  }
  return nodes[found->second.node];
}

const std::string& SweepPlan::cell_of(const std::string& key) const {
  node(key);  // says so if there is no such stage
  return index_.at(key).cell;
}

std::map<std::string, std::string> SweepPlan::labels(const PlanCell& cell) const {
  std::map<std::string, std::string> labels;
  for (size_t i = 0; i < axes.size(); ++i) {
    labels[axes[i].name] = axes[i].labels.at(cell.choices.at(i));
  }
  return labels;
}

json SweepPlan::to_json() const {
  json result = {{"format", plan_format},
                 {"name", name},
                 {"metrics", metrics},
                 {"reference", reference},
                 {"maximise", maximise},
                 {"select", select},
                 {"select_maximise", select_maximise},
                 {"draws", draws},
                 {"excluded", excluded},
                 {"axes", json::array()},
                 {"units", json::array()},
                 {"cells", json::array()},
                 {"nodes", json::array()}};
  for (const AxisText& axis : axes) {
    result["axes"].push_back(axis_json(axis));
  }
  for (const PlanUnit& unit : units) {
    result["units"].push_back({{"lock", unit.lock}, {"stages", unit.stages}});
  }
  for (const PlanCell& cell : cells) {
    result["cells"].push_back(cell_json(cell));
  }
  for (const PlanNode& node : nodes) {
    result["nodes"].push_back(node_json(node));
  }
  return result;
}

SweepPlan SweepPlan::from_json(const json& json) {
  const bool known = json.is_object() && json.contains("format") && json["format"] == plan_format;
  if (!known) {
    fail_input("this is not a sweep's plan in the format {}, which this program writes",
               plan_format);
  }
  try {
    SweepPlan plan = plan_from(json);
    require_whole(plan);
    return plan;
  } catch (const nlohmann::json::exception& error) {
    fail_input("this is not a sweep's plan: {}", exception_text(error));
  }
}

Pipeline read_unit(const PlanUnit& unit, const PipelineSources& sources) {
  DiagnosticCollector diagnostics;
  std::optional<ConfigNode> root = parse_toml(unit.lock, "pipeline.lock.toml", diagnostics);
  if (!root) {
    fail_input("the sweep's plan holds no pipeline: {}", to_text(diagnostics.sorted("")));
  }
  ReadResult read = read_pipeline({.file = "pipeline.lock.toml",
                                   .overrides = {},
                                   .components = sources.components,
                                   .stage_kinds = sources.stage_kinds,
                                   .data_selection = sources.data_selection,
                                   .root = std::move(root),
                                   .warn_of_unused_data = false});
  if (!read.pipeline) {
    fail_input("the components are no longer those of the sweep's plan: {}",
               to_text(read.diagnostics));
  }
  return std::move(*read.pipeline);
}

}  // namespace bissl
