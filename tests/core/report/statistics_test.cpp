// Against numbers that SciPy made: tests/reference/statistics.py.

#include "report/statistics.h"

#include "support/paths.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace bissl::host::test {
namespace {

using nlohmann::json;

json golden() {
  return json::parse(
      read_file(std::string(source_folder) + "/tests/reference/golden/statistics.json"));
}

TEST(Statistics, MeansAndIntervalsAreScipys) {
  const json samples = golden()["samples"];
  for (const auto& [name, sample] : samples.items()) {
    const Estimate found = estimate(sample["values"].get<std::vector<double>>());
    EXPECT_NEAR(found.mean, sample["mean"].get<double>(), 1e-12) << name;
    EXPECT_NEAR(*found.std, sample["std"].get<double>(), 1e-12) << name;
    // SciPy 1.10 has the quantile of t to about 1e-9.
    const double room = 2e-9 * *found.half;
    EXPECT_NEAR(*found.low(), sample["low"].get<double>(), room) << name;
    EXPECT_NEAR(*found.high(), sample["high"].get<double>(), room) << name;
  }
}

TEST(Statistics, OneValueHasNoSpread) {
  const Estimate one = estimate({0.5});
  EXPECT_EQ(one.count, 1);
  EXPECT_EQ(one.mean, 0.5);
  EXPECT_FALSE(one.std || one.half || one.low());
}

/// An interval of no width would say that the next value is certain.
TEST(Statistics, EqualValuesHaveTheirMeanAndNoInterval) {
  for (const size_t count : {size_t{3}, size_t{10}}) {
    const Estimate same = estimate(std::vector<double>(count, 0.1));
    EXPECT_EQ(same.mean, 0.1) << count;
    EXPECT_EQ(*same.std, 0.0) << count;
    EXPECT_FALSE(same.half || same.low()) << count;
  }
  // In binary, 0.91 − 0.9 and 0.02 − 0.01 differ in their last bits.
  EXPECT_FALSE(estimate({0.91 - 0.9, 0.02 - 0.01}).half);
  EXPECT_TRUE(estimate({0.01, 0.010001}).half);
}

TEST(Statistics, SignFlipsCountedOutAreScipys) {
  const json samples = golden()["samples"];
  for (const auto& [name, sample] : samples.items()) {
    const auto values = sample["values"].get<std::vector<double>>();
    const SignFlipTest test = sign_flip_test(values);
    EXPECT_TRUE(test.exact);
    EXPECT_NEAR(test.p, sample["p"].get<double>(), 1e-12) << name;
    EXPECT_DOUBLE_EQ(test.least, 2.0 / static_cast<double>(uint64_t{1} << values.size()));
  }
}

TEST(Statistics, ManyPairsTakeRandomPatterns) {
  const json many = golden()["many"];
  const SignFlipTest test = sign_flip_test(many["values"].get<std::vector<double>>());
  EXPECT_FALSE(test.exact);
  const auto expected = many["p"].get<double>();
  // Five standard errors of the share among 100 000 patterns.
  EXPECT_NEAR(test.p, expected, 5 * std::sqrt(expected * (1 - expected) / 1e5));
  EXPECT_EQ(test.p, sign_flip_test(many["values"].get<std::vector<double>>()).p);
}

TEST(Statistics, EqualSizesAreNotDecidedByRounding) {
  // 0.1 + 0.2 − 0.3 is not 0 in binary; all patterns are as far as the observed one.
  EXPECT_EQ(sign_flip_test({0.1, 0.2, -0.3}).p, 1.0);
  EXPECT_EQ(sign_flip_test({0, 0, 0}).p, 1.0);
}

TEST(Statistics, DetectableDifferencesAreScipys) {
  const json cases = golden()["detectable"];
  for (const json& one : cases) {
    const auto expected = one[2].get<double>();
    EXPECT_NEAR(detectable_difference(one[0].get<double>(), one[1].get<int64_t>()), expected,
                1e-8 * expected);
  }
}

TEST(Statistics, HolmIsItsDefinition) {
  const json holms = golden()["holm"];
  const std::vector<double> adjusted = holm(holms["p"].get<std::vector<double>>());
  const auto expected = holms["adjusted"].get<std::vector<double>>();
  ASSERT_EQ(adjusted.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(adjusted[i], expected[i], 1e-15) << i;
  }
  EXPECT_TRUE(holm({}).empty());
}

}  // namespace
}  // namespace bissl::host::test
