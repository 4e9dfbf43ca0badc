#include "report/run_difference.h"

#include <gtest/gtest.h>

namespace bissl::host::test {
namespace {

/// The texts of the one row of results for a metric with these means.
std::vector<std::string> row(const nlohmann::json& left, const nlohmann::json& right) {
  RunDifference difference;
  difference.results.push_back({"finetune.test.top1", left, right});
  const std::vector<ReportTable> tables = difference_tables(difference, "a", "b");
  std::vector<std::string> texts;
  for (const ReportCell& cell : tables.back().rows.at(0)) {
    texts.push_back(cell.text);
  }
  return texts;
}

using Texts = std::vector<std::string>;

TEST(RunDifference, ValuesThatFourDigitsTellApartHaveFour) {
  EXPECT_EQ(row(0.5, 0.5125), (Texts{"finetune.test.top1", "0.5000", "0.5125", "+0.0125"}));
}

TEST(RunDifference, ValuesThatDifferAreToldApart) {
  EXPECT_EQ(row(0.5, 0.500003), (Texts{"finetune.test.top1", "0.500000", "0.500003", "+3.0e-06"}));
}

TEST(RunDifference, EqualValuesDifferByNothing) {
  EXPECT_EQ(row(0.25, 0.25), (Texts{"finetune.test.top1", "0.2500", "0.2500", "+0.0000"}));
}

TEST(RunDifference, AValueThatIsNotFiniteHasNoDifference) {
  const Texts texts = row("nan", 0.25);
  EXPECT_EQ(texts[1], "not finite");
  EXPECT_EQ(texts[3], row(nullptr, 0.25)[3]);
}

}  // namespace
}  // namespace bissl::host::test
