#include "bissl/layers.h"

#include "bissl/divided_batch.h"
#include "bissl/modules.h"
#include "bissl/tensor_list.h"

#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/nn/functional/batchnorm.h>
#include <torch/nn/functional/conv.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>

#include <functional>
#include <string>
#include <vector>

namespace bissl::host {
namespace {

using Layer = std::function<at::Tensor(const TensorList&)>;

/// A scalar, its gradient, a derivative of that along random directions, and one more.
struct Derivatives {
  at::Tensor output;
  TensorList first;
  TensorList second;
  TensorList third;
};

TensorList gradients(const at::Tensor& scalar, const TensorList& inputs, bool more) {
  TensorList result = torch::autograd::grad({scalar}, inputs, {}, true, more, true);
  for (size_t i = 0; i < result.size(); ++i) {
    result[i] = result[i].defined() ? result[i] : at::zeros_like(inputs[i]);
  }
  return result;
}

/// Σ fields·directions: what a Hessian product differentiates.
at::Tensor along(const TensorList& fields, const TensorList& directions) {
  at::Tensor sum = at::zeros({}, fields[0].options());
  for (size_t i = 0; i < fields.size(); ++i) {
    sum = sum + (fields[i] * directions[i]).sum();
  }
  return sum;
}

TensorList directions_for(const TensorList& inputs, uint64_t seed) {
  torch::manual_seed(seed);
  TensorList directions;
  for (const at::Tensor& input : inputs) {
    directions.push_back(at::randn_like(input));
  }
  return directions;
}

Derivatives derivatives(const Layer& layer, const TensorList& inputs, bool third) {
  Derivatives result;
  result.output = layer(inputs);
  torch::manual_seed(7);
  const at::Tensor weights = at::randn_like(result.output);
  // Cubic in the output, so that no derivative up to the third is trivial.
  const at::Tensor scalar =
      (weights * result.output * (result.output * result.output * 0.1 + 1.0)).sum();
  result.first = gradients(scalar, inputs, true);
  const at::Tensor product = along(result.first, directions_for(inputs, 8));
  result.second = gradients(product, inputs, third);
  if (third) {
    result.third = gradients(along(result.second, directions_for(inputs, 9)), inputs, false);
  }
  return result;
}

double relative_difference(const TensorList& a, const TensorList& b) {
  double squared = 0;
  double scale = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    squared += (a[i] - b[i]).detach().to(at::kDouble).square().sum().item<double>();
    scale += b[i].detach().to(at::kDouble).square().sum().item<double>();
  }
  return scale > 0 ? std::sqrt(squared / scale) : std::sqrt(squared);
}

/// Both layers agree in value, gradient and second derivative: 1e-10 in double precision, 1e-5 in
/// single.
void expect_equal(const Layer& ours, const Layer& theirs, const TensorList& inputs) {
  const double bound = inputs[0].scalar_type() == at::kDouble ? 1e-10 : 1e-5;
  const Derivatives b = derivatives(theirs, inputs, false);
  // A second derivative that has a graph itself is computed in another way.
  for (const bool with_graph : {false, true}) {
    const Derivatives a = derivatives(ours, inputs, with_graph);
    EXPECT_LE(relative_difference({a.output}, {b.output}), bound);
    for (size_t i = 0; i < inputs.size(); ++i) {
      SCOPED_TRACE("input " + std::to_string(i));
      EXPECT_LE(relative_difference({a.first[i]}, {b.first[i]}), bound);
      EXPECT_LE(relative_difference({a.second[i]}, {b.second[i]}), bound);
    }
  }
}

/// Second and third derivatives along directions against central differences of those before.
void expect_true_derivatives(const Layer& layer, const TensorList& inputs) {
  const auto moved = [&](double step, uint64_t seed) {
    const TensorList directions = directions_for(inputs, seed);
    TensorList result;
    for (size_t i = 0; i < inputs.size(); ++i) {
      result.push_back((inputs[i].detach() + step * directions[i]).requires_grad_());
    }
    return derivatives(layer, result, false);
  };
  const double step = 1e-5;
  const auto difference = [&](uint64_t seed, TensorList Derivatives::*member) {
    const Derivatives ahead = moved(step, seed);
    const Derivatives behind = moved(-step, seed);
    TensorList result;
    for (size_t i = 0; i < inputs.size(); ++i) {
      result.push_back(((ahead.*member)[i] - (behind.*member)[i]) / (2 * step));
    }
    return result;
  };
  const Derivatives exact = derivatives(layer, inputs, true);
  EXPECT_LE(relative_difference(exact.second, difference(8, &Derivatives::first)), 1e-7);
  EXPECT_LE(relative_difference(exact.third, difference(9, &Derivatives::second)), 1e-7);
}

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

struct BatchNormCase {
  std::string name;
  std::vector<int64_t> shape;
  bool training = true;
  bool affine = true;
};

class BatchNormTest : public ::testing::TestWithParam<BatchNormCase> {
 protected:
  TensorList inputs(at::ScalarType type, bool channels_last) const {
    torch::manual_seed(4);
    const BatchNormCase& c = GetParam();
    at::Tensor x = at::randn(c.shape, type) * 2 + 1;
    if (channels_last && x.dim() == 4) {
      x = x.contiguous(at::MemoryFormat::ChannelsLast);
    }
    TensorList list = {x};
    if (c.affine) {
      list.push_back(at::randn({c.shape[1]}, type) + 1.5);
      list.push_back(at::randn({c.shape[1]}, type));
    }
    for (at::Tensor& tensor : list) {
      tensor.requires_grad_();
    }
    return list;
  }

