#pragma once

#include "pipeline/component_source.h"
#include "pipeline/reader.h"
#include "store/sweep_plan.h"

#include <vector>

namespace bissl::host {

/// What reading a cell's pipeline takes.
struct PipelineSources {
  ComponentSource& components;
  const std::vector<StageKindSpec>& stage_kinds;
  const TableSpec& data_selection;
};

/// The pipeline of a unit. Throws Error(input) if its components are no longer what they were.
Pipeline read_unit(const PlanUnit& unit, const PipelineSources& sources);

}  // namespace bissl::host
