#pragma once

#include <string>
#include <vector>

namespace bissl::host {

/// At most three of `names` that `wrong` may be a misspelling of, nearest first: those within a
/// third of its length in insertions, deletions, replacements and swaps of neighbours
/// (Damerau–Levenshtein), upper and lower case counting as equal.
std::vector<std::string> nearest(const std::string& wrong, const std::vector<std::string>& names);

/// The key in TOML's spelling, bare where that is possible.
std::string spelled_key(const std::string& key);

}  // namespace bissl::host
