// The length of a step on quadratic losses, whose best length can be written down.

#include "bilevel/step_length.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <algorithm>
#include <limits>

namespace bissl::host {
namespace {

/// Losses of batch B, ½·(θ − b)ᵀH(θ − b), and steps of plain SGD on those of A, with other minima.
class StepLengthTest : public ::testing::Test {
 protected:
  static constexpr int64_t pairs = 3;
  static constexpr int64_t size = 6;

  StepLengthTest() {
    torch::manual_seed(4);
    const at::Tensor root = torch::randn({size, size}, torch::kDouble);
    hessian_ = root.mm(root.t()) + torch::eye(size, torch::kDouble);
    theta_ = torch::randn({size}, torch::kDouble);
    for (int64_t i = 0; i < pairs; ++i) {
      a_.push_back(torch::randn({size}, torch::kDouble).mul(0.2));
      b_.push_back(torch::randn({size}, torch::kDouble).mul(0.2));
    }
  }

  at::Tensor gradient_of(const at::Tensor& minimum) const { return hessian_.mv(theta_ - minimum); }

  StepTrial trial(double rate) {
    return {.weights = {theta_},
            .pairs = pairs,
            .step =
                [this, rate](int64_t pair, double lr_scale) {
                  theta_.sub_(gradient_of(a_[static_cast<size_t>(pair)]).mul(rate * lr_scale));
                },
            .gradient = [this](int64_t pair) -> TensorList {
              return {gradient_of(b_[static_cast<size_t>(pair)])};
            }};
  }

  /// Σ g_B·g_A / Σ g_Aᵀ·H·g_A
  double best_rate() const {
    double descent = 0;
    double curvature = 0;
    for (size_t i = 0; i < pairs; ++i) {
      const at::Tensor step = gradient_of(a_[i]);
      descent += gradient_of(b_[i]).dot(step).item<double>();
      curvature += step.dot(hessian_.mv(step)).item<double>();
    }
    return descent / curvature;
  }

  at::Tensor hessian_;
  at::Tensor theta_;
  std::vector<at::Tensor> a_;
  std::vector<at::Tensor> b_;
};

TEST_F(StepLengthTest, IsThatOfTheQuadraticFromWhateverLengthItStarts) {
  const at::Tensor before = theta_.clone();
  for (const double rate : {0.03, 0.3 * best_rate(), 1e-3, 5.0}) {
    const std::optional<double> length = best_step_length(trial(rate));
    ASSERT_TRUE(length) << rate;
    EXPECT_NEAR(*length * rate / best_rate(), 1.0, 1e-9) << rate;
    EXPECT_TRUE(theta_.equal(before)) << rate;
  }
}

TEST_F(StepLengthTest, IsNothingWhereStepsRaiseTheLossOfOtherBatches) {
  for (at::Tensor& minimum : b_) {
    minimum = theta_ + torch::ones({size}, torch::kDouble);
  }
  for (at::Tensor& minimum : a_) {
    minimum = theta_ - torch::ones({size}, torch::kDouble);
  }
  const at::Tensor before = theta_.clone();
  EXPECT_FALSE(best_step_length(trial(0.01)));
  EXPECT_TRUE(theta_.equal(before));
}

TEST_F(StepLengthTest, StaysBelowLengthsThatEndInWhatIsNotFinite) {
  StepTrial cliff = trial(best_rate());
  const auto smooth = cliff.gradient;
  const at::Tensor start = theta_.clone();
  double longest_step = 0;
  for (const at::Tensor& minimum : a_) {
    longest_step = std::max(longest_step, best_rate() * gradient_of(minimum).norm().item<double>());
  }
  // Steps of more than 0.3 of the best length are beyond the cliff.
  const double edge = 0.3 * longest_step;
  cliff.gradient = [&, smooth](int64_t pair) -> TensorList {
    TensorList gradient = smooth(pair);
    if ((theta_ - start).norm().item<double>() > edge) {
      gradient[0].fill_(std::numeric_limits<double>::quiet_NaN());
    }
    return gradient;
  };
  const std::optional<double> length = best_step_length(cliff);
  ASSERT_TRUE(length);
  EXPECT_LE(*length, 0.3);
  EXPECT_GE(*length, 0.1);
  EXPECT_TRUE(theta_.equal(start));
}

TEST_F(StepLengthTest, IsNothingWhereNoLengthIsLongEnough) {
  // A loss that falls ever more steeply.
  StepTrial slope = trial(0.01);
  slope.step = [this](int64_t /*pair*/, double lr_scale) { theta_.add_(1e-3 * lr_scale); };
  slope.gradient = [this](int64_t /*pair*/) -> TensorList { return {-theta_.exp()}; };
  EXPECT_FALSE(best_step_length(slope));
}

}  // namespace
}  // namespace bissl::host
