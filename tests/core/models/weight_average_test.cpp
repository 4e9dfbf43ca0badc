#include "models/weight_average.h"
#include "bissl/error.h"
#include "core/bilevel/small_models.h"
#include "models/module_state.h"

#include <gtest/gtest.h>
#include <torch/types.h>

namespace bissl::host {
namespace {

at::Tensor weight_of(test::SmallBackbone& backbone) {
  return backbone.module().named_parameters()["first.weight"];
}

TEST(WeightAverage, IsTheRecursionThatItsCommentGives) {
  const torch::NoGradGuard no_grad;
  test::SmallBackbone backbone;
  const double first = weight_of(backbone).flatten()[0].item<double>();
  WeightAverage average(0.3, {{"backbone", &backbone.module()}});
  double expected = first;
  for (int t = 1; t <= 5; ++t) {
    weight_of(backbone).add_(1.0);
    average.update();
    const double a = std::min(0.3, (1.0 + t) / (10.0 + t));
    expected = a * expected + (1 - a) * (first + t);
  }
  average.update();
  const double a = 0.3;
  expected = a * expected + (1 - a) * (first + 5);
  weight_of(backbone).add_(100.0);
  average.put();
  EXPECT_NEAR(weight_of(backbone).flatten()[0].item<double>(), expected, 1e-14);
}

TEST(WeightAverage, WholeNumbersHaveTheLastValue) {
  torch::nn::Module module;
  at::Tensor counter = module.register_buffer("counter", torch::zeros({1}, torch::kLong));
  WeightAverage average(0.9, {{"module", &module}});
  counter.fill_(7);
  average.update();
  counter.fill_(9);
  average.put();
  EXPECT_EQ(counter.item<int64_t>(), 7);
}

TEST(WeightAverage, IsLookedAtByAnExchange) {
  const torch::NoGradGuard no_grad;
  test::SmallBackbone backbone;
  WeightAverage average(0.9, {{"backbone", &backbone.module()}});
  weight_of(backbone).mul_(3);
  average.update();
  const at::Tensor weights = weight_of(backbone).clone();
  average.swap();
  const at::Tensor looked_at = weight_of(backbone).clone();
  EXPECT_FALSE(looked_at.equal(weights));
  average.swap();
  EXPECT_TRUE(weight_of(backbone).equal(weights));
  average.put();
  EXPECT_TRUE(weight_of(backbone).equal(looked_at));
}

TEST(WeightAverage, ContinuesFromItsState) {
  const torch::NoGradGuard no_grad;
  test::SmallBackbone backbone;
  WeightAverage whole(0.9, {{"backbone", &backbone.module()}});
  whole.update();
  weight_of(backbone).mul_(2);
  whole.update();
  NamedTensors saved;
  for (const auto& [name, tensor] : whole.state()) {
    saved.emplace(saved.begin(), name, tensor.clone());  // the order does not matter
  }
  WeightAverage resumed(0.9, {{"backbone", &backbone.module()}});
  resumed.load_state(saved);
  weight_of(backbone).add_(3);
  whole.update();
  resumed.update();
  whole.put();
  const at::Tensor expected = weight_of(backbone).clone();
  resumed.put();
  EXPECT_TRUE(weight_of(backbone).equal(expected));
  saved.pop_back();
  EXPECT_THROW(resumed.load_state(saved), Error);
}

}  // namespace
}  // namespace bissl::host
