#include "numerics/logistic_regression.h"

#include "bissl/error.h"
#include "numerics/lbfgs.h"
#include "reference/golden.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <limits>

namespace bissl::host::test {
namespace {

at::Tensor doubles(const nlohmann::json& numbers) {
  return at::tensor(numbers.get<std::vector<double>>(), at::kDouble);
}

at::Tensor whole_numbers(const nlohmann::json& numbers) {
  return at::tensor(numbers.get<std::vector<int64_t>>(), at::kLong);
}

std::string refusal(const at::Tensor& features, const at::Tensor& labels, int64_t classes,
                    const LogisticSetting& setting = {}) {
  try {
    fit_logistic_regression(features, labels, classes, setting);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(LogisticRegression, IsThatOfScikitLearn) {
  const nlohmann::json expected = golden("logistic_regression.json");
  for (const nlohmann::json& one : expected.at("cases")) {
    const int64_t rows = one.at("rows");
    const at::Tensor features = doubles(one.at("features")).view({rows, one.at("width")});
    const at::Tensor labels = whole_numbers(one.at("labels"));
    const LogisticFit fit =
        fit_logistic_regression(features, labels, one.at("classes"),
                                {.ridge = one.at("ridge"), .iterations = 2000, .tolerance = 1e-7});
    EXPECT_TRUE(fit.converged) << rows;
    const at::Tensor logits = at::addmm(fit.bias, features, fit.weight.t());
    EXPECT_TRUE(close(at::softmax(logits, 1), one.at("probabilities"), 1e-6)) << rows;
    const at::Tensor weight = doubles(one.at("weight")).view_as(fit.weight);
    EXPECT_TRUE(fit.weight.allclose(weight, 1e-3, 1e-6)) << rows << fit.weight << weight;
    EXPECT_TRUE(fit.bias.allclose(doubles(one.at("bias")), 1e-3, 1e-6)) << rows;
    EXPECT_NEAR(fit.loss, one.at("loss").get<double>(), 1e-7) << rows;
    EXPECT_NEAR(fit.accuracy, one.at("accuracy").get<double>(), 1e-12) << rows;
    EXPECT_FALSE(fit.held_out_loss) << rows;
  }
}

/// Two fits are the same numbers, and single precision loses no more than its own.
TEST(LogisticRegression, IsDeterministicAndTakesFloats) {
  const at::Tensor features = pattern(3, {50, 4}).to(at::kFloat);
  const at::Tensor labels = features.select(1, 0).gt(0).to(at::kLong);
  const LogisticFit first = fit_logistic_regression(features, labels, 2);
  const LogisticFit second = fit_logistic_regression(features, labels, 2);
  EXPECT_TRUE(first.weight.equal(second.weight));
  EXPECT_TRUE(first.bias.equal(second.bias));
  EXPECT_EQ(first.weight.scalar_type(), at::kDouble);
  EXPECT_EQ(first.ridge, second.ridge);
}

/// Labels that have nothing to do with the features want a strong ridge, labels that follow from
/// them a weak one.
TEST(LogisticRegression, ChoosesTheRidgeOnHeldOutRows) {
  const at::Tensor features = pattern(5, {80, 20});
  const at::Tensor noise = pattern(77, {80}).gt(0).to(at::kLong);
  const at::Tensor clear = features.select(1, 2).gt(0).to(at::kLong);
  const LogisticFit of_noise = fit_logistic_regression(features, noise, 2);
  const LogisticFit of_clear = fit_logistic_regression(features, clear, 2);
  EXPECT_GE(of_noise.ridge, 0.1);
  EXPECT_LE(of_clear.ridge, 0.01);
  EXPECT_LT(*of_clear.held_out_loss, 0.3);
  EXPECT_GT(of_clear.accuracy, 0.95);
  EXPECT_LT(*of_noise.held_out_loss, 0.75);  // no worse than a constant's ln 2, about
}

/// Views of one sample are held out together: otherwise copies of noise would be learnt by heart.
TEST(LogisticRegression, HoldsOutAllViewsOfASample) {
  const at::Tensor once = pattern(5, {40, 30});
  const at::Tensor labels = pattern(77, {40}).gt(0).to(at::kLong);
  const at::Tensor twice = at::cat({once, once});
  const at::Tensor labels_twice = at::cat({labels, labels});
  const LogisticFit together = fit_logistic_regression(twice, labels_twice, 2, {.samples = 40});
  const LogisticFit apart = fit_logistic_regression(twice, labels_twice, 2);
  EXPECT_GE(together.ridge, 0.1);
  EXPECT_LT(apart.ridge, together.ridge);
  EXPECT_NE(refusal(twice, labels_twice, 2, {.samples = 39}), "");
}

TEST(LogisticRegression, OneClassPredictsThatClass) {
  const at::Tensor features = pattern(4, {6, 3});
  const at::Tensor labels = at::ones({6}, at::kLong);
  const LogisticFit fit = fit_logistic_regression(features, labels, 3);
  EXPECT_EQ(fit.accuracy, 1.0);
  EXPECT_TRUE(fit.weight.equal(at::zeros({3, 3}, at::kDouble)));
  EXPECT_TRUE(close(fit.bias, {-std::log(7.0), 0.0, -std::log(7.0)}, 1e-12)) << fit.bias;
  EXPECT_EQ(fit_logistic_regression(features, at::zeros({6}, at::kLong), 1).accuracy, 1.0);
}

TEST(LogisticRegression, AClassWithoutRowsIsUnlikely) {
  const at::Tensor features = pattern(4, {30, 2});
  const at::Tensor labels = features.select(1, 0).gt(0).to(at::kLong).mul(2);  // 0 and 2
  const LogisticFit fit = fit_logistic_regression(features, labels, 3);
  EXPECT_LT(fit.bias[1].item<double>(), fit.bias.max().item<double>() - 3.0);
  EXPECT_GT(fit.accuracy, 0.9);
}

TEST(LogisticRegression, FewerRowsThanClassesHaveAnAnswer) {
  const at::Tensor features = pattern(9, {3, 5});
  const LogisticFit fit = fit_logistic_regression(features, whole_numbers({4, 0, 2}), 6);
  EXPECT_FALSE(fit.held_out_loss);  // each class has one row
  EXPECT_EQ(fit.ridge, 1.0);
  EXPECT_EQ(fit.accuracy, 1.0);
  EXPECT_TRUE(std::isfinite(fit.loss));
}

TEST(LogisticRegression, ConstantFeaturesHaveNoWeight) {
  at::Tensor features = pattern(4, {30, 3}).clone();
  features.select(1, 1).fill_(1e6 + 0.1);
  const at::Tensor labels = features.select(1, 0).gt(0).to(at::kLong);
  const LogisticFit fit = fit_logistic_regression(features, labels, 2);
  EXPECT_TRUE(fit.weight.select(1, 1).equal(at::zeros({2}, at::kDouble)));
  EXPECT_GT(fit.accuracy, 0.9);
  // Without any variation it is the classes' shares that are fitted.
  const at::Tensor one_in_three = whole_numbers({0, 1, 1, 0, 1, 1});
  const LogisticFit shares =
      fit_logistic_regression(at::ones({6, 3}), one_in_three, 2, {.ridge = 0.1, .tolerance = 1e-9});
  EXPECT_NEAR(shares.bias[1].item<double>() - shares.bias[0].item<double>(), std::log(2.0), 1e-6);
  // Features of no width are no different.
  EXPECT_NEAR(fit_logistic_regression(at::empty({6, 0}), one_in_three, 2).loss, shares.loss, 1e-6);
}

/// Features of any size are of one scale for the fit.
TEST(LogisticRegression, ScaleAndOffsetOfFeaturesDoNotMatter) {
  const at::Tensor features = pattern(4, {40, 3});
  const at::Tensor labels = features.select(1, 0).gt(0.1).to(at::kLong);
  const LogisticFit plain = fit_logistic_regression(features, labels, 2, {.ridge = 0.01});
  const LogisticFit moved =
      fit_logistic_regression(features.mul(1e5).add(3e6), labels, 2, {.ridge = 0.01});
  EXPECT_NEAR(plain.loss, moved.loss, 1e-6);
  EXPECT_TRUE(moved.weight.mul(1e5).allclose(plain.weight, 1e-3, 1e-6));
}

TEST(LogisticRegression, RefusesWhatItCannotTake) {
  const at::Tensor features = pattern(4, {4, 2});
  const at::Tensor labels = whole_numbers({0, 1, 0, 1});
  EXPECT_NE(refusal(features, whole_numbers({0, 1, 2, 1}), 2).find("0 … 1"), std::string::npos);
  EXPECT_NE(refusal(features, whole_numbers({0, 1, -1, 1}), 2).find("-1"), std::string::npos);
  EXPECT_NE(refusal(features, whole_numbers({0, 1}), 2).find("4 rows"), std::string::npos);
  EXPECT_NE(refusal(at::empty({0, 2}), at::empty({0}, at::kLong), 2), "");
  EXPECT_NE(refusal(features, labels, 2, {.ridge = 0.0}), "");
  at::Tensor with_nan = features.clone();
  with_nan[1][1] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_NE(refusal(with_nan, labels, 2).find("1 of 8"), std::string::npos);
}

/// A quadratic of condition 10⁴ is solved to the tolerance; a function that rounding makes flat
/// ends without converging.
TEST(Lbfgs, FindsTheMinimumOfAQuadratic) {
  const at::Tensor scales = at::tensor({1.0, 10.0, 100.0, 1e3, 1e4}, at::kDouble);
  const at::Tensor target = at::tensor({1.0, -2.0, 3.0, -4.0, 5.0}, at::kDouble);
  const LbfgsResult result = lbfgs(
      [&](const at::Tensor& x, at::Tensor& gradient) {
        const at::Tensor error = x.sub(target);
        gradient.copy_(error.mul(scales));
        return 0.5 * error.square().mul(scales).sum().item<double>();
      },
      at::zeros({5}, at::kDouble), {.iterations = 500, .tolerance = 1e-8});
  EXPECT_TRUE(result.converged);
  EXPECT_TRUE(result.x.allclose(target, 0, 1e-7)) << result.x;
  EXPECT_LT(result.iterations, 200);
}

TEST(Lbfgs, EndsAfterItsIterations) {
  const LbfgsResult result = lbfgs(
      [](const at::Tensor& x, at::Tensor& gradient) {
        gradient.copy_(x.pow(3).mul(4));
        return x.pow(4).sum().item<double>();
      },
      at::ones({2}, at::kDouble), {.iterations = 2, .tolerance = 0});
  EXPECT_FALSE(result.converged);
  EXPECT_EQ(result.iterations, 2);
}

}  // namespace
}  // namespace bissl::host::test
