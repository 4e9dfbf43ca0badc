#include "bilevel/bissl_coupling.h"
#include "bilevel/lower_level.h"
#include "bilevel/pretext_problem.h"
#include "bilevel/upper_level.h"
#include "bissl/error.h"
#include "models/gradients.h"
#include "models/module_state.h"
#include "small_models.h"

#include <gtest/gtest.h>
#include <torch/types.h>

namespace bissl::host {
namespace {

TEST(LowerLevel, ProximityGradientIsAddedToTheBackboneOnly) {
  torch::manual_seed(1);
  test::SmallBackbone backbone;
  test::SmallBackbone anchor;
  test::SmallPretext pretext;
  constexpr double lambda = 0.9;
  constexpr double lr = 0.05;
  const Views views = test::small_views(2, 8);
  const NamedTensors all = lower_parameters(backbone, pretext);
  const at::Tensor before = flatten(tensors_of(all)).clone();
  const at::Tensor plain = flatten(gradients_of(pretext.loss(backbone, views), tensors_of(all)));
  const TensorList theta = tensors_of(trainable_parameters(backbone.module()));
  const at::Tensor difference =
      flatten(theta) - flatten(tensors_of(trainable_parameters(anchor.module())));

  test::PlainDescent descent(all, lr);
  LowerLevel level(backbone, pretext, descent, 0);
  level.tie_to(anchor, lambda);
  const PretextStep step = level.step(views, 0.5, {});
  at::Tensor expected = plain.clone();
  expected.narrow(0, 0, difference.numel()).add_(difference, lambda);
  EXPECT_LT((flatten(tensors_of(all)) - (before - 0.5 * lr * expected)).abs().max().item<double>(),
            1e-13);
  EXPECT_NEAR(step.proximity, 0.5 * lambda * difference.pow(2).sum().item<double>(), 1e-12);
  EXPECT_NEAR(step.gradient_norm, expected.norm().item<double>(), 1e-12);
}

TEST(LowerLevel, ClipsTheWholeGradient) {
  test::SmallBackbone backbone;
  test::SmallPretext pretext;
  const NamedTensors all = lower_parameters(backbone, pretext);
  const at::Tensor before = flatten(tensors_of(all)).clone();
  test::PlainDescent descent(all, 1.0);
  constexpr double limit = 1e-3;
  LowerLevel level(backbone, pretext, descent, limit);
  const PretextStep step = level.step(test::small_views(2, 8), 1.0, {});
  ASSERT_GT(step.gradient_norm, limit);
  EXPECT_NEAR((flatten(tensors_of(all)) - before).norm().item<double>(), limit, 1e-12);
}

TEST(LowerLevel, ANumberAddedToTheNormShortensTheClippedGradient) {
  constexpr double limit = 1e-3;
  constexpr double guard = 0.5;
  torch::manual_seed(2);
  test::SmallBackbone backbone;
  test::SmallPretext pretext;
  const NamedTensors all = lower_parameters(backbone, pretext);
  const at::Tensor before = flatten(tensors_of(all)).clone();
  test::PlainDescent descent(all, 1.0);
  LowerLevel level(backbone, pretext, descent, limit, guard);
  double clip = 0;
  const PretextStep step = level.step(
      test::small_views(2, 8), 1.0, {},
      {.before_loss = {},
       .before_update = [&](const TensorList& /*gradients*/, double factor) { clip = factor; }});
  EXPECT_EQ(clip, limit / (step.gradient_norm + guard));
  EXPECT_NEAR((flatten(tensors_of(all)) - before).norm().item<double>(), clip * step.gradient_norm,
              1e-12);
  EXPECT_EQ(clip_factor(2.0, 3.0, 0.5), 1.0) << "below the limit, guard included";
  EXPECT_EQ(clip_factor(2.0, 0.0, 0.5), 1.0) << "no limit";
}

/// A loss that is a mean over samples.
class UncoupledPretext : public test::SmallPretext {
 public:
  BatchCoupling coupling() const override { return BatchCoupling::separable; }
  at::Tensor loss(Backbone& backbone, const Batch& batch) override {
    const Views& views = batch.views;
    return (backbone.forward(views[0]) - backbone.forward(views[1])).square().sum(1).mean();
  }
};

TEST(LowerLevel, PartsOfABatchMakeTheStepOfTheWhole) {
  const Views whole = test::small_views(2, 8);
  const auto trained = [&](int64_t parts) {
    torch::manual_seed(5);
    test::SmallBackbone backbone;
    // Its statistics are those of a batch; in evaluation mode samples do not know of each other.
    backbone.normalisation()->eval();
    test::SmallBackbone anchor;
    UncoupledPretext pretext;
    const NamedTensors all = lower_parameters(backbone, pretext);
    test::PlainDescent descent(all, 0.1);
    LowerLevel level(backbone, pretext, descent, 10);
    level.tie_to(anchor, 0.3);
    int64_t next = 0;
    const PretextStep step = level.step(parts,
                                        [&] {
                                          Views part;
                                          for (const at::Tensor& view : whole) {
                                            part.push_back(view.chunk(parts)[next]);
                                          }
                                          ++next;
                                          return part;
                                        },
                                        1.0, {}, {});
    EXPECT_EQ(next, parts);
    return std::make_pair(step.loss, flatten(tensors_of(all)));
  };
  const auto [loss, weights] = trained(1);
  const auto [mean_loss, mean_weights] = trained(4);
  EXPECT_NEAR(mean_loss, loss, 1e-14);
  EXPECT_LT((mean_weights - weights).abs().max().item<double>(), 1e-14);
}

TEST(LowerLevel, DivergenceIsAnErrorBeforeTheWeightsChange) {
  test::SmallBackbone backbone;
  test::SmallPretext pretext;
  const NamedTensors all = lower_parameters(backbone, pretext);
  const at::Tensor before = flatten(tensors_of(all)).clone();
  test::PlainDescent descent(all, 1.0);
  LowerLevel level(backbone, pretext, descent, 10);
  const Views views = torch::full({2, 8, 4}, std::nan(""), torch::kDouble).unbind();
  try {
    level.step(views, 1.0, {});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::run);
    EXPECT_NE(std::string(error.what()).find("diverged: loss"), std::string::npos) << error.what();
  }
  EXPECT_TRUE(torch::equal(before, flatten(tensors_of(all))));
}

/// An approximator that breaks its promise of a finite vector.
class Exploding : public Hypergradient {
 public:
  HypergradientSolution solve(const TensorList& u, ImplicitSystem& /*system*/) override {
    HypergradientSolution solution;
    solution.v = copy(u);
    solution.v[0].fill_(std::nan(""));
    return solution;
  }
  HypergradientNeeds needs() const override { return {}; }
};

/// v = u.
class Plain : public Hypergradient {
 public:
  HypergradientSolution solve(const TensorList& u, ImplicitSystem& /*system*/) override {
    HypergradientSolution solution;
    solution.v = copy(u);
    return solution;
  }
  HypergradientNeeds needs() const override { return {}; }
};

TEST(UpperLevel, AVectorThatIsNotFiniteNeverReachesTheWeights) {
  test::SmallBackbone lower;
  test::SmallBackbone upper;
  test::SmallPretext pretext;
  test::SmallDownstream downstream;
  const NamedTensors all = upper_parameters(upper, downstream);
  const at::Tensor before = flatten(tensors_of(all));
  test::PlainDescent descent(all, 1.0);
  Exploding exploding;
  BisslCoupling coupling({lower, upper, downstream}, 0.1);
  UpperLevel level(coupling, exploding, descent, 10);
  PretextProblem problem(lower, pretext, {test::small_views(2, 8)}, {.lambda = 0.5});
  try {
    level.step({test::small_views(1, 6)[0], test::small_targets(6)}, problem, 0, 1.0);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::run);
    EXPECT_NE(std::string(error.what()).find("the upper level diverged"), std::string::npos)
        << error.what();
  }
  EXPECT_TRUE(flatten(tensors_of(all)).equal(before));
}

