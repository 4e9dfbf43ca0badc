#include "pipeline/diagnostics.h"

#include "bissl/value.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <tuple>

namespace bissl {
namespace {

constexpr size_t longest_text = 80;
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

/// The text with bytes that are not UTF-8 replaced, so that JSON can hold it.
nlohmann::json json_text(const std::string& text) {
  return nlohmann::json::parse(
      nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

const char* severity_name(Diagnostic::Severity severity) {
  return severity == Diagnostic::Severity::error ? "error" : "warning";
}

}  // namespace

std::string Location::text() const {
  return line == 0 ? file : fmt::format("{}:{}:{}", file, line, column);
}

bool operator==(const Location& left, const Location& right) {
  return std::tie(left.file, left.line, left.column) ==
         std::tie(right.file, right.line, right.column);
}

bool operator<(const Location& left, const Location& right) {
  return std::tie(left.file, left.line, left.column) <
         std::tie(right.file, right.line, right.column);
}

std::string Diagnostic::text() const {
  std::string line = fmt::format("{}: {}: ", at.text(), severity_name(severity));
  if (!key.empty()) {
    line += key + ": ";
  }
  line += message;
  if (!accepted.empty()) {
    line += "; accepted: " + accepted;
  }
  if (!suggestions.empty()) {
    line += fmt::format("; did you mean \"{}\"?", fmt::join(suggestions, "\" or \""));
  }
  return line;
}

nlohmann::json to_json(const Diagnostic& diagnostic) {
  nlohmann::json suggestions = nlohmann::json::array();
  for (const std::string& suggestion : diagnostic.suggestions) {
    suggestions.push_back(json_text(suggestion));
  }
  return {{"severity", severity_name(diagnostic.severity)},
          {"file", json_text(diagnostic.at.file)},
          {"line", diagnostic.at.line},
          {"column", diagnostic.at.column},
          {"key", json_text(diagnostic.key)},
          {"message", json_text(diagnostic.message)},
          {"accepted", json_text(diagnostic.accepted)},
          {"suggestions", suggestions}};
}

std::string to_text(const std::vector<Diagnostic>& diagnostics) {
  std::string text;
  for (const Diagnostic& diagnostic : diagnostics) {
    text += diagnostic.text() + "\n";
  }
  return text;
}

bool has_errors(const std::vector<Diagnostic>& diagnostics) {
  return std::any_of(diagnostics.begin(), diagnostics.end(), [](const Diagnostic& diagnostic) {
    return diagnostic.severity == Diagnostic::Severity::error;
  });
}

void DiagnosticCollector::add_once(Diagnostic diagnostic, const std::string& identity) {
  if (!seen_.emplace(diagnostic.at, identity).second) {
    return;
  }
  if (diagnostic.severity == Diagnostic::Severity::error) {
    ++errors_;
  }
  diagnostics_.push_back(std::move(diagnostic));
}

void DiagnosticCollector::add(Diagnostic diagnostic) {
  const std::string identity = diagnostic.message;
  add_once(std::move(diagnostic), identity);
}

void DiagnosticCollector::error(const Location& at, const std::string& key,
                                const std::string& message, const std::string& accepted,
                                std::vector<std::string> suggestions) {
  add({Diagnostic::Severity::error, at, key, message, accepted, std::move(suggestions)});
}

void DiagnosticCollector::warning(const Location& at, const std::string& key,
                                  const std::string& message) {
  add({Diagnostic::Severity::warning, at, key, message, "", {}});
}

void DiagnosticCollector::missing(const Location& table, const std::string& key,
                                  const std::string& message, const std::string& accepted) {
  add_once({Diagnostic::Severity::error, table, key, message, accepted, {}}, key + ": " + message);
}

std::vector<Diagnostic> DiagnosticCollector::sorted(const std::string& first_file) const {
  const auto rank = [&](const Diagnostic& diagnostic) {
    return diagnostic.at.file == first_file ? 0 : diagnostic.at.line > 0 ? 1 : 2;
  };
  std::vector<Diagnostic> result = diagnostics_;
  std::stable_sort(
      result.begin(), result.end(), [&](const Diagnostic& left, const Diagnostic& right) {
        return std::make_tuple(rank(left), left.at) < std::make_tuple(rank(right), right.at);
      });
  return result;
}

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

std::string quoted_list(const std::vector<std::string>& names) {
  if (names.empty()) {
    return "none";
  }
  std::vector<std::string> quoted;
  quoted.reserve(names.size());
  for (const std::string& name : names) {
    quoted.push_back(to_toml(Value(shortened(name))));
  }
  return fmt::format("{}", fmt::join(quoted, ", "));
}

std::string shortened(const std::string& text) {
  if (text.size() <= longest_text) {
    return text;
  }
  size_t end = longest_text;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) {
    --end;
  }
  return text.substr(0, end) + "…";
}

std::string spelled_key(const std::string& key) {
  const bool bare = !key.empty() && std::all_of(key.begin(), key.end(), [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  });
  return bare ? key : to_toml(Value(key));
}

std::string joined_key(const std::string& path, const std::string& key) {
  const std::string spelled = spelled_key(shortened(key));
  return path.empty() ? spelled : path + "." + spelled;
}

}  // namespace bissl
