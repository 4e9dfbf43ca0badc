#pragma once

#include "stages/context.h"
#include "sweep/planner.h"
#include "sweep/state.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace bissl::host {

/// The results of trial passes through a sweep's stages.
struct SweepEstimate {
  /// Seconds of each stage that is still to be computed, by key; empty if nothing was measured, as
  /// the other times are 0 then.
  std::map<std::string, double> seconds;
  double work = 0;             ///< of all of these stages
  double wall = 0;             ///< the same, shared among the jobs as far as stages allow
  double without_sharing = 0;  ///< if each cell ran all of its stages on its own, one at a time
  std::vector<std::string> errors;    ///< what will not run, each once, with the cells it is about
  std::vector<std::string> warnings;  ///< likewise
};

/// Goes through stage_checks() for the stages that may still have to be computed, those of all
/// draws and their final runs among them, as StageTrials shares trials. Then looks whether the
/// stages give the metrics that the ablation names. With `measure`, times the steps as well, with
/// the threads that are set; times are those of the first draw, and of a search that has chosen no
/// draw yet the first one's final run is counted.
SweepEstimate try_sweep(SweepState& state, const PlanResult& planned, const RunSettings& settings,
                        std::shared_ptr<DatasetCache> datasets, bool measure, int jobs);

}  // namespace bissl::host
