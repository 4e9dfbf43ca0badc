#include "base/spelling.h"

#include "bissl/value.h"

#include <algorithm>
#include <utility>

namespace bissl::host {
namespace {

constexpr size_t most_suggestions = 3;

std::string lower_case(std::string text) {
  for (char& c : text) {
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return text;
}

/// The restricted Damerau–Levenshtein distance (optimal string alignment).
size_t distance(const std::string& left, const std::string& right) {
  std::vector<size_t> before_last(right.size() + 1);
  std::vector<size_t> last(right.size() + 1);
  std::vector<size_t> current(right.size() + 1);
  for (size_t j = 0; j <= right.size(); ++j) {
    last[j] = j;
  }
  for (size_t i = 1; i <= left.size(); ++i) {
    current[0] = i;
    for (size_t j = 1; j <= right.size(); ++j) {
      const size_t replaced = last[j - 1] + (left[i - 1] == right[j - 1] ? 0 : 1);
      current[j] = std::min({last[j] + 1, current[j - 1] + 1, replaced});
      if (i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1]) {
        current[j] = std::min(current[j], before_last[j - 2] + 1);
      }
    }
    std::swap(before_last, last);
    std::swap(last, current);
  }
  return last[right.size()];
}

}  // namespace

std::vector<std::string> nearest(const std::string& wrong, const std::vector<std::string>& names) {
  const size_t cut_off = std::max<size_t>(1, wrong.size() / 3);
  const std::string wrong_lower = lower_case(wrong);
  std::vector<std::pair<size_t, std::string>> found;
  for (const std::string& name : names) {
    // Far enough apart in length alone: keeps absurdly long keys from costing anything.
    if (name == wrong || name.size() > wrong.size() + cut_off ||
        wrong.size() > name.size() + cut_off) {
      continue;
    }
    const size_t steps = distance(wrong_lower, lower_case(name));
    if (steps <= cut_off && steps < wrong.size()) {
      found.emplace_back(steps, name);
    }
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& left, const auto& right) { return left.first < right.first; });
  std::vector<std::string> result;
  for (size_t i = 0; i < std::min(found.size(), most_suggestions); ++i) {
    result.push_back(found[i].second);
  }
  return result;
}

std::string spelled_key(const std::string& key) {
  const bool bare = !key.empty() && std::all_of(key.begin(), key.end(), [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  });
  return bare ? key : to_toml(Value(key));
}

}  // namespace bissl::host
