#include "bissl/downstream.h"
#include "bissl/error.h"
#include "plugins/downstream/task_cases.h"
#include "reference/golden.h"
#include "sdk/plugin_library.h"

#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <limits>

namespace bissl::host {
namespace {

using nlohmann::json;
using test::metrics_of;
using test::targets_of;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

std::shared_ptr<Downstream> make(int64_t values, const std::vector<double>& mean = {},
                                 const std::vector<double>& std = {}) {
  const test::PluginLibrary& library = test::shared_library("regression");
  return library.make<Downstream>(
      "regression", {{"mean", mean}, {"std", std}},
      {.features = 3, .targets = test::targets_of_kind(TargetKind::values, values)});
}

TEST(Regression, LossGradientAndMetricsFollowTheReference) {
  const json golden = test::golden("targets.json");
  for (const json& expected : golden["regression"]) {
    const int64_t values = expected["values"];
    SCOPED_TRACE(expected["samples"].get<int64_t>());
    const at::Tensor outputs =
        at::tensor(expected["outputs"].get<std::vector<double>>(), at::kDouble)
            .reshape({-1, values})
            .requires_grad_();
    const TargetBatch targets = targets_of(expected["targets"], values);
    const auto task = make(values, {}, expected["std"]);
    const at::Tensor loss = task->loss(outputs, targets);
    EXPECT_EQ(loss.dim(), 0);
    EXPECT_NEAR(loss.item<double>(), expected["loss"].get<double>(), 1e-12);
    loss.backward();
    EXPECT_TRUE(test::close(outputs.grad(), expected["gradient"], 1e-12));
    for (const std::vector<int64_t>& sizes :
         {std::vector<int64_t>{}, std::vector<int64_t>{5, 5}, std::vector<int64_t>{1, 2, 7}}) {
      const auto metrics = metrics_of(*task, outputs.detach(), targets, sizes);
      for (const char* name : {"mse", "mae", "r2"}) {
        EXPECT_NEAR(metrics.at(name), expected[name].get<double>(), 1e-11) << name;
      }
    }
  }
}

TEST(Regression, TheErrorsOfFarValuesDoNotCancel) {
  const at::Tensor targets = 1e9 + at::tensor({-1.0, 0.0, 1.0}, at::kDouble).unsqueeze(1);
  const auto metrics = metrics_of(*make(1), targets + 0.5, {targets}, {1});
  EXPECT_DOUBLE_EQ(metrics.at("mse"), 0.25);
  EXPECT_DOUBLE_EQ(metrics.at("mae"), 0.5);
  EXPECT_NEAR(metrics.at("r2"), 1 - 0.25 / (2.0 / 3), 1e-9);
}

TEST(Regression, RightOutputsAreScoredInFullAndTheMeanNotAtAll) {
  const TargetBatch targets{at::tensor({1.0, 2.0, 6.0}, at::kDouble).unsqueeze(1)};
  const auto right = metrics_of(*make(1), targets.dense, targets);
  EXPECT_EQ(right, (std::map<std::string, double>{{"mse", 0}, {"mae", 0}, {"r2", 1}}));
  EXPECT_DOUBLE_EQ(metrics_of(*make(1), at::full({3, 1}, 3.0), targets).at("r2"), 0);
}

TEST(Regression, NothingToScoreIsNotANumber) {
  const TargetBatch one{at::full({1, 2}, 3.0)};
  const auto single = metrics_of(*make(2), at::zeros({1, 2}), one);
  EXPECT_EQ(single.at("mse"), 9);
  EXPECT_TRUE(std::isnan(single.at("r2"))) << "one sample does not vary";
  const TargetBatch nothing{at::full({2, 2}, nan)};
  for (const auto& [name, value] : metrics_of(*make(2), at::zeros({2, 2}), nothing)) {
    EXPECT_TRUE(std::isnan(value)) << name;
  }
  const at::Tensor outputs = at::zeros({2, 2}).requires_grad_();
  const at::Tensor loss = make(2)->loss(outputs, nothing);
  EXPECT_EQ(loss.item<double>(), 0);
  loss.backward();
  EXPECT_EQ(outputs.grad().abs().sum().item<double>(), 0);
}

TEST(Regression, StandardisedHeadsGiveTheTargetsUnits) {
  const auto task = make(2, {10, -3}, {4, 0.5});
  const c10::NoGradGuard no_grad;
  const auto parameters = task->module().named_parameters();
  const at::Tensor features = test::pattern(1, {5, 3}).to(at::kFloat);
  const at::Tensor plain = features.matmul(parameters["fc.weight"].t()) + parameters["fc.bias"];
  const at::Tensor expected = plain * at::tensor({4.0F, 0.5F}) + at::tensor({10.0F, -3.0F});
  EXPECT_TRUE(task->forward(features).allclose(expected));
}

TEST(Regression, RefusesConstantsOfAnotherNumber) {
  try {
    make(2, {1, 2, 3});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_STREQ(error.what(),
                 "mean has 3 numbers, but the data has 2 values as targets; give one for each");
  }
  EXPECT_THROW(make(1, {}, {0.0}), std::invalid_argument) << "a deviation of 0";
}

}  // namespace
}  // namespace bissl::host
