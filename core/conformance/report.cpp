#include "conformance/report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace bissl::host {

std::string to_string(CheckStatus status) {
  switch (status) {
    case CheckStatus::passed:
      return "passed";
    case CheckStatus::failed:
      return "failed";
    case CheckStatus::skipped:
      return "skipped";
    case CheckStatus::not_tested:
      return "not tested";
  }
  return "unknown";
}

std::string to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::conforms:
      return "conforms";
    case Verdict::fails:
      return "fails";
    case Verdict::not_tested:
      return "not tested";
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
  result.status = CheckStatus::failed;
  for (const CheckStatus one :
       {CheckStatus::passed, CheckStatus::skipped, CheckStatus::not_tested}) {
    if (status == to_string(one)) {
      result.status = one;
    }
  }
}

int64_t ConformanceReport::count(CheckStatus status) const {
  return std::count_if(results.begin(), results.end(),
                       [&](const CheckResult& result) { return result.status == status; });
}

Verdict ConformanceReport::verdict() const {
  if (count(CheckStatus::failed) > 0) {
    return Verdict::fails;
  }
  return count(CheckStatus::not_tested) > 0 ? Verdict::not_tested : Verdict::conforms;
}

void to_json(nlohmann::json& json, const ConformanceReport& report) {
  json = {{"library", report.path},
          {"verdict", to_string(report.verdict())},
          {"conforms", report.verdict() == Verdict::conforms},
          {"checks", report.results}};
}

namespace {

std::string closing_line(const ConformanceReport& report) {
  std::string counts =
      fmt::format("{} passed, {} failed, {} skipped", report.count(CheckStatus::passed),
                  report.count(CheckStatus::failed), report.count(CheckStatus::skipped));
  std::vector<std::string> untested;
  for (const CheckResult& result : report.results) {
    if (result.status == CheckStatus::not_tested) {
      untested.push_back(result.kind + " " + result.component);
    }
  }
  if (!untested.empty()) {
    counts += fmt::format(", {} not tested", untested.size());
  }
  switch (report.verdict()) {
    case Verdict::conforms:
      return counts + ": the library conforms";
    case Verdict::fails:
      return counts + ": the library does not conform";
    case Verdict::not_tested:
      return fmt::format(
          "{}: this is no verdict on {}, of which nothing could be tried; give the values that "
          "are named above",
          counts, fmt::join(untested, ", "));
  }
  return counts;
}

}  // namespace

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
    text += fmt::format("  {:<10} {}\n", to_string(result.status), result.check);
    if (result.status != CheckStatus::passed && !result.detail.empty()) {
      text += fmt::format("             {}\n", result.detail);
    }
  }
  return text + "\n" + closing_line(report) + "\n";
}

}  // namespace bissl::host
