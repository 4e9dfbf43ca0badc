#pragma once

#include <string>
#include <vector>

namespace bissl {

/// The candidate that `given` was most likely meant to be, by the number of letters inserted, left
/// out, replaced or swapped with a neighbour. Candidates are compared without regard to case, and
/// the first of several equally near ones wins. Empty when none is within a third of the length of
/// the longer word (at least one slip is always allowed), or when nothing would be left in common.
std::string nearest(const std::string& given, const std::vector<std::string>& candidates);

}  // namespace bissl
