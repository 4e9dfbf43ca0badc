#include "sweep/planner.h"

#include "bissl/hash.h"
#include "pipeline/exclusive_keys.h"
#include "sweep/cell_messages.h"
#include "sweep/cell_tree.h"
#include "sweep/labels.h"
#include "sweep/unit_maker.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

namespace bissl::host {
namespace {

/// Of cells, and of draws in all cells together.
constexpr size_t most_cells = 100000;

std::vector<AskedMetric> asked_of_draws(const SearchSpec& search) {
  return {{"search.select", search.select_at, search.select}};
}

class Planner {
 public:
  Planner(const Ablation& ablation, const PipelineSources& sources,
          std::shared_ptr<DatasetCache> datasets)
      : ablation_(ablation),
        sources_(sources),
        tree_(ablation, sources, diagnostics_),
        units_(ablation, sources, std::move(datasets), messages_) {}

  PlanResult plan(const Changes& changes);

 private:
  void expand();
  bool count_combinations();
  bool is_baseline(const PlanCell& cell) const;
  void warn_of_exclusions();
  std::vector<KeyValue> settings_of(const std::vector<size_t>& choices) const;
  bool is_excluded(ConfigNode root);
  std::string id_of(const std::vector<size_t>& choices) const;
  std::string unique_id(const std::string& wanted);
  void add_cell(const std::vector<size_t>& choices, const ConfigNode& root);
  void add_search(PlanCell& cell, const ConfigNode& root);
  std::vector<KeyValue> drawn(int64_t draw) const;
  void note_draws();

  const Ablation& ablation_;
  const PipelineSources& sources_;
  DiagnosticCollector diagnostics_;
  CellMessages messages_;
  CellTree tree_;
  UnitMaker units_;
  SweepPlan plan_;
  std::vector<std::vector<std::string>> id_parts_;  ///< of folder names, by axis and choice
  std::set<std::string> ids_;
  size_t combinations_ = 0;
  std::set<size_t> useful_rules_;  ///< exclusion rules that some cell met
  /// Trials of the first seed, for searches that all seeds share.
  std::map<std::vector<size_t>, std::vector<size_t>> shared_trials_;
};

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

/// Counts them. Whether they are few enough to be read, with their draws; reports it if not.
bool Planner::count_combinations() {
  combinations_ = 1;
  for (const Axis& axis : ablation_.axes) {
    combinations_ *= axis.choices.size();
    if (combinations_ > most_cells) {
      diagnostics_.error({ablation_.file.string(), 0, 0}, "axes",
                         fmt::format("the axes have more than {} combinations", most_cells));
      return false;
    }
  }
  const size_t draws = ablation_.search ? static_cast<size_t>(ablation_.search->draws) : 1;
  if (draws > most_cells / combinations_) {
    diagnostics_.error({ablation_.file.string(), 0, 0}, "search.draws",
                       fmt::format("{} combinations of the axes with {} draws each are more than "
                                   "{} draws",
                                   combinations_, draws, most_cells));
    return false;
  }
  return true;
}

void Planner::expand() {
  if (!count_combinations()) {
    return;
  }
  for (const Axis& axis : ablation_.axes) {
    std::vector<std::string> parts;
    for (const Axis::Choice& choice : axis.choices) {
      parts.push_back(axis.name + "=" + choice.label);
    }
    id_parts_.push_back(folder_parts(parts));
  }
  for (size_t number = 0; number < combinations_; ++number) {
    std::vector<size_t> choices(ablation_.axes.size());
    size_t rest = number;
    for (size_t i = choices.size(); i-- > 0;) {
      choices[i] = rest % ablation_.axes[i].choices.size();
      rest /= ablation_.axes[i].choices.size();
    }
    ConfigNode root = tree_.base();
    tree_.lay(root, settings_of(choices));
    if (is_excluded(root)) {
      ++plan_.excluded;
    } else {
      add_cell(choices, root);
    }
  }
  warn_of_exclusions();
  if (plan_.cells.empty()) {
    diagnostics_.error({ablation_.file.string(), 0, 0}, "exclude", "no cell is left");
  }
}

/// Whether others are compared with the cell: there is one for each seed and each task.
bool Planner::is_baseline(const PlanCell& cell) const {
  for (size_t i = 0; i < ablation_.axes.size(); ++i) {
    const std::optional<size_t>& wanted = ablation_.baseline[i];
    if (wanted && !ablation_.axes[i].is_tasks && cell.choices[i] != *wanted) {
      return false;
    }
  }
  return true;
}

void Planner::warn_of_exclusions() {
  for (size_t i = 0; i < ablation_.exclude.size(); ++i) {
    if (useful_rules_.count(i) == 0) {
      diagnostics_.warning(ablation_.exclude[i].front().at, "exclude", "this rule meets no cell");
    }
  }
  const bool has_baseline = std::any_of(plan_.cells.begin(), plan_.cells.end(),
                                        [this](const PlanCell& cell) { return is_baseline(cell); });
  if (!plan_.cells.empty() && !has_baseline) {
    diagnostics_.warning({ablation_.file.string(), 0, 0}, "baseline",
                         "the rules in [[exclude]] leave out the cell that others are compared "
                         "with: name one in [baseline] that is left");
  }
}

void Planner::add_cell(const std::vector<size_t>& choices, const ConfigNode& root) {
  PlanCell cell;
  cell.choices = choices;
  cell.id = unique_id(id_of(choices));
  if (ablation_.search) {
    add_search(cell, root);
  } else {
    cell.unit = units_.add(root, cell.id, ablation_.asked);
  }
  const size_t unit = cell.unit ? *cell.unit : cell.finals.front();
  cell.seed = units_.pipelines()[unit].seed;
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
    tree_.lay(trial, drawn(draw));
    if (!tried_before) {
      trials.push_back(units_.add(trial, cell.id, asked_of_draws(search)));
    }
    tree_.lay(trial, search.final);
    cell.finals.push_back(units_.add(trial, cell.id, ablation_.asked));
  }
  cell.trials = trials;
}

/// Describes what was drawn by texts that are exact and that distinguish the choices of a list.
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
  if (tree_.load(changes)) {
    tree_.check_keys();
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
  plan_.units = std::move(units_.units());
  plan_.nodes = std::move(units_.nodes());
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
                             .baseline = ablation_.baseline[i],
                             .is_tasks = axis.is_tasks};
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
  result.pipelines = std::move(units_.pipelines());
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
