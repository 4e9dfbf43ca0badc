#include "analysis/calibration.h"

#include "bissl/error.h"
#include "reference/golden.h"

#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <limits>

namespace bissl::host::test {
namespace {

at::Tensor whole(const std::vector<int64_t>& numbers) { return at::tensor(numbers, at::kLong); }

/// Logits of two classes whose first has these probabilities.
at::Tensor logits_of(const std::vector<double>& probabilities) {
  at::Tensor logits = at::zeros({static_cast<int64_t>(probabilities.size()), 2}, at::kDouble);
  for (size_t i = 0; i < probabilities.size(); ++i) {
    logits[static_cast<int64_t>(i)][0] = std::log(probabilities[i] / (1 - probabilities[i]));
  }
  return logits;
}

TEST(Calibration, GathersSamplesByTheirConfidence) {
  // Confidences 0.9 (right), 0.9 (wrong), 0.55 (right), and 0.8 for the second class (right).
  const Reliability found = reliability(logits_of({0.9, 0.9, 0.55, 0.2}), whole({0, 1, 0, 1}), 10);
  ASSERT_EQ(found.bins.size(), 10);
  EXPECT_EQ(found.bins[5].samples, 1);
  EXPECT_NEAR(found.bins[5].confidence, 0.55, 1e-12);
  EXPECT_EQ(found.bins[5].accuracy, 1);
  int64_t samples = 0;
  for (const ReliabilityBin& bin : found.bins) {
    samples += bin.samples;
    EXPECT_TRUE(bin.samples == 0 ||
                (bin.confidence > bin.low - 1e-9 && bin.confidence < bin.high + 1e-9));
  }
  EXPECT_EQ(samples, 4);
  // 0.9 twice: |0.5 − 0.9|·2/4; 0.55: 0.45/4; 0.8: 0.2/4.
  EXPECT_NEAR(found.ece, 0.2 + 0.1125 + 0.05, 1e-9);
}

/// What is sure and right, and what is sure and wrong.
TEST(Calibration, OfSureAnswersIsTheShareOfWrongOnes) {
  const at::Tensor sure =
      at::tensor(std::vector<double>{1000, 0, 1000, 0, 0, 1000, 0, 1000}).view({4, 2});
  EXPECT_NEAR(reliability(sure, whole({0, 0, 1, 1})).ece, 0, 1e-12);
  EXPECT_NEAR(reliability(sure, whole({0, 1, 1, 1})).ece, 0.25, 1e-12);
  EXPECT_NEAR(reliability(sure, whole({1, 1, 0, 0})).ece, 1, 1e-12);
  EXPECT_EQ(reliability(sure, whole({0, 0, 1, 1})).bins.back().samples, 4);
}

/// Logits without a difference: the confidence of 1/K is right for one class.
TEST(Calibration, OfEqualLogitsIsThatOfTheFirstClass) {
  const Reliability found = reliability(at::zeros({4, 4}), whole({0, 1, 2, 3}));
  EXPECT_NEAR(found.ece, 0, 1e-12);
}

TEST(Calibration, OfOneSampleIsItsOwnError) {
  const Reliability found = reliability(logits_of({0.7}), whole({0}));
  EXPECT_NEAR(found.ece, 0.3, 1e-12);
  EXPECT_NEAR(reliability(logits_of({0.7}), whole({1})).ece, 0.7, 1e-12);
}

TEST(Calibration, RefusesLogitsThatAreNotFinite) {
  at::Tensor logits = at::zeros({2, 3}, at::kDouble);
  for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    logits[1][2] = bad;
    EXPECT_THROW(reliability(logits, whole({0, 1})), Error) << bad;
  }
}

/// The data of tests/reference/explanations.py.
TEST(Calibration, IsThatOfAnIndependentComputation) {
  const nlohmann::json expected = golden("explanations.json").at("calibration");
  const at::Tensor labels = whole(expected.at("labels").get<std::vector<int64_t>>());
  const Reliability found = reliability(pattern(21, {300, 4}).mul(9), labels, 15);
  EXPECT_NEAR(found.ece, expected.at("ece").get<double>(), 1e-12);
  ASSERT_EQ(found.bins.size(), expected.at("bins").size());
  for (size_t i = 0; i < found.bins.size(); ++i) {
    const nlohmann::json& bin = expected.at("bins").at(i);
    EXPECT_EQ(found.bins[i].samples, bin.at(0).get<int64_t>()) << i;
    EXPECT_NEAR(found.bins[i].confidence, bin.at(1).get<double>(), 1e-12) << i;
    EXPECT_NEAR(found.bins[i].accuracy, bin.at(2).get<double>(), 1e-12) << i;
  }
}

TEST(Calibration, CountsByClass) {
  const auto found = accuracy_by_class(whole({0, 1, 1, 0}), whole({0, 1, 0, 0}), 3);
  ASSERT_EQ(found.size(), 3);
  EXPECT_EQ(found[0].samples, 3);
  EXPECT_EQ(found[0].right, 2);
  EXPECT_EQ(found[1].right, 1);
  EXPECT_EQ(found[2].samples, 0);
}

}  // namespace
}  // namespace bissl::host::test
