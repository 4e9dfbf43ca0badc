#include "conformance/report.h"

#include <gtest/gtest.h>

namespace bissl::host::test {
namespace {

CheckResult check_result(CheckStatus status, const std::string& detail = "") {
  return {.kind = "optimizer",
          .component = "idle",
          .check = "descends",
          .status = status,
          .detail = detail};
}

TEST(ConformanceReport, FailsBeforeItIsUntested) {
  ConformanceReport report{.path = "idle.so", .results = {check_result(CheckStatus::passed)}};
  EXPECT_EQ(report.verdict(), Verdict::conforms);
  report.results.push_back(check_result(CheckStatus::skipped));
  EXPECT_EQ(report.verdict(), Verdict::conforms);
  report.results.push_back(check_result(CheckStatus::not_tested));
  EXPECT_EQ(report.verdict(), Verdict::not_tested);
  report.results.push_back(check_result(CheckStatus::failed));
  EXPECT_EQ(report.verdict(), Verdict::fails);
  EXPECT_EQ(report.count(CheckStatus::passed), 1);
}

TEST(ConformanceReport, ResultsComeBackFromJson) {
  for (const CheckStatus status :
       {CheckStatus::passed, CheckStatus::failed, CheckStatus::skipped, CheckStatus::not_tested}) {
    const nlohmann::json json = check_result(status, "why");
    const auto back = json.get<CheckResult>();
    EXPECT_EQ(back.status, status);
    EXPECT_EQ(back.check, "descends");
    EXPECT_EQ(back.detail, "why");
  }
}

TEST(ConformanceReport, HasAHeadingForEachComponentAndReasonsBelow) {
  const ConformanceReport report{.path = "idle.so",
                                 .results = {CheckResult{"", "", "loads", CheckStatus::passed, ""},
                                             check_result(CheckStatus::passed, "not shown"),
                                             check_result(CheckStatus::failed, "it rises")}};
  EXPECT_EQ(to_text(report),
            "idle.so\n"
            "\nlibrary\n"
            "  passed     loads\n"
            "\noptimizer idle\n"
            "  passed     descends\n"
            "  failed     descends\n"
            "             it rises\n"
            "\n2 passed, 1 failed, 0 skipped: the library does not conform\n");
}

TEST(ConformanceReport, SaysOfWhatItIsNoVerdict) {
  const ConformanceReport report{.path = "idle.so",
                                 .results = {check_result(CheckStatus::not_tested, "no root")}};
  EXPECT_NE(to_text(report).find("1 not tested: this is no verdict on optimizer idle, of which "
                                 "nothing could be tried"),
            std::string::npos)
      << to_text(report);
}

}  // namespace
}  // namespace bissl::host::test
