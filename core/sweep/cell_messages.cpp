#include "sweep/cell_messages.h"

#include <fmt/format.h>

namespace bissl {

std::string about_cells(const std::set<std::string>& cells, size_t all) {
  return cells.size() >= all ? ""
                             : fmt::format(" (in {} of {} cells: {}{})", cells.size(), all,
                                           *cells.begin(), cells.size() > 1 ? ", …" : "");
}

void CellMessages::add(const Diagnostic& diagnostic, const std::set<std::string>& cells) {
  const auto [entry, added] = seen_.try_emplace(diagnostic.text(), messages_.size());
  if (added) {
    messages_.emplace_back(diagnostic, std::set<std::string>());
  }
  messages_[entry->second].second.insert(cells.begin(), cells.end());
}

std::vector<Diagnostic> CellMessages::all(size_t cells) const {
  std::vector<Diagnostic> result;
  result.reserve(messages_.size());
  for (const auto& [diagnostic, about] : messages_) {
    result.push_back(diagnostic);
    result.back().message += about_cells(about, cells);
  }
  return result;
}

}  // namespace bissl
