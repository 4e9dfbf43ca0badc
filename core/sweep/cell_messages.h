#pragma once

#include "pipeline/diagnostics.h"

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace bissl::host {

/// " (in 4 of 12 cells: ID, …)", or nothing if it is about all of them.
std::string about_cells(const std::set<std::string>& cells, size_t all);

/// Texts about cells: each once, with the cells that it is about.
class CellTexts {
 public:
  /// The text's place among those of all().
  size_t add(const std::string& text, const std::set<std::string>& cells);

  /// In the order of their first appearance; `cells` is how many there are in all.
  std::vector<std::string> all(size_t cells) const;
  /// What all() adds to the text at that place.
  std::string about(size_t place, size_t cells) const;

 private:
  std::vector<std::pair<std::string, std::set<std::string>>> texts_;
  std::map<std::string, size_t> seen_;  ///< places by text
};

/// What is wrong or doubtful with cells: each message once, with the cells that it is about.
class CellMessages {
 public:
  void add(const Diagnostic& diagnostic, const std::set<std::string>& cells);

  /// In the order of their first appearance; `cells` is how many there are in all.
  std::vector<Diagnostic> all(size_t cells) const;

 private:
  CellTexts texts_;
  std::vector<Diagnostic> messages_;  ///< by the places of their texts
};

}  // namespace bissl::host
