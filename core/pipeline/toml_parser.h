#pragma once

#include "pipeline/config_tree.h"

#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

/// Reads TOML text. A fault is reported at its place in `file`, and nothing returned. Whatever the
/// text, the depth of the tree stays within what recursion can walk.
std::optional<ConfigNode> parse_toml(const std::string& text, const std::string& file,
                                     DiagnosticCollector& diagnostics);

/// Reads a value as after `=`; nothing if it is not one. Everything in it is at
/// `at`.
std::optional<ConfigNode> parse_toml_value(const std::string& text, const Location& at);

/// Why parse_toml_value takes no value from the text.
std::string toml_value_fault(const std::string& text);

/// The parts of a dotted key, in which parts may be quoted; empty if it is not one.
std::vector<std::string> parse_toml_key(const std::string& text);

}  // namespace bissl::host
