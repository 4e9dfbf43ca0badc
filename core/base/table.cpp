#include "base/table.h"

#include "base/text_width.h"
#include "bissl/error.h"

#include <algorithm>
#include <utility>

namespace bissl::host {
namespace {

constexpr const char* gap = "  ";

std::string padded(const std::string& cell, size_t width, TextTable::Align align) {
  const std::string blanks(width - display_width(cell), ' ');
  return align == TextTable::Align::left ? cell + blanks : blanks + cell;
}

}  // namespace

TextTable::TextTable(std::vector<Column> columns) : columns_(std::move(columns)) {}

void TextTable::add_row(std::vector<std::string> cells) {
  if (cells.size() > columns_.size()) {
    fail_run("a row of {} cells does not fit a table of {} columns", cells.size(), columns_.size());
  }
  cells.resize(columns_.size());
  rows_.push_back(std::move(cells));
}

std::string TextTable::text() const {
  std::vector<size_t> widths;
  std::vector<std::string> titles;
  std::vector<std::string> rule;
  for (size_t column = 0; column < columns_.size(); ++column) {
    size_t width = display_width(columns_[column].title);
    for (const std::vector<std::string>& row : rows_) {
      width = std::max(width, display_width(row[column]));
    }
    widths.push_back(width);
    titles.push_back(columns_[column].title);
    rule.push_back(std::string(width, '-'));
  }
  std::string text;
  const auto add_line = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (size_t column = 0; column < cells.size(); ++column) {
      line += column == 0 ? "" : gap;
      line += padded(cells[column], widths[column], columns_[column].align);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  };
  add_line(titles);
  add_line(rule);
  for (const std::vector<std::string>& row : rows_) {
    add_line(row);
  }
  return text;
}

}  // namespace bissl::host
