// What passes compute in, and the scale of losses in half precision.

#include "models/precision.h"

#include "../bilevel/small_models.h"
#include "bissl/error.h"
#include "models/diverged.h"
#include "models/gradients.h"
#include "models/training_step.h"

#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <cmath>
#include <limits>
#include <stdexcept>

namespace bissl::host {
namespace {

at::Tensor some_images() { return torch::sin(torch::arange(36, torch::kFloat)).view({6, 6}); }

/// What a matrix product computes in here.
at::ScalarType type_of_products() {
  const at::Tensor images = some_images();
  return at::matmul(images, images).scalar_type();
}

/// What it computes in within a pass of images of this type.
at::ScalarType type_in_pass(at::ScalarType images = at::kFloat) {
  at::ScalarType inside = at::kFloat;
  in_precision(some_images().to(images), [&]() -> TensorList {
    inside = type_of_products();
    return {some_images()};
  });
  return inside;
}

TEST(PrecisionScope, HoldsInPassesAndNowhereElse) {
  EXPECT_EQ(type_in_pass(), at::kFloat);
  {
    const PrecisionScope scope(Precision::bf16);
    EXPECT_EQ(precision_of_passes(), Precision::bf16);
    EXPECT_EQ(type_in_pass(), at::kBFloat16);
    EXPECT_EQ(type_of_products(), at::kFloat);
    const at::Tensor images = some_images();
    const TensorList outputs = in_precision(images, [&]() -> TensorList {
      return {at::matmul(images, images), images};
    });
    EXPECT_EQ(outputs[0].scalar_type(), at::kFloat);
    EXPECT_TRUE(outputs[0].equal(
        at::matmul(images.to(at::kBFloat16), images.to(at::kBFloat16)).to(at::kFloat)));
    EXPECT_TRUE(outputs[1].equal(images)) << "an output that no product made loses no digit";
  }
  EXPECT_EQ(precision_of_passes(), Precision::fp32);
  EXPECT_EQ(type_in_pass(), at::kFloat);
}

TEST(PrecisionScope, LeavesPassesInDoublePrecisionAsTheyAre) {
  const PrecisionScope scope(Precision::bf16);
  EXPECT_EQ(type_in_pass(at::kDouble), at::kFloat);
}

TEST(PrecisionScope, EndsWithAnException) {
  const auto fail = []() -> TensorList { throw std::runtime_error("a pass fails"); };
  try {
    const PrecisionScope scope(Precision::bf16);
    EXPECT_THROW(in_precision(some_images(), fail), std::runtime_error);
    EXPECT_EQ(type_of_products(), at::kFloat);
    EXPECT_EQ(precision_of_passes(), Precision::bf16);
    in_precision(some_images(), fail);
  } catch (const std::runtime_error&) {
    EXPECT_EQ(precision_of_passes(), Precision::fp32);
  }
  EXPECT_EQ(type_in_pass(), at::kFloat);
}

TEST(PrecisionScope, Nests) {
  const PrecisionScope outer(Precision::bf16, Precision::fp32);
  {
    const PrecisionScope inner(Precision::fp32, Precision::bf16);
    EXPECT_EQ(type_in_pass(), at::kFloat);
    {
      const HypergradientPrecision hypergradient;
      EXPECT_EQ(type_in_pass(), at::kBFloat16);
      EXPECT_EQ(precision_of_hypergradients(), Precision::bf16);
    }
    EXPECT_EQ(type_in_pass(), at::kFloat);
  }
  EXPECT_EQ(type_in_pass(), at::kBFloat16);
  const HypergradientPrecision hypergradient;
  EXPECT_EQ(type_in_pass(), at::kFloat);
  // A pass within a pass, as a backbone that holds another one has it.
  const PrecisionScope again(Precision::bf16);
  in_precision(some_images(), []() -> TensorList {
    EXPECT_EQ(type_in_pass(), at::kBFloat16);
    EXPECT_EQ(type_of_products(), at::kBFloat16);
    return {};
  });
}

/// LibTorch keeps the casts of weights for the length of a scope of its own.
TEST(PrecisionScope, SeesTheWeightsOfNow) {
  const PrecisionScope scope(Precision::bf16);
  at::Tensor weight = some_images().requires_grad_();
  const auto pass = [&] {
    return in_precision(some_images(),
                        [&]() -> TensorList { return {at::matmul(some_images(), weight)}; })[0];
  };
  const at::Tensor before = pass();
  {
    const c10::NoGradGuard no_grad;
    weight.mul_(2.0);
  }
  EXPECT_TRUE(pass().equal(before * 2.0));
  const at::Tensor gradient = gradients_of(pass().square().sum(), {weight})[0];
  EXPECT_EQ(gradient.scalar_type(), at::kFloat);
}

TEST(Precision, HasNames) {
  for (const Precision precision : {Precision::fp32, Precision::bf16, Precision::fp16}) {
    EXPECT_EQ(precision_named(to_string(precision)), precision);
  }
  EXPECT_THROW(precision_named("fp8"), Error);
}

TEST(LossScale, FallsAtOnceAndGrowsSlowly) {
  LossScale losses;
  EXPECT_EQ(losses.value(), 1) << "trials have none";
  losses.begin();
  EXPECT_EQ(losses.value(), 65536);
  EXPECT_FALSE(losses.accept(false));
  EXPECT_TRUE(losses.skipped());
  EXPECT_EQ(losses.value(), 32768);
  for (int64_t i = 1; i < LossScale::growth_steps; ++i) {
    EXPECT_TRUE(losses.accept(true));
  }
  EXPECT_FALSE(losses.skipped());
  EXPECT_EQ(losses.value(), 32768);
  losses.accept(true);
  EXPECT_EQ(losses.value(), 65536);
  for (int i = 0; i < 40; ++i) {
    losses.accept(false);
  }
  EXPECT_EQ(losses.value(), LossScale::least);
}

TEST(LossScale, ContinuesFromItsState) {
  LossScale first;
  first.begin();
  first.accept(false);
  for (int64_t i = 1; i < LossScale::growth_steps; ++i) {
    first.accept(true);
  }
  LossScale second;
  second.restore(first.state());
  EXPECT_EQ(second.value(), 32768);
  second.accept(true);
  EXPECT_EQ(second.value(), 65536);
}

/// A weight that is trained in half precision, as far as a step without a pass is concerned.
class ScaledStepTest : public ::testing::Test {
 protected:
  ScaledStepTest() { loss_scale()->begin(); }

