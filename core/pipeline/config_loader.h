#pragma once

#include "pipeline/config_tree.h"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

/// What the command line changes in a file: --set and --unset.
struct Changes {
  std::vector<std::string> set;    ///< "dotted.key=value"
  std::vector<std::string> unset;  ///< "dotted.key"
};

/// Reads a pipeline file with everything that it includes and lays the changes on it.
///
/// `include = ["common.toml", …]` is at the top; paths are relative to the file that names
/// them. Included files lie below the file that includes them, later ones above earlier ones. What
/// is no TOML value in an override is taken as a text. `unset = ["dotted.key", …]` at the top of a
/// file, or in a stage's table, takes keys away from what lies below; --unset likewise, before
/// overrides are laid.
///
/// Returns nothing if a file could not be read or is not TOML: what it would have said is unknown,
/// so checking the rest would only mislead. Faults of changes are reported and passed over.
std::optional<ConfigNode> load_config(const std::filesystem::path& file, const Changes& changes,
                                      const MergeRules& rules, DiagnosticCollector& diagnostics);

}  // namespace bissl::host
