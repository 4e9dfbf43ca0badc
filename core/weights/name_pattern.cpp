#include "weights/name_pattern.h"

#include <algorithm>

namespace bissl::host {

bool fits_pattern(std::string_view pattern, std::string_view name) {
  if (pattern.find('*') == std::string_view::npos) {
    return name.starts_with(pattern) &&
           (name.size() == pattern.size() || name[pattern.size()] == '.');
  }
  // The last star that was passed takes one character more each time that what follows does not
  // fit: linear in name times pattern.
  size_t at = 0;
  size_t in_name = 0;
  size_t star = std::string_view::npos;
  size_t taken = 0;
  while (in_name < name.size()) {
    if (at < pattern.size() && pattern[at] == '*') {
      star = at++;
      taken = in_name;
    } else if (at < pattern.size() && pattern[at] == name[in_name]) {
      ++at;
      ++in_name;
    } else if (star != std::string_view::npos) {
      at = star + 1;
      in_name = ++taken;
    } else {
      return false;
    }
  }
  return std::all_of(pattern.begin() + static_cast<std::ptrdiff_t>(at), pattern.end(),
                     [](char c) { return c == '*'; });
}

bool fits_any(const std::vector<std::string>& patterns, std::string_view name) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& pattern) { return fits_pattern(pattern, name); });
}

std::string with_parts_replaced(const std::string& name, std::string_view from,
                                std::string_view to) {
  const bool first_only = from.starts_with('^');
  from.remove_prefix(first_only ? 1 : 0);
  if (from.empty()) {
    return name;
  }
  std::string result;
  for (size_t at = 0; at < name.size();) {
    const bool begins = at == 0 || (!first_only && name[at - 1] == '.');
    const size_t end = at + from.size();
    const bool ends = end == name.size() || (end < name.size() && name[end] == '.');
    if (begins && ends && std::string_view(name).substr(at, from.size()) == from) {
      result += to;
      at = end;
    } else {
      result += name[at++];
    }
  }
  return result;
}

}  // namespace bissl::host
