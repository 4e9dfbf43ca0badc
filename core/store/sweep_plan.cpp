#include "store/sweep_plan.h"

#include "base/json_file.h"
#include "bissl/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace bissl::host {
namespace {

using nlohmann::json;

/// 1: directions of metrics are always given. Read as well.
constexpr int plan_format = 2;

json optional_json(const std::optional<size_t>& value) {
  return value ? json(*value) : json(nullptr);
}

json optional_json(const std::optional<bool>& value) {
  return value ? json(*value) : json(nullptr);
}

template <class T>
std::optional<T> optional_from(const json& value) {
  return value.is_null() ? std::nullopt : std::optional(value.get<T>());
}

json axis_json(const SweepPlan::AxisText& axis) {
  json result = {{"name", axis.name},
                 {"keys", axis.keys},
                 {"labels", axis.labels},
                 {"is_seed", axis.is_seed},
                 {"confounds_seed", axis.confounds_seed},
                 {"baseline", optional_json(axis.baseline)}};
  if (axis.is_tasks) {
    result["is_tasks"] = true;
  }
  return result;
}

json cell_json(const PlanCell& cell) {
  return {{"id", cell.id},         {"choices", cell.choices},
          {"seed", cell.seed},     {"unit", optional_json(cell.unit)},
          {"trials", cell.trials}, {"finals", cell.finals}};
}

json node_json(const PlanNode& node) {
  json result = {{"key", node.key},
                 {"stage", node.stage},
                 {"kind", node.kind},
                 {"parent", node.parent},
                 {"unit", node.unit}};
  if (!node.compared.empty()) {
    result["compared"] = node.compared;
  }
  if (!node.matched.empty()) {
    result["matched"] = node.matched;
  }
  return result;
}

PlanCell cell_from(const json& cell) {
  return {.id = cell.at("id"),
          .choices = cell.at("choices"),
          .seed = cell.at("seed"),
          .unit = optional_from<size_t>(cell.at("unit")),
          .trials = cell.at("trials"),
          .finals = cell.at("finals")};
}

SweepPlan plan_from(const json& json) {
  SweepPlan plan;
  plan.name = json.at("name");
  plan.metrics = json.at("metrics").get<std::vector<std::string>>();
  plan.reference = json.at("reference");
  plan.maximise = optional_from<bool>(json.at("maximise"));
  plan.select = json.at("select");
  plan.select_maximise = optional_from<bool>(json.at("select_maximise"));
  plan.draws = json.at("draws");
  plan.excluded = json.at("excluded");
  for (const auto& axis : json.at("axes")) {
    plan.axes.push_back({.name = axis.at("name"),
                         .keys = axis.at("keys"),
                         .labels = axis.at("labels"),
                         .is_seed = axis.at("is_seed"),
                         .confounds_seed = axis.value("confounds_seed", false),
                         .baseline = optional_from<size_t>(axis.at("baseline")),
                         .is_tasks = axis.value("is_tasks", false)});
  }
  for (const auto& unit : json.at("units")) {
    plan.units.push_back({.lock = unit.at("lock"),
                          .stages = unit.at("stages"),
                          .audits = unit.value("audits", std::map<std::string, std::string>())});
  }
  for (const auto& cell : json.at("cells")) {
    plan.cells.push_back(cell_from(cell));
  }
  for (const auto& node : json.at("nodes")) {
    plan.nodes.push_back({.key = node.at("key"),
                          .stage = node.at("stage"),
                          .kind = node.at("kind"),
                          .parent = node.at("parent"),
                          .unit = node.at("unit"),
                          .compared = node.value("compared", std::vector<std::string>()),
                          .matched = node.value("matched", "")});
  }
  return plan;
}

/// Whether all that parts of the plan refer to is there: a file that was cut, edited or mixed up
/// with another must not send anybody past the end of a list, or out of the sweep's folder.
bool is_whole(const SweepPlan& plan) {
  const auto is_unit = [&](size_t unit) { return unit < plan.units.size(); };
  const auto is_whole_cell = [&](const PlanCell& cell) {
    if (cell.choices.size() != plan.axes.size() || cell.id.empty() || cell.id.front() == '.' ||
        cell.id.find('/') != std::string::npos) {
      return false;
    }
    for (size_t i = 0; i < plan.axes.size(); ++i) {
      if (cell.choices[i] >= plan.axes[i].labels.size()) {
        return false;
      }
    }
    const bool search = !cell.unit && !cell.trials.empty() &&
                        cell.trials.size() == cell.finals.size() &&
                        cell.trials.size() == plan.draws.size();
    return (search || (cell.unit && is_unit(*cell.unit))) &&
           std::all_of(cell.trials.begin(), cell.trials.end(), is_unit) &&
           std::all_of(cell.finals.begin(), cell.finals.end(), is_unit);
  };
  std::set<std::string> keys;
  for (const PlanNode& node : plan.nodes) {
    const std::vector<std::string> needs = needed_by(node);
    const auto is_before = [&](const std::string& key) { return keys.count(key) != 0; };
    if (!is_unit(node.unit) || !std::all_of(needs.begin(), needs.end(), is_before)) {
      return false;  // what it needs comes first
    }
    if (!keys.insert(node.key).second) {
      return false;
    }
  }
  for (const PlanUnit& unit : plan.units) {
    for (const auto& [stage, key] : unit.stages) {
      if (keys.count(key) == 0) {
        return false;
      }
    }
  }
  for (const SweepPlan::AxisText& axis : plan.axes) {
    if (axis.baseline && *axis.baseline >= axis.labels.size()) {
      return false;
    }
  }
  const auto is_table = [](const json& draw) {
    return draw.is_object() &&
           std::all_of(draw.begin(), draw.end(), [](const json& item) { return item.is_string(); });
  };
  return !plan.metrics.empty() && plan.draws.is_array() &&
         std::all_of(plan.draws.begin(), plan.draws.end(), is_table) &&
         std::all_of(plan.cells.begin(), plan.cells.end(), is_whole_cell);
}

}  // namespace

