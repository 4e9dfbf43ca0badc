#include "layer_derivatives.h"

#include "bissl/autocast.h"
#include "bissl/layers.h"

#include <gtest/gtest.h>
#include <torch/utils.h>

#include <array>
#include <string>
#include <vector>

namespace bissl::host {
namespace {

struct ConvolutionCase {
  std::string name;
  layers::Conv2dGeometry geometry;
  std::array<int64_t, 2> kernel{3, 3};
  bool bias = false;
};

std::vector<ConvolutionCase> convolution_cases() {
  return {
      {"Plain", {.padding = {1, 1}}},
      {"Bias", {.padding = {1, 1}}, {3, 3}, true},
      {"NoPadding", {}},
      {"Stride", {.stride = {2, 2}, .padding = {1, 1}}},
      {"StrideWithRest", {.stride = {3, 2}}, {2, 3}},
      {"UnequalPadding", {.padding = {2, 0}}, {3, 1}, true},
      {"Dilation", {.padding = {2, 2}, .dilation = {2, 2}}},
      {"StrideAndDilation", {.stride = {2, 1}, .padding = {1, 2}, .dilation = {1, 2}}},
      {"Groups", {.padding = {1, 1}, .groups = 2}, {3, 3}, true},
      {"Depthwise", {.stride = {2, 2}, .padding = {1, 1}, .groups = 4}},
      {"Pointwise", {.stride = {2, 2}}, {1, 1}},
  };
}

class ConvolutionTest : public ::testing::TestWithParam<ConvolutionCase> {
 protected:
  TensorList inputs(at::ScalarType type, bool channels_last) const {
    torch::manual_seed(3);
    const ConvolutionCase& c = GetParam();
    at::Tensor images = at::randn({3, 4, 9, 8}, type);
    if (channels_last) {
      images = images.contiguous(at::MemoryFormat::ChannelsLast);
    }
    TensorList list = {images,
                       at::randn({8, 4 / c.geometry.groups, c.kernel[0], c.kernel[1]}, type) * 0.3};
    if (c.bias) {
      list.push_back(at::randn({8}, type));
    }
    for (at::Tensor& tensor : list) {
      tensor.requires_grad_();
    }
    return list;
  }

  Layer ours() const {
    return [g = GetParam().geometry](const TensorList& in) {
      return layers::conv2d(in[0], in[1], in.size() > 2 ? in[2] : at::Tensor(), g);
    };
  }

