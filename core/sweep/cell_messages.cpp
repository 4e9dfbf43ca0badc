#include "sweep/cell_messages.h"

#include "base/spelling.h"

#include <fmt/format.h>

namespace bissl::host {

std::string about_cells(const std::set<std::string>& cells, size_t all) {
  return cells.size() >= all ? ""
                             : fmt::format(" (in {} of {} cells: {}{})", cells.size(), all,
                                           *cells.begin(), cells.size() > 1 ? ", …" : "");
}

size_t CellTexts::add(const std::string& text, const std::set<std::string>& cells) {
  const auto [entry, added] = seen_.try_emplace(text, texts_.size());
  if (added) {
    texts_.emplace_back(text, std::set<std::string>());
  }
  texts_[entry->second].second.insert(cells.begin(), cells.end());
  return entry->second;
}

std::string CellTexts::about(size_t place, size_t cells) const {
  return about_cells(texts_.at(place).second, cells);
}

std::vector<std::string> CellTexts::all(size_t cells) const {
  std::vector<std::string> result;
  for (const auto& [text, about] : texts_) {
    result.push_back(text + about_cells(about, cells));
  }
  return result;
}

void DrawTexts::add_of_draws(const std::string& text, const std::string& draws,
                             const std::string& stage, const std::set<std::string>& cells) {
  if (draws.empty()) {
    texts_.add(text, cells);
    return;
  }
  constexpr size_t most = 3;
  OfStage& of_stage = of_stages_[stage];
  const std::string whole = text + draws;
  if (of_stage.kept.size() < most || of_stage.kept.count(whole) != 0) {
    of_stage.kept.insert(whole);
    texts_.add(whole, cells);
    return;
  }
  of_stage.left_out.insert(whole);
  of_stage.cells.insert(cells.begin(), cells.end());
}

std::vector<std::string> DrawTexts::all(size_t cells) const {
  std::vector<std::string> result = texts_.all(cells);
  for (const auto& [stage, of_stage] : of_stages_) {
    if (!of_stage.left_out.empty()) {
      result.push_back(fmt::format("stage.{}: messages of other draws that are left out: {}{}",
                                   spelled_key(stage), of_stage.left_out.size(),
                                   about_cells(of_stage.cells, cells)));
    }
  }
  return result;
}

void CellMessages::add(const Diagnostic& diagnostic, const std::set<std::string>& cells) {
  if (texts_.add(diagnostic.text(), cells) == messages_.size()) {
    messages_.push_back(diagnostic);
  }
}

std::vector<Diagnostic> CellMessages::all(size_t cells) const {
  std::vector<Diagnostic> result = messages_;
  for (size_t i = 0; i < result.size(); ++i) {
    result[i].message += texts_.about(i, cells);
  }
  return result;
}

}  // namespace bissl::host
