#pragma once

#include "data/catalog.h"
#include "pipeline/config_loader.h"
#include "sweep/ablation.h"
#include "sweep/plan.h"

#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

namespace bissl::host {

/// The result of reading an ablation file: a plan, if nothing is wrong with any cell.
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
/// `changes` are made to every cell's pipeline.
PlanResult make_plan(const std::filesystem::path& file, const Changes& changes,
                     const PipelineSources& sources, std::shared_ptr<DatasetCache> datasets);

}  // namespace bissl::host