/// The guard: what v pulls back is scaled down to the limit, the direct gradient is not.
TEST(UpperLevel, WhatVPullsBackIsLimited) {
  torch::manual_seed(8);
  test::SmallBackbone lower;
  test::SmallBackbone upper;
  test::SmallPretext pretext;
  test::SmallDownstream downstream;
  const NamedTensors all = upper_parameters(upper, downstream);
  test::PlainDescent descent(all, 1.0);
  Plain plain;
  BisslCoupling coupling({lower, upper, downstream}, 0);
  UpperLevel level(coupling, plain, descent, 0);
  PretextProblem problem(lower, pretext, {test::small_views(2, 8)}, {.lambda = 0.5});
  const OuterBatch batch{test::small_views(1, 6)[0], test::small_targets(6)};
  const UpperGradient free = level.gradient(batch, problem, 0);
  EXPECT_EQ(free.report.guard, 1.0);
  const double limit = 0.25 * free.report.v_norm;
  level.limit(limit);
  const UpperGradient limited = level.gradient(batch, problem, 0);
  EXPECT_NEAR(limited.report.guard, 0.25, 1e-12);
  EXPECT_EQ(limited.report.u_norm, free.report.u_norm);
  const size_t backbone = trainable_parameters(upper.module()).size();
  for (size_t i = 0; i < all.size(); ++i) {
    const double factor = i < backbone ? 0.25 : 1.0;
    EXPECT_LT((limited.values[i] - factor * free.values[i]).abs().max().item<double>(), 1e-14) << i;
  }
  level.limit(2 * free.report.v_norm);
  EXPECT_EQ(level.gradient(batch, problem, 0).report.guard, 1.0);
}

