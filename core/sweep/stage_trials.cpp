#include "sweep/stage_trials.h"

#include "base/json_text.h"
#include "base/spelling.h"
#include "stages/data_findings.h"
#include "stages/identity.h"
#include "stages/stage_kind.h"
#include "sweep/stage_sort.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace bissl::host {
namespace {

/// How many stages are tried in full beside the first one of their sort, and of how many more the
/// networks are built: an ablation may have thousands of draws.
constexpr size_t most_ends = 24;
constexpr size_t most_built = 200;

/// The cells that need each stage.
std::map<std::string, std::set<std::string>> cells_by_stage(const SweepPlan& plan) {
  std::map<std::string, std::set<std::string>> cells;
  const auto add = [&](size_t unit, const std::string& cell) {
    for (const auto& [stage, key] : plan.units[unit].stages) {
      cells[key].insert(cell);
    }
  };
  for (const PlanCell& cell : plan.cells) {
    if (cell.unit) {
      add(*cell.unit, cell.id);
    }
    for (const size_t unit : cell.trials) {
      add(unit, cell.id);
    }
    for (const size_t unit : cell.finals) {
      add(unit, cell.id);
    }
  }
  return cells;
}

/// The draws that need each stage.
std::map<std::string, std::set<size_t>> draws_by_stage(const SweepPlan& plan) {
  std::map<std::string, std::set<size_t>> draws;
  for (const PlanCell& cell : plan.cells) {
    for (const std::vector<size_t>* units : {&cell.trials, &cell.finals}) {
      for (size_t draw = 0; draw < units->size(); ++draw) {
        for (const auto& [stage, key] : plan.units[(*units)[draw]].stages) {
          draws[key].insert(draw);
        }
      }
    }
  }
  return draws;
}

/// What a stage hands on, as a text that distinguishes networks of different shapes.
std::string shapes_text(const HandedOn& weights) { return json_text(weights); }

}  // namespace

StageTrials::StageTrials(SweepState& state, const PlanResult& planned, const RunSettings& settings,
                         std::shared_ptr<DatasetCache> datasets, bool measure)
    : state_(state),
      planned_(planned),
      settings_(settings),
      datasets_(std::move(datasets)),
      measure_(measure),
      shares_(measure || !state.plan().select.empty()),
      cells_(cells_by_stage(state.plan())),
      draws_(draws_by_stage(state.plan())) {}

void StageTrials::try_all(const std::vector<const PlanNode*>& nodes, std::set<std::string> open) {
  open_ = std::move(open);
  find_sorts(nodes);
  for (const PlanNode* node : nodes) {
    try_stage(*node);
  }
}

void StageTrials::find_sorts(const std::vector<const PlanNode*>& nodes) {
  NumberEnds ends;
  for (const PlanNode* node : nodes) {
    const Pipeline& pipeline = planned_.pipelines.at(node->unit);
    const auto& of_unit = state_.plan().units.at(node->unit).stages;
    DataCatalog data(pipeline, datasets_);
    StageSort sort = sort_of(
        identify(pipeline, pipeline.stage(node->stage), data, {of_unit.begin(), of_unit.end()})
            .description,
        shares_ ? Numbers::by_refusal : Numbers::exact);
    if (shares_ && is_left(*node)) {
      ends.add(node->key, sort);
    }
    sorted_[node->key] = {std::move(sort.sort), std::move(sort.variant)};
  }
  ends_ = ends.keys(most_ends);
}

/// What a stage with `match` will train, as far as the trials of those before it tell.
std::optional<double> StageTrials::budget_of(const PlanNode& node, const Stage& stage) const {
  const std::optional<MatchOptions> match = parse_match(stage.table);
  if (!match) {
    return std::nullopt;
  }
  const auto cost = [&](const std::string& key) {
    return key.empty() ? TrainingCost{} : cost_in_plan(plan(key));
  };
  return matched_budget(*match, cost(node.matched), cost(node.parent));
}

/// What a trial sees of the stages whose weights the stage takes.
std::string StageTrials::before(const Stage& stage, const PlanNode& node) const {
  const Pipeline& pipeline = planned_.pipelines.at(node.unit);
  const auto& of_unit = state_.plan().units.at(node.unit).stages;
  const StageKeys keys(of_unit.begin(), of_unit.end());
  std::vector<std::string> names = compared_stages(stage);
  if (!stage.from.empty()) {
    names.push_back(stage.from);
  }
  std::string text;
  for (const std::string& name : names) {
    const Stage& one = pipeline.stage(name);
    text += fmt::format("{} {} {}\n", one.kind, stage_kind(one.kind).weight_folders(one).size(),
                        shapes_text(plan(keys.at(name)).weights));
  }
  return text;
}

