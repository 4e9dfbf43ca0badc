#include "report/analysis.h"

#include <gtest/gtest.h>

namespace bissl::test {
namespace {

/// Two axes of two labels; the value of each seed is told by hand.
ReportData example() {
  ReportData data;
  data.title = "example";
  data.axes = {{"solver", {"a", "b"}, 0}, {"rate", {"low", "high"}, 1}};
  data.metrics = {"m"};
  data.reference = "r";
  const auto add = [&](std::vector<size_t> choices, const std::string& seed, double m, double r) {
    data.observations.push_back({std::move(choices), seed, {{"m", m}, {"r", r}}, {}});
  };
  add({0, 0}, "seed 0", 1.0, 0.5);
  add({0, 0}, "seed 1", 2.0, 0.5);
  add({0, 1}, "seed 0", 3.0, 0.5);
  add({0, 1}, "seed 1", 5.0, 0.5);
  add({1, 0}, "seed 1", 6.0, 0.5);  // seed 0 is missing
  add({1, 1}, "seed 0", 4.0, 0.5);
  add({1, 1}, "seed 1", 8.0, 0.5);
  return data;
}

TEST(Analysis, CellsComeInTheOrderOfTheirLabels) {
  const std::vector<CellSummary> cells = summarise(example());
  ASSERT_EQ(cells.size(), 4U);
  EXPECT_EQ(cells[0].choices, (std::vector<size_t>{0, 0}));
  EXPECT_DOUBLE_EQ(cells[0].metrics.at("m").mean, 1.5);
  EXPECT_EQ(cells[2].metrics.at("m").count, 1);
  EXPECT_EQ(cells[3].values, (std::vector<double>{4, 8}));
}

TEST(Analysis, PairsAreMadeBySeed) {
  const std::vector<CellSummary> cells = summarise(example());
  // The baseline is (a, high): 3 and 5.
  EXPECT_FALSE(cells[1].to_baseline);
  EXPECT_EQ(cells[0].to_baseline->differences, (std::vector<double>{-2, -3}));
  EXPECT_EQ(cells[2].to_baseline->differences, (std::vector<double>{1}));
  EXPECT_EQ(cells[3].to_baseline->differences, (std::vector<double>{1, 3}));
  EXPECT_DOUBLE_EQ(cells[3].to_baseline->test.p, 0.5);
  EXPECT_DOUBLE_EQ(cells[3].to_baseline->adjusted, 1.0);
  EXPECT_EQ(cells[0].to_reference->differences, (std::vector<double>{0.5, 1.5}));
}

TEST(Analysis, EffectsCompareOnlyWhatBothLabelsHave) {
  const std::vector<AxisEffects> effects = marginal_effects(example());
  ASSERT_EQ(effects.size(), 2U);
  EXPECT_EQ(effects[0].axis, "solver");
  EXPECT_FALSE(effects[0].labels[0].effect);
  // Seed 0: only (·, high) is in both, 4 − 3. Seed 1: the mean of 6 − 2 and 8 − 5.
  EXPECT_EQ(effects[0].labels[1].effect->differences, (std::vector<double>{1, 3.5}));
  // The mean over all cells, seed by seed: 4, and the mean of 6 and 8.
  EXPECT_DOUBLE_EQ(effects[0].labels[1].mean.mean, 5.5);
  // rate: the baseline is high. Seed 0: 1 − 3. Seed 1: the mean of 2 − 5 and 6 − 8.
  EXPECT_EQ(effects[1].labels[0].effect->differences, (std::vector<double>{-2, -2.5}));
}

TEST(Analysis, WithoutABaselineCellNothingIsComparedWithIt) {
  ReportData data = example();
  std::erase_if(data.observations, [](const Observation& observation) {
    return observation.choices == std::vector<size_t>{0, 1};
  });
  for (const CellSummary& cell : summarise(data)) {
    EXPECT_FALSE(cell.to_baseline);
  }
}

}  // namespace
}  // namespace bissl::test
