#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace bissl::host {

/// Columns that UTF-8 text takes on a terminal: 0 for combining marks and control characters, 2 for
/// East Asian wide characters and emoji, 1 for everything else and for each byte that is not UTF-8.
/// Independent of the locale.
size_t display_width(std::string_view text);

/// The longest beginning of at most `columns` columns; where something had to go, it ends in "…".
std::string truncate_to_width(std::string_view text, size_t columns);

}  // namespace bissl::host
