#pragma once

#include <string>
#include <vector>

namespace bissl {

/// At most three of `names` that `wrong` may be a misspelling of, nearest first: those within a
/// third of its length in insertions, deletions, replacements and swaps of neighbours
/// (Damerau–Levenshtein), upper and lower case counting as equal.
std::vector<std::string> nearest(const std::string& wrong, const std::vector<std::string>& names);

}  // namespace bissl
