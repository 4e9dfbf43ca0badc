#pragma once

#include <string>
#include <vector>

namespace bissl::host {

/// A table in plain text: aligned columns, a title line and a rule below it. Widths are those on a
/// terminal, so UTF-8 lines up.
class TextTable {
 public:
  enum class Align { left, right };
  struct Column {
    std::string title;
    Align align = Align::left;
  };

  explicit TextTable(std::vector<Column> columns);

  /// Missing cells at the end stay empty; more cells than columns are Error(run).
  void add_row(std::vector<std::string> cells);

  /// All lines, each ended by a newline and without trailing blanks.
  std::string text() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace bissl::host
