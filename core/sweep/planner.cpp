#include "sweep/planner.h"

#include "base/spelling.h"
#include "bissl/error.h"
#include "bissl/hash.h"
#include "pipeline/exclusive_keys.h"
#include "pipeline/lock.h"
#include "pipeline/metric_name.h"
#include "pipeline/toml_parser.h"
#include "pipeline/unset_keys.h"
#include "stages/audit_artefact.h"
#include "stages/identity.h"
#include "stages/stage_kind.h"
#include "sweep/cell_messages.h"
#include "sweep/labels.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

namespace bissl::host {
namespace {

constexpr size_t most_cells = 100000;

Diagnostic error_at(const Location& at, const std::string& key, const std::string& message,
                    const std::string& accepted = "", std::vector<std::string> suggestions = {}) {
  return {.severity = Diagnostic::Severity::error,
          .at = at,
          .key = key,
          .message = message,
          .accepted = accepted,
          .suggestions = std::move(suggestions)};
}

std::vector<AskedMetric> asked_of_draws(const SearchSpec& search) {
  return {{"search.select", search.select_at, search.select}};
}

class Planner {
 public:
  Planner(const Ablation& ablation, const PipelineSources& sources,
          std::shared_ptr<DatasetCache> datasets)
      : ablation_(ablation), sources_(sources), datasets_(std::move(datasets)) {
    for (const ParameterSpec& spec : sources.data_selection.parameters) {
      rules_.data_keys.push_back(spec.name);
    }
  }

  PlanResult plan(const Changes& changes);

 private:
  bool load_base(const Changes& changes);
  void check_keys();
  void check_key(const std::string& key, const Location& at);
  void expand();
  void lay(ConfigNode& root, std::vector<KeyValue> settings);
  std::vector<KeyValue> settings_of(const std::vector<size_t>& choices) const;
  bool is_excluded(ConfigNode root);
  std::string id_of(const std::vector<size_t>& choices) const;
  std::string unique_id(const std::string& wanted);
  void add_cell(const std::vector<size_t>& choices, const ConfigNode& root);
  void add_search(PlanCell& cell, const ConfigNode& root);
  std::vector<KeyValue> drawn(int64_t draw) const;
  void note_draws();
  size_t add_unit(const ConfigNode& root, const std::string& cell,
                  const std::vector<AskedMetric>& metrics);
  void add_stages(PlanUnit& unit, const Pipeline& pipeline, const std::set<std::string>& names,
                  const std::string& cell);
  std::set<std::string> wanted(const Pipeline& pipeline, const std::string& cell);
  void check_metric(const Pipeline& pipeline, const std::set<std::string>& stages,
                    const AskedMetric& asked, const std::string& cell);