  static at::Tensor at_or_none(const TensorList& list, size_t i) {
    return i < list.size() ? list[i] : at::Tensor();
  }

  /// Running statistics that a call may change.
  TensorList statistics(at::ScalarType type) const {
    const int64_t channels = GetParam().shape[1];
    return {at::linspace(-1, 1, channels, type), at::linspace(0.5, 2, channels, type)};
  }

  Layer ours(const TensorList& running) const {
    return [=, training = GetParam().training](const TensorList& in) {
      return layers::batch_norm(in[0], at_or_none(in, 1), at_or_none(in, 2),
                                {.running_mean = running[0],
                                 .running_var = running[1],
                                 .training = training,
                                 .momentum = 0.3,
                                 .epsilon = 1e-3});
    };
  }

  Layer theirs(const TensorList& running) const {
    return [=, training = GetParam().training](const TensorList& in) {
      return at::batch_norm(in[0], at_or_none(in, 1), at_or_none(in, 2), running[0], running[1],
                            training, 0.3, 1e-3, false);
    };
  }
};

TEST_P(BatchNormTest, EqualsLibTorchs) {
  for (const auto type : {at::kFloat, at::kDouble}) {
    for (const bool channels_last : {false, true}) {
      SCOPED_TRACE(std::string(at::toString(type)) + (channels_last ? " channels last" : ""));
      expect_equal(ours(statistics(type)), theirs(statistics(type)), inputs(type, channels_last));
    }
  }
}

TEST_P(BatchNormTest, MovesRunningStatisticsAsLibTorchDoes) {
  const TensorList mine = statistics(at::kFloat);
  const TensorList libtorchs = statistics(at::kFloat);
  const TensorList in = inputs(at::kFloat, false);
  ours(mine)(in);
  theirs(libtorchs)(in);
  EXPECT_LE(relative_difference(mine, libtorchs), 1e-6);
  EXPECT_EQ(relative_difference(mine, statistics(at::kFloat)) > 0, GetParam().training);
}

/// In a batch that is divided into one part: sums over the parts are those of the part.
Layer divided(const Layer& layer) {
  return [layer](const TensorList& in) {
    const DividedBatch scope(
        std::make_shared<const DividedBatch::Sum>([](const at::Tensor& /*values*/) {}));
    return layer(in);
  };
}

TEST_P(BatchNormTest, DividedEqualsLibTorchs) {
  for (const auto type : {at::kFloat, at::kDouble}) {
    for (const bool channels_last : {false, true}) {
      SCOPED_TRACE(std::string(at::toString(type)) + (channels_last ? " channels last" : ""));
      expect_equal(divided(ours(statistics(type))), theirs(statistics(type)),
                   inputs(type, channels_last));
    }
  }
}

TEST_P(BatchNormTest, DividedMovesRunningStatisticsAsLibTorchDoes) {
  const TensorList mine = statistics(at::kFloat);
  const TensorList libtorchs = statistics(at::kFloat);
  const TensorList in = inputs(at::kFloat, false);
  divided(ours(mine))(in);
  theirs(libtorchs)(in);
  EXPECT_LE(relative_difference(mine, libtorchs), 1e-6);
}

TEST_P(BatchNormTest, DerivativesAreThoseOfTheOnesBefore) {
  expect_true_derivatives(ours(statistics(at::kDouble)), inputs(at::kDouble, false));
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, BatchNormTest,
    ::testing::Values(BatchNormCase{"Images", {4, 3, 5, 6}},
                      BatchNormCase{"ImagesEvaluated", {4, 3, 5, 6}, false},
                      BatchNormCase{"Features", {7, 5}},
                      BatchNormCase{"FeaturesEvaluated", {7, 5}, false},
                      BatchNormCase{"WithoutWeights", {4, 3, 5, 6}, true, false},
                      BatchNormCase{"WithoutWeightsEvaluated", {4, 3, 5, 6}, false, false},
                      BatchNormCase{"Sequences", {4, 3, 9}}),
    [](const auto& info) { return info.param.name; });

TEST(BatchNorm, NeedsMoreThanOneValueInTraining) {
  layers::BatchNormState evaluated;
  evaluated.training = false;
  EXPECT_THROW(layers::batch_norm(at::ones({1, 3}), {}, {}, {}), c10::Error);
  EXPECT_THROW(layers::batch_norm(at::ones({2, 3}), {}, {}, evaluated), c10::Error);
}

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
