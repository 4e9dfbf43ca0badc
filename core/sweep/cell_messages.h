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

/// The same where a text may be about some draws of a search alone.
class DrawTexts {
 public:
  void add(const std::string& text, const std::set<std::string>& cells) { texts_.add(text, cells); }
  /// `draws` says in words which ones, and is added to the text; empty for all of them. Of each
  /// stage the first few such texts are kept, and the others counted.
  void add_of_draws(const std::string& text, const std::string& draws, const std::string& stage,
                    const std::set<std::string>& cells);

  /// In the order of their first appearance, then a line for each stage of which some were left
  /// out; `cells` is how many there are in all.
  std::vector<std::string> all(size_t cells) const;

 private:
  struct OfStage {
    std::set<std::string> kept;
    std::set<std::string> left_out;
    std::set<std::string> cells;  ///< of those left out
  };
  CellTexts texts_;
  std::map<std::string, OfStage> of_stages_;  ///< by name
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
