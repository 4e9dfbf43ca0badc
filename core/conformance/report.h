#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace bissl {

/// How one check of a component ended.
enum class CheckStatus { passed, failed, skipped };

std::string to_string(CheckStatus status);

struct CheckResult {
  std::string kind;       ///< of the component; empty for the library as a whole
  std::string component;  ///< its name
  std::string check;      ///< what is promised, in a few words
  CheckStatus status = CheckStatus::passed;
  std::string detail;  ///< what was found, or why it was skipped
};

void to_json(nlohmann::json& json, const CheckResult& result);
void from_json(const nlohmann::json& json, CheckResult& result);

/// What `bissl conform` found out about a library.
struct ConformanceReport {
  std::string path;
  std::vector<CheckResult> results;

  /// Nothing failed.
  bool conforms() const;
  int64_t count(CheckStatus status) const;
};

void to_json(nlohmann::json& json, const ConformanceReport& report);

/// A table for people: a line for each check, the reasons below what failed or was skipped.
std::string to_text(const ConformanceReport& report);

}  // namespace bissl