  double take(double factor) {
    const at::Tensor loss = weight_.mul(factor).sum();
    LossGradient gradient{loss.item<double>(), training_gradients_of(loss, {weight_})};
    return step_.take(std::move(gradient), 1.0, [this](const TensorList&, double) { ++observed_; });
  }

  static NamedTensors named(const at::Tensor& weight) {
    NamedTensors all;
    all.emplace_back("weight", weight);
    return all;
  }

  PrecisionScope scope_{Precision::fp16};
  at::Tensor weight_ = at::ones({2}).requires_grad_();
  test::PlainDescent optimizer_{named(weight_), 0.5};
  TrainingStep step_{named(weight_), optimizer_, {.name = "the training", .advice = "Try less"}};
  int observed_ = 0;
};

TEST_F(ScaledStepTest, IsTheStepWithoutAScale) {
  EXPECT_NEAR(take(1.0), std::sqrt(2.0), 1e-6);
  EXPECT_TRUE(weight_.equal(at::ones({2}) * 0.5));
  EXPECT_EQ(observed_, 1);
  EXPECT_EQ(loss_scale()->state().good_steps, 1);
}

TEST_F(ScaledStepTest, IsLeftOutWhereItsGradientsOverflow) {
  const double large = 1e35;  // times 65536 beyond single precision
  EXPECT_FALSE(std::isfinite(take(large)));
  EXPECT_TRUE(weight_.equal(at::ones({2})));
  EXPECT_EQ(observed_, 0);
  EXPECT_TRUE(loss_scale()->skipped());
  EXPECT_EQ(loss_scale()->value(), 32768);
  take(1.0);
  EXPECT_FALSE(loss_scale()->skipped());
  EXPECT_TRUE(weight_.equal(at::ones({2}) * 0.5));
}

TEST_F(ScaledStepTest, DivergesWithTheLossAndAtTheLeastScale) {
  EXPECT_THROW(take(std::numeric_limits<double>::quiet_NaN()), Diverged);
  EXPECT_EQ(loss_scale()->value(), 65536);
  const TensorList infinite = {at::ones({2}) * std::numeric_limits<double>::infinity()};
  for (int i = 0; i < 16; ++i) {
    step_.take({1.0, copy(infinite)}, 1.0);
  }
  EXPECT_EQ(loss_scale()->value(), LossScale::least);
  EXPECT_THROW(step_.take({1.0, copy(infinite)}, 1.0), Diverged);
  EXPECT_TRUE(weight_.equal(at::ones({2})));
}

TEST(LossScale, IsForHalfPrecisionAlone) {
  EXPECT_EQ(loss_scale(), nullptr);
  const PrecisionScope scope(Precision::fp16);
  ASSERT_NE(loss_scale(), nullptr);
  {
    const HypergradientPrecision hypergradient;
    EXPECT_EQ(loss_scale(), nullptr);
  }
  const PrecisionScope inner(Precision::bf16);
  EXPECT_EQ(loss_scale(), nullptr);
}

}  // namespace
}  // namespace bissl::host