  Layer theirs() const {
    return [g = GetParam().geometry](const TensorList& in) {
      return at::conv2d(in[0], in[1], in.size() > 2 ? in[2] : at::Tensor(), g.stride, g.padding,
                        g.dilation, g.groups);
    };
  }
};

TEST_P(ConvolutionTest, EqualsLibTorchs) {
  for (const auto type : {at::kFloat, at::kDouble}) {
    for (const bool channels_last : {false, true}) {
      SCOPED_TRACE(std::string(at::toString(type)) + (channels_last ? " channels last" : ""));
      expect_equal(ours(), theirs(), inputs(type, channels_last));
    }
  }
}

TEST_P(ConvolutionTest, DerivativesAreThoseOfTheOnesBefore) {
  expect_true_derivatives(ours(), inputs(at::kDouble, false));
}

INSTANTIATE_TEST_SUITE_P(Geometries, ConvolutionTest, ::testing::ValuesIn(convolution_cases()),
                         [](const auto& info) { return info.param.name; });

struct SmallConvolutionCase {
  std::string name;
  layers::Conv2dGeometry geometry;
  std::vector<int64_t> images;
  std::vector<int64_t> weight;
  bool bias = false;
};

/// Shapes for which matrix products take the place of LibTorch's convolutions.
class SmallConvolutionTest : public ::testing::TestWithParam<SmallConvolutionCase> {
 protected:
  static TensorList inputs(at::ScalarType type, bool channels_last) {
    torch::manual_seed(5);
    const SmallConvolutionCase& c = GetParam();
    const at::Tensor images = at::randn(c.images, type);
    TensorList list = {channels_last ? images.contiguous(at::MemoryFormat::ChannelsLast) : images,
                       at::randn(c.weight, type) * 0.05};
    if (c.bias) {
      list.push_back(at::randn({c.weight[0]}, type));
    }
    for (at::Tensor& tensor : list) {
      tensor.requires_grad_();
    }
    return list;
  }
};

TEST_P(SmallConvolutionTest, EqualsLibTorchs) {
  const layers::Conv2dGeometry& g = GetParam().geometry;
  const Layer ours = [&](const TensorList& in) {
    return layers::conv2d(in[0], in[1], in.size() > 2 ? in[2] : at::Tensor(), g);
  };
  const Layer theirs = [&](const TensorList& in) {
    return at::conv2d(in[0], in[1], in.size() > 2 ? in[2] : at::Tensor(), g.stride, g.padding,
                      g.dilation, g.groups);
  };
  for (const auto type : {at::kFloat, at::kDouble}) {
    for (const bool channels_last : {false, true}) {
      SCOPED_TRACE(std::string(at::toString(type)) + (channels_last ? " channels last" : ""));
      expect_equal(ours, theirs, inputs(type, channels_last));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, SmallConvolutionTest,
    ::testing::Values(
        SmallConvolutionCase{"Square", {.padding = {1, 1}}, {32, 64, 2, 2}, {64, 64, 3, 3}},
        SmallConvolutionCase{
            "Stride", {.stride = {2, 2}, .padding = {1, 1}}, {32, 64, 4, 3}, {72, 64, 3, 3}, true},
        SmallConvolutionCase{"OnePixel", {.padding = {1, 1}}, {33, 64, 1, 1}, {64, 64, 3, 3}},
        SmallConvolutionCase{"DilationBeyondTheImage",
                             {.padding = {3, 1}, .dilation = {3, 1}},
                             {32, 64, 1, 3},
                             {64, 64, 3, 3},
                             true},
        SmallConvolutionCase{"NoPadding", {}, {32, 64, 3, 4}, {64, 64, 2, 3}}),
    [](const auto& info) { return info.param.name; });

/// Of wide layers the weight's gradient alone is taken by matrix products.
TEST(Convolution, DifferentiatesWideWeightsOfSmallImages) {
  torch::manual_seed(9);
  const at::Tensor images = at::randn({32, 512, 4, 2});
  const at::Tensor weight = (at::randn({512, 512, 3, 1}) * 0.05).requires_grad_();
  const at::Tensor directions = at::randn({32, 512, 4, 2});
  const at::Tensor ours = layers::conv2d(images, weight, {}, {.padding = {1, 0}});
  const at::Tensor theirs = at::conv2d(images, weight, {}, 1, at::IntArrayRef{1, 0});
  EXPECT_LE(relative_difference(gradients((ours * directions).sum(), {weight}, false),
                                gradients((theirs * directions).sum(), {weight}, false)),
            1e-5);
}

TEST(Convolution, LeavesOutWhatNeedsNoGradient) {
  torch::manual_seed(1);
  const at::Tensor images = at::randn({2, 3, 6, 6}, at::kDouble);
  const at::Tensor weight = at::randn({4, 3, 3, 3}, at::kDouble).requires_grad_();
  const Layer ours = [&](const TensorList& in) { return layers::conv2d(images, in[0]); };
  const Layer theirs = [&](const TensorList& in) { return at::conv2d(images, in[0]); };
  expect_equal(ours, theirs, {weight});
}

TEST(Convolution, DifferentiatesInEachInputAlone) {
  for (const auto type : {at::kFloat, at::kDouble}) {
    torch::manual_seed(4);
    const TensorList values = {at::randn({2, 3, 6, 5}, type), at::randn({4, 3, 3, 3}, type),
                               at::randn({4}, type)};
    for (size_t trained = 0; trained < values.size(); ++trained) {
      TensorList inputs = copy(values);
      inputs[trained].requires_grad_();
      const at::Tensor ours = layers::conv2d(inputs[0], inputs[1], inputs[2], {});
      const at::Tensor theirs = at::conv2d(inputs[0], inputs[1], inputs[2]);
      const TensorList found = gradients(ours.square().sum(), {inputs[trained]}, false);
      const TensorList expected = gradients(theirs.square().sum(), {inputs[trained]}, false);
      EXPECT_TRUE(found[0].allclose(expected[0], 1e-4, 1e-5)) << "input " << trained;
    }
  }
}

TEST(Convolution, RefusesShapesThatDoNotFit) {
  EXPECT_THROW(layers::conv2d(at::ones({3, 6, 6}), at::ones({4, 3, 3, 3})), c10::Error);
  EXPECT_THROW(layers::conv2d(at::ones({1, 2, 6, 6}), at::ones({4, 3, 3, 3})), c10::Error);
}

/// LibTorch's autocast has no kernel for what the layer calls.
TEST(Convolution, FollowsLibTorchsAutocast) {
  torch::manual_seed(5);
  const at::Tensor images = at::randn({2, 3, 6, 5});
  const at::Tensor weight = at::randn({4, 3, 3, 3}).requires_grad_();
  const at::Tensor bias = at::randn({4}).requires_grad_();
  const at::Tensor single = layers::conv2d(images, weight, bias);
  at::Tensor output;
  {
    const AutocastScope scope(c10::DeviceType::CPU,
                              {.enabled = true, .type = at::kBFloat16, .cached = false});
    output = layers::conv2d(images, weight, bias);
    EXPECT_EQ(layers::conv2d(images.to(at::kDouble), weight.to(at::kDouble)).scalar_type(),
              at::kDouble);
  }
  EXPECT_EQ(single.scalar_type(), at::kFloat);
  EXPECT_EQ(output.scalar_type(), at::kBFloat16);
  EXPECT_EQ(layers::conv2d(images, weight, bias).scalar_type(), at::kFloat);
  const TensorList in = {weight, bias};
  EXPECT_LE(relative_difference({output.to(at::kFloat)}, {single}), 0.02);
  const TensorList gradient = gradients(output.to(at::kFloat).square().sum(), in, false);
  EXPECT_EQ(gradient[0].scalar_type(), at::kFloat);
  EXPECT_LE(relative_difference(gradient, gradients(single.square().sum(), in, false)), 0.05);
}

}  // namespace
}  // namespace bissl::host
