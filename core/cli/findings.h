#pragma once

#include "plugins/registry.h"
#include "stages/check.h"

#include <nlohmann/json.hpp>

#include <iosfwd>
#include <string>
#include <vector>

namespace bissl::host {

// What a check of a pipeline found, for people and for programs.

bool has_errors(const std::vector<StagePlan>& plans);

/// Whether some error is the input's, and not a component's that failed.
bool is_wrong_input(const std::vector<StagePlan>& plans);

/// Adds to errors about missing second derivatives which approximators need none.
void add_advice(std::vector<StagePlan>& plans, const Registry& registry);

/// What tables say of the weights that a stage begins with: the stage that it continues,
/// "scratch" for random ones, "file" for an import.
std::string origin_text(const std::string& kind, const std::string& from);

/// Errors and warnings, a line each.
void print_findings(const std::vector<StagePlan>& plans, std::ostream& err);

/// {ok, stages}: everything that is in the plans.
nlohmann::json findings_json(const std::vector<StagePlan>& plans);

}  // namespace bissl::host
