#pragma once

#include "plugins/registry.h"

#include <ostream>
#include <string>

namespace bissl::host {

/// `bissl schema pipeline|ablation`: the JSON Schema of such files, for editors. That of pipelines
/// knows the components that are loaded. Throws Error(input) for another word.
int run_schema(const std::string& document, const Registry& registry, std::ostream& out);

}  // namespace bissl::host
