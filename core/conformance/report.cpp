#include "conformance/report.h"

#include <fmt/format.h>

#include <algorithm>

namespace bissl {

std::string to_string(CheckStatus status) {
  switch (status) {
    case CheckStatus::passed:
      return "passed";
    case CheckStatus::failed:
      return "failed";
    case CheckStatus::skipped:
      return "skipped";
  }
  return "unknown";
}

void to_json(nlohmann::json& json, const CheckResult& result) {
  json = {{"kind", result.kind},
          {"component", result.component},
          {"check", result.check},
          {"status", to_string(result.status)},
          {"detail", result.detail}};
}

void from_json(const nlohmann::json& json, CheckResult& result) {
  json.at("kind").get_to(result.kind);
  json.at("component").get_to(result.component);
  json.at("check").get_to(result.check);
  json.at("detail").get_to(result.detail);
  const auto status = json.at("status").get<std::string>();
  result.status = status == "passed"    ? CheckStatus::passed
                  : status == "skipped" ? CheckStatus::skipped
                                        : CheckStatus::failed;
}

int64_t ConformanceReport::count(CheckStatus status) const {
  return std::count_if(results.begin(), results.end(),
                       [&](const CheckResult& result) { return result.status == status; });
}

bool ConformanceReport::conforms() const { return count(CheckStatus::failed) == 0; }

void to_json(nlohmann::json& json, const ConformanceReport& report) {
  json = {{"library", report.path}, {"conforms", report.conforms()}, {"checks", report.results}};
}

std::string to_text(const ConformanceReport& report) {
  std::string text = report.path + "\n";
  std::string heading;
  for (const CheckResult& result : report.results) {
    const std::string of =
        result.component.empty() ? "library" : result.kind + " " + result.component;
    if (of != heading) {
      heading = of;
      text += fmt::format("\n{}\n", heading);
    }
    text += fmt::format("  {:<8} {}\n", to_string(result.status), result.check);
    if (result.status != CheckStatus::passed && !result.detail.empty()) {
      text += fmt::format("           {}\n", result.detail);
    }
  }
  return text +
         fmt::format("\n{} passed, {} failed, {} skipped: {}\n", report.count(CheckStatus::passed),
                     report.count(CheckStatus::failed), report.count(CheckStatus::skipped),
                     report.conforms() ? "the library conforms" : "the library does not conform");
}

}  // namespace bissl
