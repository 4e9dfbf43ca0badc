// Which arm `bissl compare` says to use.

#include "cli/compare_advice.h"

#include <gtest/gtest.h>

#include <string>

namespace bissl::host::test {
namespace {

/// Six seeds of three arms; `lead` is how far the first is ahead of the second, and `third` how far
/// the third is.
ReportData three_arms(double lead, double third) {
  ReportData data;
  data.metrics = {"bissl.test.top1", "scratch.test.top1"};
  data.reference = "more.test.top1";
  data.higher_is_better = true;
  for (int seed = 0; seed < 6; ++seed) {
    const double level = 0.5 + 0.01 * seed;
    data.observations.push_back(
        {.choices = {},
         .repetition = "seed " + std::to_string(seed),
         .metrics = {{"bissl.test.top1", level + lead + 0.001 * seed},
                     {"more.test.top1", level},
                     {"scratch.test.top1", level + third}},
         .folder = {},
         .seconds = {{"bissl.test.top1", 30}, {"more.test.top1", 20}, {"scratch.test.top1", 10}}});
  }
  return data;
}

std::string advice(const ReportData& data) { return compare_advice(data, pooled_results(data)); }

TEST(CompareAdvice, IsTheBetterOneWhereThatIsSure) {
  EXPECT_EQ(advice(three_arms(0.1, -0.1)), "Use bissl.");
  EXPECT_EQ(advice(three_arms(-0.1, -0.2)), "Use more.");
}

TEST(CompareAdvice, IsTheCheaperOneWhereTheTwoCannotBeToldApart) {
  EXPECT_EQ(
      advice(three_arms(-0.0025, -0.1)),
      "These runs do not tell the two apart: take the cheaper one, more, or give more seeds.");
}

TEST(CompareAdvice, NamesAThirdArmThatIsBetterThanBoth) {
  const std::string text = advice(three_arms(0.1, 0.2));
  EXPECT_EQ(
      text.rfind(
          "Of the two, use bissl. But scratch did better than both in the mean, by 0.0975 than "
          "bissl (p = 0.031, 0.031 adjusted), and takes less time: use that one.",
          0),
      0U)
      << text;
}

TEST(CompareAdvice, AsksForMoreSeedsOfADearThirdArmThatMayBeBetterByChance) {
  ReportData data = three_arms(0.1, 0.1);
  for (size_t i = 0; i < data.observations.size(); ++i) {
    data.observations[i].metrics["scratch.test.top1"] += i == 0 ? 0.06 : 0.0;
    data.observations[i].seconds["scratch.test.top1"] = 90;
  }
  const std::string text = advice(data);
  EXPECT_EQ(text.rfind("Of the two, use bissl. But scratch did better than both", 0), 0U) << text;
  EXPECT_NE(text.find("adjusted): give more seeds to see whether that is chance."),
            std::string::npos)
      << text;
}

}  // namespace
}  // namespace bissl::host::test
