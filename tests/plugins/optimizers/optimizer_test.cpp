#include "bissl/optimizer.h"
#include "bissl/error.h"
#include "bissl/optimizer_abilities.h"
#include "optimizer_training.h"
#include "reference/golden.h"
#include "sdk/plugin_library.h"

#include <ATen/ops/allclose.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

namespace bissl::host {
namespace {

using nlohmann::json;
using test::close;
using test::pattern;
using test::Training;

const test::PluginLibrary& library() { return test::shared_library("optimizers"); }

ParameterValues values_of(const json& options) {
  ParameterValues values;
  for (const auto& [name, value] : options.items()) {
    if (value.is_boolean()) {
      values[name] = value.get<bool>();
    } else {
      values[name] = value.get<double>();
    }
  }
  return values;
}

TEST(Optimizers, FollowTheReferencesStepByStep) {
  const json golden = test::golden("optimizers.json");
  const auto rates = golden["rates"].get<std::vector<double>>();
  ASSERT_EQ(golden["cases"].size(), 25U);
  for (const json& expected : golden["cases"]) {
    SCOPED_TRACE(expected["name"].get<std::string>() + expected["options"].dump());
    Training training(expected["name"], values_of(expected["options"]));
    EXPECT_EQ(training.optimizer().learning_rate(), expected["options"]["lr"]);
    for (size_t step = 0; step < rates.size(); ++step) {
      const bool zero = step == 0 && expected.value("zero_first_gradient", false);
      training.set_gradients(static_cast<int64_t>(step), zero);
      training.optimizer().step(rates[step]);
      for (size_t k = 0; k < 2; ++k) {
        ASSERT_TRUE(close(training.parameter(k), expected["trace"][step][k], 1e-12))
            << "step " << step << ", parameter " << k;
      }
    }
  }
}

const std::vector<std::pair<std::string, ParameterValues>>& all() {
  static const std::vector<std::pair<std::string, ParameterValues>> optimizers{
      {"sgd", {{"lr", 0.1}, {"momentum", 0.9}, {"nesterov", true}, {"weight_decay", 0.01}}},
      {"lars", {{"lr", 0.5}, {"weight_decay", 0.01}, {"trust", 0.1}}},
      {"adam", {{"lr", 0.01}, {"weight_decay", 0.1}}},
      {"adamw", {{"lr", 0.01}, {"weight_decay", 0.1}}},
      {"lamb", {{"lr", 0.01}, {"weight_decay", 0.1}}},
      // With a mean that may turn the sign of a step.
      {"lion", {{"lr", 0.01}, {"weight_decay", 0.1}, {"beta2", 0.5}}},
      {"adan", {{"lr", 0.01}, {"weight_decay", 0.1}}},
      // The factor is on both of its learning rates.
      {"muon", {{"lr", 0.01}, {"weight_decay", 0.1}}}};
  return optimizers;
}

TEST(Optimizers, GoOnFromASavedStateBitByBit) {
  for (const auto& [name, values] : all()) {
    SCOPED_TRACE(name);
    Training whole(name, values);
    Training resumed(name, values);
    for (int64_t step = 0; step < 3; ++step) {
      whole.step(step, 1.0 / static_cast<double>(step + 1));
    }
    NamedTensors saved;
    for (const auto& [key, tensor] : whole.optimizer().state()) {
      saved.emplace_back(key, tensor.clone());
    }
    resumed.optimizer().load_state(saved);
    const c10::NoGradGuard no_grad;
    for (size_t k = 0; k < 2; ++k) {
      resumed.parameter(k).copy_(whole.parameter(k));
    }
    for (int64_t step = 3; step < 6; ++step) {
      whole.step(step, 0.7);
      resumed.step(step, 0.7);
      for (size_t k = 0; k < 2; ++k) {
        EXPECT_TRUE(whole.parameter(k).equal(resumed.parameter(k))) << "step " << step;
      }
    }
    // Loading copies: the steps since then left what was saved alone.
    for (size_t i = 0; i < saved.size(); ++i) {
      EXPECT_FALSE(saved[i].tensor.equal(resumed.optimizer().state()[i].tensor)) << saved[i].name;
    }
  }
}

TEST(Optimizers, AStateMatters) {
  for (const auto& [name, values] : all()) {
    Training first(name, values);
    Training second(name, values);
    first.step(0, 1);
    const c10::NoGradGuard no_grad;
    for (size_t k = 0; k < 2; ++k) {
      second.parameter(k).copy_(first.parameter(k));
    }
    first.step(1, 1);
    second.step(1, 1);
    EXPECT_FALSE(first.parameter(0).equal(second.parameter(0))) << name;
  }
}

std::string refusal(Optimizer& optimizer, const NamedTensors& state) {
  try {
    optimizer.load_state(state);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    return error.what();
  }
  return "no error";
}

TEST(Optimizers, RefuseAStateThatDoesNotFit) {
  Training sgd("sgd", {{"lr", 0.1}});
  EXPECT_EQ(refusal(sgd.optimizer(), {}), "the optimizer's saved state has no \"momentum/weight\"");
  EXPECT_EQ(refusal(sgd.optimizer(),
                    {{"momentum/weight", at::zeros({3, 4})}, {"momentum/bias", at::zeros({2, 2})}}),
            "the optimizer's saved state \"momentum/bias\" has shape [2, 2], expected [4]");
  Training adamw("adamw", {{"lr", 0.1}});
  EXPECT_EQ(refusal(adamw.optimizer(), {}), "the optimizer's saved state has no \"steps\"");
  EXPECT_EQ(refusal(adamw.optimizer(), {{"steps", at::zeros({2}, at::kLong)}}),
            "the optimizer's saved state \"steps\" has shape [2], expected [1]");
}

TEST(Optimizers, ARefusedStateChangesNothing) {
  for (const auto& [name, values] : all()) {
    SCOPED_TRACE(name);
    Training touched(name, values);
    Training untouched(name, values);
    touched.step(0, 1);
    untouched.step(0, 1);
    NamedTensors state;
    for (const auto& [key, tensor] : touched.optimizer().state()) {
      state.emplace_back(key, at::full(tensor.sizes(), 7, tensor.options()));
    }
    state.pop_back();
    EXPECT_NE(refusal(touched.optimizer(), state), "no error");
    touched.step(1, 1);
    untouched.step(1, 1);
    EXPECT_TRUE(touched.parameter(0).equal(untouched.parameter(0)));
    EXPECT_TRUE(touched.parameter(1).equal(untouched.parameter(1)));
  }
}

TEST(Optimizers, LeaveAParameterWithoutGradientAlone) {
  for (const auto& [name, values] : all()) {
    SCOPED_TRACE(name);
    Training training(name, values);
    for (int64_t step = 0; step < 2; ++step) {
      // From the second step on there is momentum, which must not move it either.
      training.set_gradients(step);
      if (step == 1) {
        training.parameter(0).mutable_grad() = at::Tensor();
      }
      const at::Tensor weight = training.parameter(0).detach().clone();
      const at::Tensor bias = training.parameter(1).detach().clone();
      training.optimizer().step(1);
      EXPECT_EQ(training.parameter(0).equal(weight), step == 1);
      EXPECT_FALSE(training.parameter(1).equal(bias));
    }
  }
}

TEST(Optimizers, ARateOfZeroMovesNothing) {
  for (const auto& [name, values] : all()) {
    Training training(name, values);
    const at::Tensor weight = training.parameter(0).detach().clone();
    training.step(0, 0);
    EXPECT_TRUE(training.parameter(0).equal(weight)) << name;
  }
}

TEST(Optimizers, TheRateIsAFactorOnTheLearningRate) {
  for (const auto& [name, values] : all()) {
    SCOPED_TRACE(name);
    ParameterValues halved = values;
    halved["lr"] = std::get<double>(values.at("lr")) / 2;
    if (name == "muon") {
      halved["lr_1d"] = 0.0003 / 2;
    }
    Training half_rate(name, values);
    Training half_lr(name, halved);
    for (int64_t step = 0; step < 3; ++step) {
      half_rate.step(step, 0.5);
      half_lr.step(step, 1);
    }
    EXPECT_TRUE(half_rate.parameter(0).equal(half_lr.parameter(0)));
    EXPECT_TRUE(half_rate.parameter(1).equal(half_lr.parameter(1)));
  }
}

TEST(Optimizers, LeaveGradientsAsTheyAre) {
  for (const auto& [name, values] : all()) {
    Training training(name, values);
    training.set_gradients(0);
    const at::Tensor before = training.parameter(0).grad().clone();
    training.optimizer().step(1);
    EXPECT_TRUE(training.parameter(0).grad().equal(before)) << name;
  }
}

TEST(Optimizers, TellTheirMomentum) {
  const auto momentum = [](const std::string& name, const ParameterValues& values) {
    const auto optimizer = library().make<Optimizer>(name, values);
    const auto* ability = capability<OptimizerMomentum>(*optimizer);
    return ability == nullptr ? -1.0 : ability->momentum();
  };
  EXPECT_EQ(momentum("sgd", {{"lr", 0.1}, {"momentum", 0.7}}), 0.7);
  EXPECT_EQ(momentum("lars", {{"lr", 0.1}, {"momentum", 0.6}}), 0.6);
  EXPECT_EQ(momentum("adamw", {{"lr", 0.1}, {"beta1", 0.8}}), -1.0) << "it has none";
}

TEST(Lars, AVanishedWeightStepsAtTheFullRate) {
  // A weight of zero has no norm to scale by, so q = 1 and the step is that of plain descent.
  at::Tensor weight = at::zeros({2, 2}, at::kDouble).requires_grad_();
  const auto lars = library().make<Optimizer>(
      "lars", {{"lr", 0.5}, {"momentum", 0.0}, {"trust", 0.001}}, {.parameters = {{"w", weight}}});
  weight.mutable_grad() = at::full({2, 2}, 2.0, at::kDouble);
  lars->step(1);
  EXPECT_TRUE(close(weight, {-1.0, -1.0, -1.0, -1.0}, 0));
  // Now ‖w‖ = 2 and ‖g‖ = 4, so the step is lr·trust·(2/4)·g = 0.0005.
  lars->step(1);
  EXPECT_TRUE(close(weight, {-1.0005, -1.0005, -1.0005, -1.0005}, 1e-15));
}

TEST(Optimizers, WeightDecayCanBeSet) {
  for (const auto& [name, values] : all()) {
    SCOPED_TRACE(name);
    ParameterValues without = values;
    without["weight_decay"] = 0.0;
    Training set(name, without);
    Training given(name, values);
    auto* decay = capability<OptimizerWeightDecay>(set.optimizer());
    ASSERT_NE(decay, nullptr);
    EXPECT_EQ(decay->weight_decay(), 0.0);
    decay->set_weight_decay(std::get<double>(values.at("weight_decay")));
    for (int64_t step = 0; step < 2; ++step) {
      set.step(step, 1);
      given.step(step, 1);
    }
    EXPECT_TRUE(set.parameter(0).equal(given.parameter(0)));
    EXPECT_TRUE(set.parameter(1).equal(given.parameter(1)));
  }
}

TEST(Optimizers, MomentumIsWhatItWasSetTo) {
  for (const auto& [name, values] : all()) {
    SCOPED_TRACE(name);
    Training set(name, values);
    auto* momentum = capability<OptimizerMomentumSetting>(set.optimizer());
    // Lion's two shares are of the step and of what is kept: neither is the other optimizers' one.
    ASSERT_EQ(momentum == nullptr, name == "lion");
    if (momentum == nullptr) {
      continue;
    }
    const std::string key =
        library().values(name, values).count("momentum") != 0 ? "momentum" : "beta1";
    ParameterValues with = values;
    with[key] = 0.3;
    Training given(name, with);
    EXPECT_EQ(momentum->momentum(), std::get<double>(library().values(name, values).at(key)));
    momentum->set_momentum(0.3);
    EXPECT_EQ(momentum->momentum(), 0.3);
    if (const auto* heavy_ball = capability<OptimizerMomentum>(set.optimizer())) {
      EXPECT_EQ(heavy_ball->momentum(), 0.3) << "what goes back through steps sees it";
    }
    for (int64_t step = 0; step < 3; ++step) {
      set.step(step, 1);
      given.step(step, 1);
    }
    EXPECT_TRUE(set.parameter(0).equal(given.parameter(0)));
    EXPECT_TRUE(set.parameter(1).equal(given.parameter(1)));
    momentum->set_momentum(0.6);
    set.step(3, 1);
    given.step(3, 1);
    EXPECT_FALSE(set.parameter(0).equal(given.parameter(0))) << "from the next step on";
  }
}

/// What a step of `muon` from zero makes of a weight with this gradient.
at::Tensor muon_step(const at::Tensor& gradient) {
  at::Tensor weight = at::zeros(gradient.sizes(), at::kDouble).requires_grad_();
  const auto muon =
      library().make<Optimizer>("muon", {{"lr", 1.0}}, {.parameters = {{"w", weight}}});
  weight.mutable_grad() = gradient;
  muon->step(1);
  return weight.detach();
}

TEST(Muon, TakesTheFiltersOfAConvolutionAsRows) {
  const at::Tensor filters = pattern(7, {2, 3, 2, 2});
  EXPECT_TRUE(muon_step(filters).reshape({2, 12}).allclose(muon_step(filters.reshape({2, 12}))));
  // A tall matrix is the transpose of a wide one, and steps the root of its proportions further.
  const at::Tensor wide = pattern(8, {2, 8});
  EXPECT_TRUE(muon_step(wide.t().contiguous()).t().allclose(muon_step(wide) * 2.0));
}

TEST(Muon, StepsAreNearlyOrthogonal) {
  const at::Tensor step = muon_step(pattern(9, {4, 6}));
  const at::Tensor squares = step.matmul(step.t());
  for (int64_t i = 0; i < 4; ++i) {
    for (int64_t k = 0; k < 4; ++k) {
      EXPECT_NEAR(squares[i][k].item<double>(), i == k ? 1.0 : 0.0, 0.55) << i << ", " << k;
    }
  }
}

TEST(Optimizers, RulesSpeakOnCombinations) {
  using Texts = std::vector<std::string>;
  EXPECT_EQ(library().findings("sgd", {{"lr", 0.1}}), Texts{});
  EXPECT_EQ(library().findings("sgd", {{"lr", 0.1}, {"nesterov", true}, {"momentum", 0.0}}),
            Texts{"nesterov: needs a momentum of more than 0"});
  for (const std::string name : {"sgd", "adam", "adamw", "lion", "adan"}) {
    EXPECT_EQ(library().findings(name, {{"lr", 0.1}, {"weight_decay", 0.0}, {"decay_1d", false}}),
              Texts{"warning decay_1d: has no effect with weight_decay = 0"})
        << name;
  }
  for (const std::string name : {"sgd", "lars", "adam", "adamw", "lamb", "lion", "adan", "muon"}) {
    EXPECT_THROW(library().values(name), std::invalid_argument) << "the rate must be given";
    EXPECT_THROW(library().values(name, {{"lr", -0.1}}), std::invalid_argument);
    EXPECT_THROW(library().values(name, {{"lr", NAN}}), std::invalid_argument);
  }
  EXPECT_THROW(library().values("lars", {{"lr", 0.1}, {"trust", 0.0}}), std::invalid_argument);
}

}  // namespace
}  // namespace bissl::host
