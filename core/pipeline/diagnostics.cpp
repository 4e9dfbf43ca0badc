#include "pipeline/diagnostics.h"

#include "base/json_text.h"
#include "base/spelling.h"
#include "bissl/value.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <tuple>

namespace bissl::host {
namespace {

constexpr size_t longest_text = 80;

/// The text with bytes that are not UTF-8 replaced, so that JSON can hold it.
nlohmann::json utf8(const std::string& text) {
  return nlohmann::json::parse(json_text(nlohmann::json(text)));
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
  return fmt::format("{}: {}: {}", at.text(), severity_name(severity), words());
}

std::string Diagnostic::text_without_severity() const {
  return fmt::format("{}: {}", at.text(), words());
}

std::string Diagnostic::words() const {
  std::string line = key.empty() ? message : key + ": " + message;
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
    suggestions.push_back(utf8(suggestion));
  }
  return {{"severity", severity_name(diagnostic.severity)},
          {"file", utf8(diagnostic.at.file)},
          {"line", diagnostic.at.line},
          {"column", diagnostic.at.column},
          {"key", utf8(diagnostic.key)},
          {"message", utf8(diagnostic.message)},
          {"accepted", utf8(diagnostic.accepted)},
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

std::string lower_case(const std::string& text) {
  std::string lower = text;
  for (char& c : lower) {
    c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return lower;
}

std::string joined_key(const std::string& path, const std::string& key) {
  const std::string spelled = spelled_key(shortened(key));
  return path.empty() ? spelled : path + "." + spelled;
}

}  // namespace bissl::host
