#pragma once

#include "plugins/registry.h"

#include <filesystem>
#include <ostream>
#include <string>

namespace bissl::host {

/// `bissl new KIND NAME`: writes a plugin project to the folder `parent`/NAME: source, CMakeLists,
/// tests, a pipeline. Returns the program's exit code. Throws Error(ErrorKind::input) for a kind or
/// name that cannot be, a name that a component of that kind or a library has, or a folder that
/// exists; nothing is written then. The folder appears only when it is complete.
int run_new(const std::string& kind, const std::string& name, const std::filesystem::path& parent,
            const Registry& registry, std::ostream& out);

}  // namespace bissl::host
