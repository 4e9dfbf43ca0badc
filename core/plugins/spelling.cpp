#include "plugins/spelling.h"

#include <algorithm>

namespace bissl {
namespace {

std::string lower(const std::string& text) {
  std::string result = text;
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') {
      c = static_cast<char>(c - 'A' + 'a');
    }
  }
  return result;
}

/// Damerau–Levenshtein distance in its optimal string alignment form: no letter is edited twice.
size_t distance(const std::string& a, const std::string& b) {
  std::vector<size_t> before_previous(b.size() + 1);
  std::vector<size_t> previous(b.size() + 1);
  std::vector<size_t> current(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) {
    previous[j] = j;
  }
  for (size_t i = 1; i <= a.size(); ++i) {
    current[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      current[j] = std::min({previous[j] + 1, current[j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        current[j] = std::min(current[j], before_previous[j - 2] + 1);
      }
    }
    before_previous.swap(previous);
    previous.swap(current);
  }
  return previous[b.size()];
}

}  // namespace

std::string nearest(const std::string& given, const std::vector<std::string>& candidates) {
  // The words come from a person's file; a length far beyond any name is not worth the time.
  constexpr size_t longest_name = 200;
  if (given.empty() || given.size() > longest_name) {
    return "";
  }
  std::string best;
  size_t best_distance = 0;
  for (const std::string& candidate : candidates) {
    const size_t length = std::max(given.size(), candidate.size());
    const size_t slips = distance(lower(given), lower(candidate));
    const bool near = slips <= std::max<size_t>(1, length / 3) && slips < length;
    if (near && (best.empty() || slips < best_distance)) {
      best = candidate;
      best_distance = slips;
    }
  }
  return best;
}

}  // namespace bissl
