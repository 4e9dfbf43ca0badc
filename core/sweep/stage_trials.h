#pragma once

#include "stages/check.h"
#include "stages/context.h"
#include "sweep/cell_messages.h"
#include "sweep/planner.h"
#include "sweep/state.h"

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace bissl::host {

/// Trial passes through the stages of a sweep, as few as can be. Stages that differ only in their
/// seed share one. Without a search every other difference has a trial of its own. With one, or
/// where trials are measured, so have those that differ in real numbers (see StageSort), but not
/// all in full: in full is tried the first of each sort and those with the least and the greatest
/// of a number; of the others the networks are built. Beyond a limit for either they share the
/// first one's trial.
class StageTrials {
 public:
  /// All but `datasets` must outlive it.
  StageTrials(SweepState& state, const PlanResult& planned, const RunSettings& settings,
              std::shared_ptr<DatasetCache> datasets, bool measure);

  /// Tries stages, which come after those that they need. `open` has the keys of those that a run
  /// may have to compute; of the others, and of finished ones, it is tried what other stages want
  /// to know of them. To be called once. Opens the data.
  void try_all(const std::vector<const PlanNode*>& nodes, std::set<std::string> open);

  /// What is known of a stage that was tried; its seconds are those of the first of its sort.
  const StagePlan& plan(const std::string& key) const { return *of_stages_.at(key).plan; }

  using TextsOfPlan = std::vector<std::string> StagePlan::*;
  /// Adds a stage's errors or warnings for the cells that need it: with the draws, where not all
  /// trials in full of its sort found the same.
  void tell(const PlanNode& node, TextsOfPlan list, DrawTexts& texts) const;

 private:
  /// The trials of one sort of stages.
  struct TriedSort {
    const StagePlan* first = nullptr;
    std::vector<const StagePlan*> in_full;  ///< the first one among them
  };
  /// What is known of a stage.
  struct TriedStage {
    const StagePlan* plan = nullptr;
    const TriedSort* sort = nullptr;
    bool is_own = true;  ///< else the plan is the sort's first one, of other numbers
  };
  /// By what a trial is looked up: see StageSort.
  struct Sorted {
    std::string sort;
    std::string variant;
  };

  void find_sorts(const std::vector<const PlanNode*>& nodes);
  void try_stage(const PlanNode& node);
  bool is_left(const PlanNode& node);
  std::string before(const Stage& stage, const PlanNode& node) const;
  std::optional<double> budget_of(const PlanNode& node, const Stage& stage) const;
  std::string draws_text(const StagePlan& plan) const;

  SweepState& state_;
  const PlanResult& planned_;
  const RunSettings& settings_;
  std::shared_ptr<DatasetCache> datasets_;
  bool measure_;
  bool shares_;  ///< whether stages that differ in real numbers share the sort's costly trials
  std::map<std::string, std::set<std::string>> cells_;  ///< that need a stage, by key
  std::map<std::string, std::set<size_t>> draws_;       ///< likewise
  std::map<std::string, Sorted> sorted_;                ///< by key
  std::set<std::string> open_;
  std::set<std::string> ends_;  ///< keys of stages that are tried in full for their numbers
  std::map<std::string, TriedSort> sorts_;
  std::map<std::string, StagePlan> tried_;                 ///< by sort and variant
  std::map<std::string, TriedStage> of_stages_;            ///< by key
  std::map<const StagePlan*, std::set<size_t>> draws_of_;  ///< that a trial is about
  size_t built_ = 0;
};

}  // namespace bissl::host
