#pragma once

#include "pipeline/config_tree.h"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace bissl {

/// Reads a pipeline file with everything that it includes and lays the overrides on it.
///
/// `include = ["common.toml", …]` stands at the top; paths are relative to the file that names
/// them. Included files lie below the file that includes them, later ones above earlier ones. An
/// override is "dotted.key=value"; what is no TOML value is taken as a text.
///
/// Returns nothing if a file could not be read or is not TOML: what it would have said is unknown,
/// so checking the rest would only mislead. Faults of overrides are reported and passed over.
std::optional<ConfigNode> load_config(const std::filesystem::path& file,
                                      const std::vector<std::string>& overrides,
                                      const MergeRules& rules, DiagnosticCollector& diagnostics);

}  // namespace bissl
