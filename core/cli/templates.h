#pragma once

#include <map>
#include <string>

namespace bissl::host {

/// The files of sdk/templates by name, as they were when the program was built.
const std::map<std::string, std::string>& plugin_templates();

}  // namespace bissl::host
