#pragma once

#include "pipeline/config_tree.h"
#include "pipeline/diagnostics.h"

#include <string>

namespace bissl::host {

/// Reports a table of `tables` that only an override of the command line has made, without the
/// entry that one of its own would have: it sets keys of a stage or a data source that does not
/// exist. False for others.
bool refuse_stray_override(const ConfigNode& tables, const ConfigEntry& entry,
                           const std::string& path, const std::string& required,
                           const std::string& what, DiagnosticCollector& diagnostics);

/// Whether the text can name a stage, a data source or a pipeline: such names become names of
/// folders and files.
bool is_plain_name(const std::string& name);
/// What is_plain_name accepts, in words.
std::string plain_name_rule();

}  // namespace bissl::host
