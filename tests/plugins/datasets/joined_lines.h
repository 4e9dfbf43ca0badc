#pragma once

#include <string>
#include <vector>

namespace bissl::host::test {

/// The content of a text file with these lines.
inline std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) {
    text += line + "\n";
  }
  return text;
}

}  // namespace bissl::host::test
