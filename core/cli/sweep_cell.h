#pragma once

#include "cli/sweep_command.h"
#include "store/sweep_plan.h"

#include <filesystem>

namespace bissl::host {

/// The part of the plan that --cell and --draw name: a cell's pipeline or, of a cell with a search,
/// that of one of its draws. `ablation` is the plan's file, for messages. Error(input) if there is
/// no such cell, a search has no such draw, or a draw is named of a cell without a search.
const PlanUnit& named_unit(const SweepPlan& plan, const SweepArguments& sweep,
                           const std::filesystem::path& ablation);

}  // namespace bissl::host
