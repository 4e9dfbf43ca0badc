#include "bissl/optimizer.h"
#include "bissl/optimizer_abilities.h"
#include "optimizer_training.h"

#include <ATen/ops/allclose.h>
#include <ATen/ops/full.h>

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <variant>

namespace bissl::host {
namespace {

using test::Training;

/// What one more step with a gradient shifted by ±h in all elements changes, for each h of
/// gradient.
at::Tensor step_slope(const std::string& name, const ParameterValues& values, int64_t steps,
                      size_t k) {
  constexpr double h = 1e-6;
  const auto after = [&](double shift) {
    Training training(name, values);
    for (int64_t step = 0; step < steps; ++step) {
      training.step(step, 1.0);
    }
    training.set_gradients(steps);
    training.parameter(k).mutable_grad().add_(shift);
    training.optimizer().step(1.0);
    return training.parameter(k).detach().clone();
  };
  return (after(h) - after(-h)) / (2 * h);
}

/// Compares the ability with differences of steps, at the beginning and later.
void expect_slope_of_its_step(const std::string& name, const ParameterValues& values) {
  SCOPED_TRACE(name);
  const double lr = std::get<double>(values.at("lr"));
  for (const int64_t steps : {0, 1, 4}) {
    Training training(name, values);
    for (int64_t step = 0; step < steps; ++step) {
      training.step(step, 1.0);
    }
    training.set_gradients(steps);
    const NamedTensors before = training.optimizer().state();
    const TensorList factors =
        capability<OptimizerPreconditioner>(training.optimizer())
            ->preconditioner({training.parameter(0).grad(), training.parameter(1).grad()});
    for (const size_t k : {0U, 1U}) {
      const at::Tensor expected = step_slope(name, values, steps, k) / -lr;
      // The very first step has the length lr whatever the gradient, so its slope is about 0.
      const double scale = steps == 0 ? 1.0 : expected.norm().item<double>();
      EXPECT_LT((factors[k] - expected).norm().item<double>(), 1e-5 * scale) << steps;
    }
    const NamedTensors after = training.optimizer().state();
    for (size_t i = 0; i < before.size(); ++i) {
      EXPECT_TRUE(before[i].tensor.equal(after[i].tensor)) << "it only looks";
    }
  }
}

TEST(Preconditioner, OfAdamAndItsKinIsTheSlopeOfTheirStep) {
  const ParameterValues values = {{"lr", 0.02}, {"beta2", 0.9}, {"weight_decay", 0.1}};
  expect_slope_of_its_step("adam", values);
  expect_slope_of_its_step("adamw", values);
  // Without decay, since it leaves the division by 1 + lr·wd out.
  expect_slope_of_its_step("adan", {{"lr", 0.02}, {"beta3", 0.9}, {"weight_decay", 0.0}});
}

TEST(Preconditioner, OfLambIsAdamsTimesTheLayersRatio) {
  Training lamb("lamb", {{"lr", 0.02}, {"epsilon", 1e-8}, {"weight_decay", 0.0}});
  Training adam("adam", {{"lr", 0.02}});
  TensorList factors;
  TensorList plain;
  for (Training* training : {&lamb, &adam}) {
    training->set_gradients(0);
    (training == &lamb ? factors : plain) =
        capability<OptimizerPreconditioner>(training->optimizer())
            ->preconditioner({training->parameter(0).grad(), training->parameter(1).grad()});
  }
  // The first step of Adam is the sign of the gradient: its norm is the root of 12 elements.
  const double ratio = lamb.parameter(0).norm().item<double>() / std::sqrt(12.0);
  EXPECT_TRUE(factors[0].allclose(plain[0] * ratio, 1e-5, 1e-14));
  EXPECT_TRUE(factors[1].allclose(plain[1], 1e-12, 0)) << "vectors are not scaled";
}

TEST(Preconditioner, IsOneForASgdAndTheLayersRatioForLars) {
  Training sgd("sgd", {{"lr", 0.1}});
  sgd.set_gradients(0);
  EXPECT_EQ(capability<OptimizerPreconditioner>(sgd.optimizer()), nullptr);
  Training lars("lars", {{"lr", 0.1}, {"trust", 0.02}});
  lars.set_gradients(0);
  const TensorList factors = capability<OptimizerPreconditioner>(lars.optimizer())
                                 ->preconditioner({lars.parameter(0).grad(), {}});
  const double ratio = 0.02 * lars.parameter(0).norm().item<double>() /
                       lars.parameter(0).grad().norm().item<double>();
  EXPECT_TRUE(factors[0].allclose(at::full({3, 4}, ratio, at::kDouble), 1e-14, 0));
  EXPECT_FALSE(factors[1].defined()) << "none was asked for";
}

}  // namespace
}  // namespace bissl::host
