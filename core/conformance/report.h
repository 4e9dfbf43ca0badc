#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace bissl::host {

/// How one check of a component ended. `not_tested`: a component of which nothing could be tried.
enum class CheckStatus { passed, failed, skipped, not_tested };

std::string to_string(CheckStatus status);

struct CheckResult {
  std::string kind;       ///< of the component; empty for the library as a whole
  std::string component;  ///< its name
  std::string check;      ///< what is promised, in a few words
  CheckStatus status = CheckStatus::passed;
  std::string detail;  ///< what was found, or why it was not tried
};

void to_json(nlohmann::json& json, const CheckResult& result);
void from_json(const nlohmann::json& json, CheckResult& result);

/// What a report amounts to: something failed; nothing failed, but a component was not tested;
/// neither.
enum class Verdict { conforms, fails, not_tested };

std::string to_string(Verdict verdict);

/// What `bissl conform` found out about a library.
struct ConformanceReport {
  std::string path;
  std::vector<CheckResult> results;

  Verdict verdict() const;
  int64_t count(CheckStatus status) const;
};

void to_json(nlohmann::json& json, const ConformanceReport& report);

/// A table for people: a line for each check, the reasons below what did not pass.
std::string to_text(const ConformanceReport& report);

}  // namespace bissl::host
