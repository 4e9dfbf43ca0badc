#pragma once

#include "pipeline/diagnostics.h"

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace bissl {

/// " (in 4 of 12 cells: ID, …)", or nothing if it is about all of them.
std::string about_cells(const std::set<std::string>& cells, size_t all);

/// What is wrong or doubtful with cells: each message once, with the cells that it is about.
class CellMessages {
 public:
  void add(const Diagnostic& diagnostic, const std::set<std::string>& cells);

  /// In the order of their first appearance; `cells` is how many there are in all.
  std::vector<Diagnostic> all(size_t cells) const;

 private:
  std::vector<std::pair<Diagnostic, std::set<std::string>>> messages_;
  std::map<std::string, size_t> seen_;  ///< by the message's text
};

}  // namespace bissl