bool StageTrials::is_left(const PlanNode& node) {
  return open_.count(node.key) != 0 && state_.stages().state(node.key) != WorkState::done;
}

void StageTrials::try_stage(const PlanNode& node) {
  const Pipeline& pipeline = planned_.pipelines.at(node.unit);
  const Stage& stage = pipeline.stage(node.stage);
  const Sorted& sorted = sorted_.at(node.key);
  const bool left = is_left(node);
  TrialDepth depth = measure_ ? TrialDepth::measured : left ? TrialDepth::tried : TrialDepth::built;
  const std::optional<double> budget = budget_of(node, stage);
  const std::string kind =
      fmt::format("{} {} {} {}", static_cast<int>(depth), sorted.sort,
                  budget ? fmt::format("{}", *budget) : "", before(stage, node));
  TriedSort& sort = sorts_[kind];
  auto found = tried_.find(kind + sorted.variant);
  if (found == tried_.end()) {
    const bool is_first = sort.first == nullptr;
    const bool in_full = is_first || !shares_ || ends_.count(node.key) != 0;
    if (!in_full && (!left || built_ == most_built)) {
      of_stages_[node.key] = {.plan = sort.first, .sort = &sort, .is_own = false};
      return;
    }
    if (!is_first && shares_) {
      depth = in_full ? TrialDepth::tried : TrialDepth::built;
      built_ += in_full ? 0 : 1;
    }
    const HandedOn* parent = node.parent.empty() ? nullptr : &plan(node.parent).weights;
    DataCatalog data(pipeline, datasets_);
    StagePlan tried = check_stage(pipeline, stage, parent, data, settings_, depth, budget);
    if (!is_first && shares_) {
      tried.seconds = sort.first->seconds;  // numbers change no cost, and this was not measured
    }
    found = tried_.emplace(kind + sorted.variant, std::move(tried)).first;
    if (is_first) {
      sort.first = &found->second;
    }
    if (in_full) {
      sort.in_full.push_back(&found->second);
    }
  }
  of_stages_[node.key] = {.plan = &found->second, .sort = &sort, .is_own = true};
  draws_of_[&found->second].merge(std::set<size_t>(draws_[node.key]));
}

/// " (draw 3: stage.ft.proximity = 0.1; and 4 more)", or nothing for what all draws have.
std::string StageTrials::draws_text(const StagePlan& plan) const {
  const std::set<size_t>& draws = draws_of_.at(&plan);
  if (draws.empty() || draws.size() == state_.plan().draws.size()) {
    return "";
  }
  const size_t draw = *draws.begin();
  return fmt::format(" (draw {}: {}{})", draw, state_.plan().draw_text(draw),
                     draws.size() == 1 ? "" : fmt::format("; and {} more", draws.size() - 1));
}

void StageTrials::tell(const PlanNode& node, TextsOfPlan list, DrawTexts& texts) const {
  const TriedStage& stage = of_stages_.at(node.key);
  const std::vector<const StagePlan*>& in_full = stage.sort->in_full;
  const auto is_general = [&](const std::string& text) {
    return std::all_of(in_full.begin(), in_full.end(), [&](const StagePlan* plan) {
      return std::find((plan->*list).begin(), (plan->*list).end(), text) != (plan->*list).end();
    });
  };
  const bool are_errors = list == &StagePlan::errors;
  const auto placed = [&](const std::string& text) {
    return are_errors || is_about_data(text) ? text
                                             : "stage." + spelled_key(node.stage) + ": " + text;
  };
  const std::set<std::string>& cells = cells_.at(node.key);
  for (const std::string& text : stage.sort->first->*list) {
    if (is_general(text)) {
      texts.add(placed(text), cells);
    }
  }
  // Of a stage that was only built, warnings are those of a part of the checks.
  const bool was_in_full = std::find(in_full.begin(), in_full.end(), stage.plan) != in_full.end();
  if (!stage.is_own || (!was_in_full && !are_errors)) {
    return;
  }
  for (const std::string& text : stage.plan->*list) {
    if (!is_general(text)) {
      texts.add_of_draws(placed(text), draws_text(*stage.plan), node.stage, cells);
    }
  }
}

}  // namespace bissl::host