  const Ablation& ablation_;
  const PipelineSources& sources_;
  std::shared_ptr<DatasetCache> datasets_;
  MergeRules rules_;
  DiagnosticCollector diagnostics_;
  CellMessages messages_;
  ConfigNode base_;
  SweepPlan plan_;
  std::vector<Pipeline> pipelines_;
  std::vector<std::vector<std::string>> id_parts_;  ///< of folder names, by axis and choice
  std::set<std::string> ids_;
  std::set<std::string> keys_;
  size_t combinations_ = 0;
  std::set<size_t> useful_rules_;  ///< exclusion rules that some cell met
  /// Trials of the first seed, for searches that all seeds share.
  std::map<std::vector<size_t>, std::vector<size_t>> shared_trials_;
};

bool Planner::load_base(const Changes& changes) {
  std::optional<ConfigNode> base = load_config(ablation_.pipeline, changes, rules_, diagnostics_);
  if (!base) {
    return false;
  }
  base_ = std::move(*base);
  lay(base_, ablation_.set);
  return true;
}

/// As one layer: of two keys that exclude each other, neither overrules the other. Tables first and
/// their entries after them, whatever their order in the file.
void Planner::lay(ConfigNode& root, std::vector<KeyValue> settings) {
  if (settings.empty()) {
    return;
  }
  const auto depth = [](const KeyValue& setting) { return parse_toml_key(setting.key).size(); };
  std::stable_sort(settings.begin(), settings.end(),
                   [&](const KeyValue& a, const KeyValue& b) { return depth(a) < depth(b); });
  ConfigNode layer;
  for (const KeyValue& setting : settings) {
    merge_pipeline(layer, tree_of(setting), rules_);
  }
  flatten_layers(layer);
  read_unset(layer, diagnostics_);
  layer.at = root.at;
  merge_pipeline(root, std::move(layer), rules_);
}

/// A stage or a data source that the pipeline does not have would be made by setting a key of it.
void Planner::check_key(const std::string& key, const Location& at) {
  const std::vector<std::string> parts = parse_toml_key(key);
  if (parts.size() < 2 || (parts[0] != "stage" && parts[0] != "data")) {
    return;
  }
  const ConfigEntry* tables = base_.find(parts[0]);
  std::vector<std::string> names;
  if (tables != nullptr && tables->value.is_table()) {
    for (const ConfigEntry& entry : tables->value.entries) {
      names.push_back(entry.key);
    }
  }
  if (std::find(names.begin(), names.end(), parts[1]) == names.end()) {
    diagnostics_.error(at, key,
                       fmt::format("{} has no {} \"{}\"", ablation_.pipeline.string(),
                                   parts[0] == "stage" ? "stage" : "data source", parts[1]),
                       quoted_list(names), nearest(parts[1], names));
  }
}

void Planner::check_keys() {
  for (const Axis& axis : ablation_.axes) {
    for (const KeyValue& setting : axis.choices.front().settings) {
      check_key(setting.key, setting.at);
    }
  }
  for (const KeyValue& setting : ablation_.set) {
    check_key(setting.key, setting.at);
  }
  for (const auto& rule : ablation_.exclude) {
    for (const KeyValue& setting : rule) {
      check_key(setting.key, setting.at);
    }
  }
  if (ablation_.search) {
    for (const DrawnKey& key : ablation_.search->keys) {
      check_key(key.key, key.at);
    }
    for (const KeyValue& setting : ablation_.search->final) {
      check_key(setting.key, setting.at);
    }
  }
}

std::vector<KeyValue> Planner::settings_of(const std::vector<size_t>& choices) const {
  std::vector<KeyValue> settings;
  for (size_t i = 0; i < choices.size(); ++i) {
    const auto& chosen = ablation_.axes[i].choices[choices[i]].settings;
    settings.insert(settings.end(), chosen.begin(), chosen.end());
  }
  return settings;
}

bool Planner::is_excluded(ConfigNode root) {
  if (ablation_.exclude.empty()) {
    return false;
  }
  drop_overruled(root, sources_.stage_kinds);
  const auto fits = [&](const KeyValue& setting) {
    const ConfigNode* value = value_at(root, setting.key);
    return value != nullptr && matches(*value, setting.value);
  };
  bool excluded = false;
  for (size_t i = 0; i < ablation_.exclude.size(); ++i) {
    const auto& rule = ablation_.exclude[i];
    if (std::all_of(rule.begin(), rule.end(), fits)) {
      excluded = true;
      useful_rules_.insert(i);
    }
  }
  return excluded;
}

std::string Planner::id_of(const std::vector<size_t>& choices) const {
  std::vector<std::string> parts;
  for (size_t i = 0; i < choices.size(); ++i) {
    parts.push_back(id_parts_[i].at(choices[i]));
  }
  return parts.empty() ? "cell" : fmt::format("{}", fmt::join(parts, ","));
}

/// Long names and names that are taken get a part of their hash.
std::string Planner::unique_id(const std::string& wanted) {
  constexpr size_t longest = 120;
  std::string id = wanted.size() <= longest ? wanted : "";
  for (int attempt = 0; id.empty() || !ids_.insert(id).second; ++attempt) {
    id = wanted.substr(0, longest - 9) + "-" +
         hash_hex(fmt::format("{}#{}", wanted, attempt)).substr(0, 8);
  }
  return id;
}

void Planner::expand() {
  combinations_ = 1;
  for (const Axis& axis : ablation_.axes) {
    std::vector<std::string> parts;
    for (const Axis::Choice& choice : axis.choices) {
      parts.push_back(axis.name + "=" + choice.label);
    }
    id_parts_.push_back(folder_parts(parts));
    combinations_ *= axis.choices.size();
    if (combinations_ > most_cells) {
      diagnostics_.error({ablation_.file.string(), 0, 0}, "axes",
                         fmt::format("the axes have more than {} combinations", most_cells));
      return;
    }
  }
  for (size_t number = 0; number < combinations_; ++number) {
    std::vector<size_t> choices(ablation_.axes.size());
    size_t rest = number;
    for (size_t i = choices.size(); i-- > 0;) {
      choices[i] = rest % ablation_.axes[i].choices.size();
      rest /= ablation_.axes[i].choices.size();
    }
    ConfigNode root = base_;
    lay(root, settings_of(choices));
    if (is_excluded(root)) {
      ++plan_.excluded;
    } else {
      add_cell(choices, root);
    }
  }
  for (size_t i = 0; i < ablation_.exclude.size(); ++i) {
    if (useful_rules_.count(i) == 0) {
      diagnostics_.warning(ablation_.exclude[i].front().at, "exclude", "this rule meets no cell");
    }
  }
  if (plan_.cells.empty()) {
    diagnostics_.error({ablation_.file.string(), 0, 0}, "exclude", "no cell is left");
  }
}

void Planner::add_cell(const std::vector<size_t>& choices, const ConfigNode& root) {
  PlanCell cell;
  cell.choices = choices;
  cell.id = unique_id(id_of(choices));
  if (ablation_.search) {
    add_search(cell, root);
  } else {
    cell.unit = add_unit(root, cell.id, ablation_.asked);
  }
  const size_t unit = cell.unit ? *cell.unit : cell.finals.front();
  cell.seed = pipelines_[unit].seed;
  plan_.cells.push_back(std::move(cell));
}

std::vector<KeyValue> Planner::drawn(int64_t draw) const {
  std::vector<KeyValue> settings;
  for (const DrawnKey& key : ablation_.search->keys) {
    settings.push_back(
        {key.key, key.at, key.distribution.draw(ablation_.search->seed, key.key, draw, key.at)});
  }
  return settings;
}

void Planner::add_search(PlanCell& cell, const ConfigNode& root) {
  const SearchSpec& search = *ablation_.search;
  std::vector<size_t> group = cell.choices;
  for (size_t i = 0; i < group.size(); ++i) {
    if (ablation_.axes[i].is_seed && !search.per_seed) {
      group[i] = 0;
    }
  }
  std::vector<size_t>& trials = shared_trials_[group];
  const bool tried_before = !trials.empty();
  for (int64_t draw = 0; draw < search.draws; ++draw) {
    ConfigNode trial = root;
    lay(trial, drawn(draw));
    if (!tried_before) {
      trials.push_back(add_unit(trial, cell.id, asked_of_draws(search)));
    }
    lay(trial, search.final);
    cell.finals.push_back(add_unit(trial, cell.id, ablation_.asked));
  }
  cell.trials = trials;
}

/// Reads the pipeline and finds its keys; what is wrong is noted for the cell.
size_t Planner::add_unit(const ConfigNode& root, const std::string& cell,
                         const std::vector<AskedMetric>& metrics) {
  ReadResult read = read_pipeline({.file = ablation_.pipeline,
                                   .overrides = {},
                                   .components = sources_.components,
                                   .stage_kinds = sources_.stage_kinds,
                                   .data_selection = sources_.data_selection,
                                   .root = root,
                                   // One cell may use what another does not.
                                   .warn_of_unused_data = false});
  for (const Diagnostic& diagnostic : read.diagnostics) {
    messages_.add(diagnostic, {cell});
  }
  PlanUnit unit;
  if (read.pipeline) {
    const std::set<std::string> names = wanted(*read.pipeline, cell);
    for (const AskedMetric& asked : metrics) {
      check_metric(*read.pipeline, names, asked, cell);
    }
    add_stages(unit, *read.pipeline, names, cell);
  }
  plan_.units.push_back(std::move(unit));
  pipelines_.push_back(read.pipeline ? std::move(*read.pipeline) : Pipeline());
  return plan_.units.size() - 1;
}

/// Whether the metric is of a stage that is run and scored on that data. Which metrics these have
/// shows when the stages are tried.
void Planner::check_metric(const Pipeline& pipeline, const std::set<std::string>& stages,
                           const AskedMetric& asked, const std::string& cell) {
  const std::optional<MetricName> wanted = parse_metric(asked.metric);
  if (!wanted) {
    return;  // reported by the reader
  }
  std::vector<std::string> possible;
  for (const Stage& stage : pipeline.stages) {
    if (stages.count(stage.name) == 0) {
      continue;
    }
    for (const DataUse& use : stage_kind(stage.kind).data(stage)) {
      if (use.scores) {
        if (stage.name == wanted->stage && use.name == wanted->data) {
          return;
        }
        possible.push_back(MetricName{stage.name, use.name, wanted->metric}.text());
      }
    }
  }
  messages_.add(
      error_at(asked.at, asked.key, fmt::format("no stage that is run gives {}", asked.metric),
               possible.empty() ? "none: no stage that is run is scored" : quoted_list(possible),
               nearest(asked.metric, possible)),
      {cell});
}

/// The stages to be run: those that are asked for and what they continue.
std::set<std::string> Planner::wanted(const Pipeline& pipeline, const std::string& cell) {
  std::set<std::string> names;
  std::vector<std::string> all;
  for (const Stage& stage : pipeline.stages) {
    all.push_back(stage.name);
  }
  const std::vector<std::string>& asked = ablation_.stages.empty() ? all : ablation_.stages;
  for (std::string name : asked) {
    if (std::find(all.begin(), all.end(), name) == all.end()) {
      messages_.add(error_at({ablation_.file.string(), 0, 0}, "stages",
                             fmt::format("there is no stage \"{}\"", name), quoted_list(all),
                             nearest(name, all)),
                    {cell});
      continue;
    }
    for (; !name.empty(); name = pipeline.stage(name).from) {
      names.insert(name);
    }
  }
  return names;
}

void Planner::add_stages(PlanUnit& unit, const Pipeline& pipeline,
                         const std::set<std::string>& names, const std::string& cell) {
  DataCatalog data(pipeline, datasets_);
  std::map<std::string, std::string> keys;
  try {
    for (const Stage& stage : pipeline.stages) {
      if (names.count(stage.name) == 0) {
        continue;
      }
      const std::string parent = stage.from.empty() ? "" : keys.at(stage.from);
      const std::string key = identify(pipeline, stage, data, parent).key;
      keys[stage.name] = key;
      unit.stages.emplace_back(stage.name, key);
      if (const auto audit = audit_identity(stage, key)) {
        unit.audits[stage.name] = audit->key;
      }
      if (keys_.insert(key).second) {
        plan_.nodes.push_back({key, stage.name, stage.kind, parent, plan_.units.size()});
      }
    }
    unit.lock = lock_text(pipeline, data);
  } catch (const Error& error) {
    messages_.add(error_at({ablation_.pipeline.string(), 0, 0}, "", error.what()), {cell});
  }
}

/// Tells what was drawn by texts that are exact, and that tell the choices of a list apart.
void Planner::note_draws() {
  const SearchSpec& search = *ablation_.search;
  plan_.select = search.select;
  plan_.select_maximise = search.maximise;
  plan_.draws = nlohmann::json(static_cast<size_t>(search.draws), nlohmann::json::object());
  for (const DrawnKey& key : search.keys) {
    const std::vector<ConfigNode>& choices = key.distribution.choices;
    const std::vector<std::string> labels = labels_of(choices);
    for (int64_t draw = 0; draw < search.draws; ++draw) {
      const ConfigNode value = key.distribution.draw(search.seed, key.key, draw, key.at);
      const auto choice = std::find_if(choices.begin(), choices.end(), [&](const ConfigNode& one) {
        return same_value(one, value);
      });
      plan_.draws[static_cast<size_t>(draw)][key.key] =
          choice == choices.end() ? labels_of({value}).front()
                                  : labels[static_cast<size_t>(choice - choices.begin())];
    }
  }
}

PlanResult Planner::plan(const Changes& changes) {
  PlanResult result;
  if (load_base(changes)) {
    check_keys();
    if (diagnostics_.errors() == 0) {
      expand();
    }
  }
  result.diagnostics = diagnostics_.sorted(ablation_.file.string());
  const std::vector<Diagnostic> of_cells = messages_.all(plan_.cells.size());
  result.diagnostics.insert(result.diagnostics.end(), of_cells.begin(), of_cells.end());
  if (has_errors(result.diagnostics)) {
    return result;
  }
  plan_.name = ablation_.name;
  plan_.metrics = ablation_.metrics;
  plan_.reference = ablation_.reference;
  plan_.maximise = ablation_.maximise;
  for (size_t i = 0; i < ablation_.axes.size(); ++i) {
    const Axis& axis = ablation_.axes[i];
    SweepPlan::AxisText text{.name = axis.name,
                             .keys = axis.keys,
                             .labels = {},
                             .is_seed = axis.is_seed,
                             .confounds_seed = axis.confounds_seed,
                             .baseline = ablation_.baseline[i]};
    for (const Axis::Choice& choice : axis.choices) {
      text.labels.push_back(choice.label);
    }
    plan_.axes.push_back(std::move(text));
  }
  if (ablation_.search) {
    note_draws();
  }
  result.asked = ablation_.asked;
  if (ablation_.search) {
    result.asked_of_draws = asked_of_draws(*ablation_.search);
  }
  result.plan = std::move(plan_);
  result.pipelines = std::move(pipelines_);
  return result;
}

}  // namespace

PlanResult make_plan(const std::filesystem::path& file, const Changes& changes,
                     const PipelineSources& sources, std::shared_ptr<DatasetCache> datasets) {
  DiagnosticCollector diagnostics;
  const std::optional<Ablation> ablation = read_ablation(file, diagnostics);
  if (!ablation) {
    return {
        .plan = std::nullopt, .pipelines = {}, .diagnostics = diagnostics.sorted(file.string())};
  }
  PlanResult result = Planner(*ablation, sources, std::move(datasets)).plan(changes);
  const std::vector<Diagnostic> own = diagnostics.sorted(file.string());
  result.diagnostics.insert(result.diagnostics.begin(), own.begin(), own.end());
  return result;
}

}  // namespace bissl::host