TEST(UpperLevel, PartsOfABatchMakeTheGradientOfTheWhole) {
  torch::manual_seed(6);
  test::SmallBackbone lower;
  test::SmallBackbone upper;
  // In training mode a part has statistics of its own.
  lower.normalisation()->eval();
  upper.normalisation()->eval();
  test::SmallPretext pretext;
  test::SmallDownstream downstream;
  const NamedTensors all = upper_parameters(upper, downstream);
  test::PlainDescent descent(all, 1.0);
  Plain plain;
  BisslCoupling coupling({lower, upper, downstream}, 0.3);
  UpperLevel level(coupling, plain, descent, 10);
  PretextProblem problem(lower, pretext, {test::small_views(2, 8)}, {.lambda = 0.5});
  const OuterBatch whole{test::small_views(1, 6)[0], test::small_targets(6)};
  const UpperGradient expected = level.gradient(whole, problem, 0);
  int64_t next = 0;
  const auto part = [&]() -> OuterBatch {
    const int64_t begin = 2 * next++;
    return {whole.images.narrow(0, begin, 2), {whole.targets.dense.narrow(0, begin, 2)}};
  };
  const UpperGradient mean =
      level.gradient(UpperLevel::Batches{.parts = 3, .next = part}, problem, 0);
  EXPECT_EQ(next, 3);
  EXPECT_NEAR(mean.report.loss, expected.report.loss, 1e-14);
  EXPECT_NEAR(mean.report.u_norm, expected.report.u_norm, 1e-14);
  EXPECT_NEAR(mean.report.values[0].second, expected.report.values[0].second, 1e-14);
  EXPECT_LT((flatten(mean.values) - flatten(expected.values)).abs().max().item<double>(), 1e-14);
  EXPECT_GT(flatten(expected.values).norm().item<double>(), 1e-3);
}

TEST(UpperLevel, MixedBatchesWeighTheTargetsOfBothSamples) {
  torch::manual_seed(6);
  test::SmallBackbone lower;
  test::SmallBackbone upper;
  test::SmallPretext pretext;
  test::SmallDownstream downstream;
  const NamedTensors all = upper_parameters(upper, downstream);
  test::PlainDescent descent(all, 1.0);
  Plain plain;
  BisslCoupling coupling({lower, upper, downstream}, 0.3);
  UpperLevel level(coupling, plain, descent, 10);
  PretextProblem problem(lower, pretext, {test::small_views(2, 8)}, {.lambda = 0.5});
  OuterBatch batch{.images = test::small_views(1, 6)[0], .targets = test::small_targets(6)};
  const TargetBatch partners{batch.targets.dense.roll(1)};
  const UpperGradient own = level.gradient(batch, problem, 0);
  const UpperGradient others =
      level.gradient({.images = batch.images, .targets = partners}, problem, 0);
  batch.partners = partners;
  batch.share = 0.3;
  const UpperGradient mixed = level.gradient(batch, problem, 0);
  EXPECT_NEAR(mixed.report.loss, 0.3 * own.report.loss + 0.7 * others.report.loss, 1e-14);
  EXPECT_NEAR(mixed.report.values[0].second,
              0.3 * own.report.values[0].second + 0.7 * others.report.values[0].second, 1e-14);
  const at::Tensor expected = 0.3 * flatten(own.values) + 0.7 * flatten(others.values);
  EXPECT_LT((flatten(mixed.values) - expected).abs().max().item<double>(), 1e-14);
  EXPECT_GT((flatten(own.values) - flatten(others.values)).norm().item<double>(), 1e-3);
}

TEST(UpperLevel, AdaptationMovesParametersNotStatistics) {
  test::SmallBackbone upper;
  test::SmallBackbone lower;
  lower.forward(test::small_views(1, 6)[0]);
  const at::Tensor upper_before = flatten(tensors_of(trainable_parameters(upper.module()))).clone();
  const at::Tensor lower_weights = flatten(tensors_of(trainable_parameters(lower.module())));
  const at::Tensor mean = upper.normalisation()->running_mean.clone();
  adapt_upper_backbone(upper, lower, 0.25);
  const at::Tensor expected = 0.75 * upper_before + 0.25 * lower_weights;
  EXPECT_LT((flatten(tensors_of(trainable_parameters(upper.module()))) - expected)
                .abs()
                .max()
                .item<double>(),
            1e-15);
  EXPECT_TRUE(torch::equal(mean, upper.normalisation()->running_mean));
}

TEST(ModuleState, RefusesWhatDoesNotFitAndChangesNothing) {
  test::SmallBackbone backbone;
  NamedTensors state;
  for (const auto& [name, tensor] : module_state(backbone.module())) {
    state.emplace_back(name, tensor.clone());
  }
  const auto message = [&](const NamedTensors& given) -> std::string {
    try {
      load_module_state(backbone.module(), given, "weights.safetensors");
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message(state), "");
  NamedTensors missing(state.begin() + 1, state.end());
  EXPECT_EQ(message(missing),
            "weights.safetensors: there is no \"first.weight\", which the network has");
  NamedTensors reshaped = state;
  reshaped[0].tensor = torch::zeros({2, 4}, torch::kDouble);
  EXPECT_EQ(message(reshaped),
            "weights.safetensors: \"first.weight\" has shape [2, 4], the network's has [4, 4]");
  NamedTensors extra = state;
  extra.emplace_back("third", torch::zeros({1}));
  EXPECT_EQ(message(extra), "weights.safetensors: \"third\" is not part of the network");
}

}  // namespace
}  // namespace bissl::host
