#pragma once

#include "pipeline/config_tree.h"
#include "pipeline/diagnostics.h"

#include <string>
#include <vector>

namespace bissl::host {

/// Turns the entries `unset = ["key", …]` of a pipeline's root and of its stages' tables into
/// ConfigNode::unset, and reports what is no array of keys.
void read_unset(ConfigNode& root, DiagnosticCollector& diagnostics);

/// Reports each key that was to be taken away and that nothing below has. `table` is the result of
/// it all, at `path`.
void report_unset(const std::vector<UnsetKey>& unset, const ConfigNode& table,
                  const std::string& path, DiagnosticCollector& diagnostics);

}  // namespace bissl::host
