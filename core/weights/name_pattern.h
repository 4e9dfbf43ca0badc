#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bissl::host {

/// Whether a pattern fits a name with dots. "*" matches any characters, dots included. Without
/// one, a pattern fits the whole name and the names below it: "fc" fits fc, fc.weight, and not fc2.
bool fits_pattern(std::string_view pattern, std::string_view name);
bool fits_any(const std::vector<std::string>& patterns, std::string_view name);

/// `name` with `from` replaced by `to` wherever it is between dots: "0.1" in
/// "layer.0.1.weight"; with "^" before it, at the beginning of the name alone.
std::string with_parts_replaced(const std::string& name, std::string_view from,
                                std::string_view to);

}  // namespace bissl::host
