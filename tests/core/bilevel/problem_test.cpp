// What the lower problem gives besides products: its layers, and the memory of its graph.

#include "bilevel/pretext_problem.h"
#include "bissl/modules.h"
#include "models/memory_meter.h"
#include "models/module_state.h"
#include "small_models.h"

#include <c10/core/Allocator.h>
#include <gtest/gtest.h>
#include <torch/types.h>

namespace bissl::host {
namespace {

/// A convolution and a linear layer of the sdk, with LibTorch's normalisation between.
class LayeredBackbone : public Backbone {
 public:
  LayeredBackbone() : module_(std::make_shared<torch::nn::Module>()) {
    first_ = module_->register_module(
        "first", Conv2d(torch::nn::Conv2dOptions(1, 3, 3).padding(1).stride(2)));
    normalisation_ = module_->register_module("normalisation", torch::nn::BatchNorm2d(3));
    second_ = module_->register_module("second", Linear(12, 3));
    module_->to(torch::kDouble);
  }
  at::Tensor forward(const at::Tensor& images) override {
    const at::Tensor hidden =
        torch::tanh(normalisation_(first_(images.view({images.size(0), 1, 4, 4}))));
    return torch::tanh(second_(hidden.flatten(1)));
  }
  int64_t features() const override { return 3; }
  torch::nn::Module& module() override { return *module_; }

 private:
  std::shared_ptr<torch::nn::Module> module_;
  Conv2d first_{nullptr};
  torch::nn::BatchNorm2d normalisation_{nullptr};
  Linear second_{nullptr};
};

Views image_views() { return joined(test::small_views(2, 4 * 5)).reshape({2, 5, 16}).unbind(); }

TEST(LayerGradients, MultiplyToTheGradientsOfTheWeights) {
  torch::manual_seed(2);
  LayeredBackbone backbone;
  test::SmallPretext pretext;
  PretextProblem problem(backbone, pretext, {image_views()}, {.lambda = 0.5});
  const std::vector<LayerGradient> layers = problem.layer_gradients();
  // Two views, each with a pass through two layers; the head of the pretext task is not among them.
  ASSERT_EQ(layers.size(), 4U);
  TensorList sums = zeros_like(problem.parameters());
  for (const LayerGradient& layer : layers) {
    at::Tensor inputs = layer.input;
    at::Tensor gradients = layer.output_gradient;
    if (layer.convolution) {
      EXPECT_EQ(layer.geometry.stride, (std::array<int64_t, 2>{2, 2}));
      inputs = torch::im2col(inputs, {3, 3}, {1, 1}, {1, 1}, {2, 2}).transpose(1, 2).flatten(0, 1);
      gradients = gradients.flatten(2).transpose(1, 2).flatten(0, 1);
    }
    sums[layer.weight].add_(torch::mm(gradients.t(), inputs).view_as(sums[layer.weight]));
    ASSERT_TRUE(layer.bias);
    sums[*layer.bias].add_(gradients.sum(0));
  }
  const TensorList expected = problem.gradient({});
  int compared = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    if (problem.parameter_names()[i].rfind("normalisation", 0) != 0) {
      EXPECT_LT((sums[i] - expected[i]).abs().max().item<double>(), 1e-13)
          << problem.parameter_names()[i];
      ++compared;
    }
  }
  EXPECT_EQ(compared, 4);
}

TEST(LayerGradients, AreNoneOfLayersThatAreNotTheSdks) {
  test::SmallBackbone backbone;
  test::SmallPretext pretext;
  PretextProblem problem(backbone, pretext, {test::small_views(2, 8)}, {.lambda = 0.5});
  EXPECT_TRUE(problem.layer_gradients().empty());
}

TEST(MemoryMeter, CountsWhatLives) {
  const at::Tensor before = torch::zeros({1000}, torch::kDouble);
  const MemoryMeter meter;
  EXPECT_EQ(meter.bytes(), 0);
  {
    const at::Tensor temporary = torch::zeros({500}, torch::kDouble);
    EXPECT_EQ(meter.bytes(), 4000);
  }
  EXPECT_EQ(meter.bytes(), 0);
  const at::Tensor kept = before * 2;
  EXPECT_EQ(meter.bytes(), 8000);
}

/// What other devices have is no part of the machine's memory, which the sums are compared with.
TEST(MemoryMeter, CountsNoOtherDevices) {
  const MemoryMeter meter;
  c10::reportMemoryUsageToProfiler(nullptr, 5000, 0, 0, c10::Device(c10::kCUDA, 0));
  EXPECT_EQ(meter.bytes(), 0);
  EXPECT_EQ(meter.peak(), 0);
  c10::reportMemoryUsageToProfiler(nullptr, 3000, 0, 0, c10::Device(c10::kCPU));
  EXPECT_EQ(meter.bytes(), 3000);
  EXPECT_EQ(meter.peak(), 3000);
}

TEST(PretextProblem, TellsTheMemoryOfTheGraphThatItKeeps) {
  LayeredBackbone backbone;
  test::SmallPretext pretext;
  const auto bytes = [&](const Views& views, bool recompute) {
    PretextProblem problem(backbone, pretext, {views},
                           {.lambda = 0.5, .recompute_graph = recompute});
    EXPECT_EQ(problem.graph_bytes(), 0);
    problem.hessian_product(copy(problem.parameters()));
    return problem.graph_bytes();
  };
  const Views views = image_views();
  const int64_t once = bytes(views, false);
  // At the least the hidden layer of both views, 5·12 numbers each, is in it.
  EXPECT_GT(once, int64_t{2 * 5 * 12 * 8});
  const int64_t twice =
      bytes({torch::cat({views[0], views[0]}), torch::cat({views[1], views[1]})}, false);
  EXPECT_GT(twice, once * 3 / 2);
  EXPECT_LT(twice, once * 5 / 2);
  EXPECT_EQ(bytes(views, true), 0);
}

}  // namespace
}  // namespace bissl::host
