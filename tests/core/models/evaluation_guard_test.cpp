#include "models/evaluation_guard.h"
#include "core/bilevel/small_models.h"

#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/types.h>

namespace bissl::host {
namespace {

TEST(EvaluationGuard, RestoresRunningStatisticsAndGenerator) {
  test::SmallBackbone backbone;
  const at::Tensor mean = backbone.normalisation()->running_mean.clone();
  const at::Tensor batches = backbone.normalisation()->num_batches_tracked.clone();
  torch::manual_seed(7);
  const at::Tensor expected = torch::rand({3});
  torch::manual_seed(7);
  {
    const EvaluationGuard guard({&backbone.module()}, 1);
    torch::rand({5});
    backbone.forward(test::small_views(1, 6)[0]);
    EXPECT_FALSE(torch::equal(mean, backbone.normalisation()->running_mean));
  }
  EXPECT_TRUE(torch::equal(mean, backbone.normalisation()->running_mean));
  EXPECT_TRUE(torch::equal(batches, backbone.normalisation()->num_batches_tracked));
  EXPECT_TRUE(torch::equal(expected, torch::rand({3})));
}

TEST(EvaluationGuard, PutsShapeAndTypeOfBuffersBack) {
  torch::nn::Module module;
  at::Tensor grown = module.register_buffer("grown", torch::ones({2}));
  at::Tensor shrunk = module.register_buffer("shrunk", torch::ones({3, 2}));
  at::Tensor retyped = module.register_buffer("retyped", torch::ones({2}, torch::kLong));
  {
    const EvaluationGuard guard({&module}, 1);
    grown.resize_({5}).zero_();
    shrunk.set_data(torch::zeros({1}));
    retyped.set_data(torch::zeros({2}));
  }
  EXPECT_TRUE(torch::equal(grown, torch::ones({2})));
  EXPECT_TRUE(torch::equal(shrunk, torch::ones({3, 2})));
  ASSERT_EQ(retyped.scalar_type(), torch::kLong);
  EXPECT_TRUE(torch::equal(retyped, torch::ones({2}, torch::kLong)));
}

TEST(EvaluationGuard, SameSeedSameNoise) {
  test::SmallBackbone backbone;
  const auto draw = [&](uint64_t seed) {
    const EvaluationGuard guard({&backbone.module()}, seed);
    return torch::rand({4});
  };
  EXPECT_TRUE(torch::equal(draw(3), draw(3)));
  EXPECT_FALSE(torch::equal(draw(3), draw(4)));
}

/// A checkpoint of a run on a GPU holds the state of the GPU's generator behind the CPU's.
TEST(GeneratorState, IsTakenOnTheCpuWithoutWhatAGpuHasAdded) {
  torch::manual_seed(7);
  const at::Tensor state = generator_state();
  const at::Tensor expected = torch::rand({3});
  set_generator_state(torch::cat({state, torch::zeros({16}, torch::kByte)}));
  EXPECT_TRUE(torch::equal(expected, torch::rand({3})));
}

TEST(EvaluationGuard, GraphsBuiltUnderItStayUsable) {
  test::SmallBackbone backbone;
  at::Tensor loss;
  {
    const EvaluationGuard guard({&backbone.module()}, 1);
    loss = backbone.forward(test::small_views(1, 6)[0]).pow(2).sum();
  }
  EXPECT_NO_THROW(torch::autograd::grad({loss}, backbone.module().parameters(), {}, true, true));
}

}  // namespace
}  // namespace bissl::host
