#include "bissl/layers.h"

#include "layer_derivatives.h"

#include "bissl/modules.h"

#include <gtest/gtest.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/utils.h>

namespace bissl::host {
namespace {

TEST(Modules, ComputeWhatLibTorchsDo) {
  namespace nn = torch::nn;
  torch::manual_seed(5);
  const at::Tensor images = at::randn({3, 4, 8, 8});
  const auto options = nn::Conv2dOptions(4, 6, 3).stride(2).padding(1);
  for (const auto& mode : {0, 1}) {
    auto chosen = options;
    if (mode == 1) {
      chosen.padding_mode(torch::kReflect);
    }
    Conv2d ours(chosen);
    nn::Conv2d theirs(chosen);
    const at::NoGradGuard no_grad;
    theirs->weight.copy_(ours->weight);
    theirs->bias.copy_(ours->bias);
    EXPECT_LE(relative_difference({ours(images)}, {theirs(images)}), 1e-6);
  }
  for (const auto& momentum : {c10::optional<double>(0.1), c10::optional<double>()}) {
    BatchNorm ours(nn::BatchNormOptions(4).momentum(momentum));
    nn::BatchNorm2d theirs(nn::BatchNormOptions(4).momentum(momentum));
    for (int step = 0; step < 3; ++step) {
      const at::Tensor batch = at::randn({3, 4, 8, 8}) + step;
      EXPECT_LE(relative_difference({ours(batch)}, {theirs(batch)}), 1e-6);
    }
    EXPECT_LE(relative_difference(ours->buffers(), theirs->buffers()), 1e-6);
    ours->eval();
    theirs->eval();
    EXPECT_LE(relative_difference({ours(images)}, {theirs(images)}), 1e-6);
  }
}

TEST(LayerRecorder, NotesTheCallsOfItsScope) {
  const at::Tensor images = at::ones({2, 3, 5, 5});
  const at::Tensor kernel = at::ones({4, 3, 3, 3}).requires_grad_();
  const at::Tensor matrix = at::ones({2, 4}).requires_grad_();
  layers::conv2d(images, kernel);
  const LayerRecorder outer;
  const at::Tensor output = layers::conv2d(images, kernel, {}, {.stride = {2, 2}});
  {
    const LayerRecorder inner;
    layers::linear(output.mean({2, 3}), matrix);
    ASSERT_EQ(inner.calls().size(), 1U);
    EXPECT_FALSE(inner.calls()[0].convolution);
  }
  ASSERT_EQ(outer.calls().size(), 1U);
  EXPECT_TRUE(outer.calls()[0].convolution);
  EXPECT_EQ(outer.calls()[0].geometry.stride[0], 2);
  EXPECT_TRUE(outer.calls()[0].weight.is_same(kernel));
  EXPECT_TRUE(outer.calls()[0].output.requires_grad());
}

}  // namespace
}  // namespace bissl::host
