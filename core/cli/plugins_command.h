#pragma once

#include "plugins/registry.h"

#include <ostream>

namespace bissl::host {

/// `bissl plugins`: the folders that were searched, the libraries and components that are loaded,
/// and what was refused and why. As JSON: {"searched", "libraries", "components", "problems"}.
/// Returns the program's exit code: 0, also when something was refused, which is what the list is
/// there to tell.
int run_plugins(const Registry& registry, bool json, std::ostream& out);

/// `bissl plugins --check LIB.so`: the same for one library, loaded alone. Returns 0, or 2 when it
/// is refused.
int run_plugin_check(const std::string& library, bool json, std::ostream& out);

}  // namespace bissl::host
