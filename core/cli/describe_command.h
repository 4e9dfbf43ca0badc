#pragma once

#include "pipeline/pipeline.h"
#include "plugins/registry.h"

#include <ostream>
#include <string>
#include <vector>

namespace bissl::host {

/// `bissl describe NAME`: everything that is declared of the component (plain or qualified name),
/// kind of stage, kind of file ("pipeline", "sweep") or figure of an analysis called `name`, and,
/// for the first two, TOML to start from. All of them if several share the name, and everything for
/// an empty one. As JSON: {"components": […], "stage_kinds": […], "documents": […], "figures":
/// […]}, the first three with "parameters", the first two with "toml".
///
/// Returns the program's exit code: 0, or 2 for an unknown name, with the nearest known one on
/// `err`.
int run_describe(const Registry& registry, const std::vector<StageKindSpec>& kinds,
                 const std::string& name, bool json, std::ostream& out, std::ostream& err);

}  // namespace bissl::host