std::vector<std::string> needed_by(const PlanNode& node) {
  std::vector<std::string> keys = node.compared;
  if (!node.parent.empty()) {
    keys.insert(keys.begin(), node.parent);
  }
  if (!node.matched.empty()) {
    keys.push_back(node.matched);
  }
  return keys;
}

void SweepPlan::make_index() const {
  if (index_.size() == nodes.size()) {
    return;
  }
  index_.clear();
  for (size_t i = 0; i < nodes.size(); ++i) {
    index_[nodes[i].key].node = i;
  }
  const auto note = [&](size_t unit, size_t cell, std::optional<size_t> draw) {
    for (const auto& [stage, key] : units.at(unit).stages) {
      Place& place = index_.at(key);
      if (!place.cell) {
        place.cell = cell;
        place.draw = draw;
      }
    }
  };
  for (size_t i = 0; i < cells.size(); ++i) {
    if (cells[i].unit) {
      note(*cells[i].unit, i, std::nullopt);
    }
    for (const auto* list : {&cells[i].trials, &cells[i].finals}) {
      for (size_t draw = 0; draw < list->size(); ++draw) {
        note((*list)[draw], i, draw);
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
  static const std::string none;
  node(key);  // says so if there is no such stage
  const Place& place = index_.at(key);
  return place.cell ? cells[*place.cell].id : none;
}

std::string SweepPlan::user_of(const std::string& key) const {
  node(key);
  const Place& place = index_.at(key);
  if (!place.cell) {
    return "no cell";
  }
  const PlanCell& cell = cells[*place.cell];
  std::string details = details_of(cell);
  // What all draws share, such as a parent of the stage that they change, is no draw's own.
  const auto needs = [&](size_t unit) {
    const auto& stages = units.at(unit).stages;
    return std::any_of(stages.begin(), stages.end(),
                       [&](const auto& stage) { return stage.second == key; });
  };
  const bool shared =
      cell.trials.size() > 1 && std::all_of(cell.trials.begin(), cell.trials.end(), needs);
  if (place.draw && !shared) {
    details += fmt::format("{}draw {}: {}", details.empty() ? "" : "; ", *place.draw,
                           draw_text(*place.draw));
  }
  return details.empty() ? cell.id : fmt::format("{} ({})", cell.id, details);
}

std::string SweepPlan::details_of(const PlanCell& cell) const {
  std::string values;
  std::string name;
  bool has_seed = false;
  for (size_t i = 0; i < axes.size(); ++i) {
    const std::string& label = axes[i].labels.at(cell.choices.at(i));
    name += fmt::format("{}{}={}", i == 0 ? "" : ",", axes[i].name, label);
    values += fmt::format("{}{} = {}", i == 0 ? "" : ", ", axes[i].name, label);
    has_seed = has_seed || axes[i].keys == std::vector<std::string>{"seed"};
  }
  std::string details = name == cell.id || axes.empty() ? "" : values;
  if (!has_seed) {
    details += fmt::format("{}seed {}", details.empty() ? "" : "; ", cell.seed);
  }
  return details;
}

std::string SweepPlan::draw_text(size_t draw) const {
  std::string text;
  for (const auto& [key, value] : draws.at(draw).items()) {
    text += fmt::format("{}{} = {}", text.empty() ? "" : ", ", key, value.get<std::string>());
  }
  return text;
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
                 {"maximise", optional_json(maximise)},
                 {"select", select},
                 {"select_maximise", optional_json(select_maximise)},
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
    if (!unit.audits.empty()) {
      result["units"].back()["audits"] = unit.audits;
    }
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
  if (!json.is_object() || !json.contains("format") || !json["format"].is_number_integer() ||
      json["format"] < 1 || json["format"] > plan_format) {
    fail_input("this is not a sweep's plan in the format {}, which this program writes",
               plan_format);
  }
  std::optional<SweepPlan> plan;
  try {
    plan = plan_from(json);
  } catch (const nlohmann::json::exception&) {
    // Something is missing, or of another kind.
  }
  if (!plan || !is_whole(*plan)) {
    fail_input(
        "this is not a whole plan of a sweep: parts are missing or not what this program writes. "
        "`bissl sweep` with the ablation's file writes it anew");
  }
  return std::move(*plan);
}

SweepPlan load_plan(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / plan_file;
  try {
    return SweepPlan::from_json(parse_json_file(file));
  } catch (const Error& error) {
    throw error.at(file.string());
  }
}

}  // namespace bissl::host
