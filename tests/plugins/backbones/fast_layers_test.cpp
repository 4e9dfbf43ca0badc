// The layers of plugins/backbones against LibTorch's own.

#include "../../../plugins/backbones/fast_layers.h"
#include "../../../plugins/backbones/max_pool.h"
#include "../../sdk/layer_derivatives.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/rsqrt.h>
#include <gtest/gtest.h>
#include <torch/utils.h>

#include <limits>
#include <string>
#include <vector>

namespace bissl::host {
namespace {

struct LayerNormCase {
  std::string name;
  std::vector<int64_t> shape;
  bool affine = true;
};

class FastLayerNormTest : public ::testing::TestWithParam<LayerNormCase> {};

TEST_P(FastLayerNormTest, EqualsLibTorchs) {
  const LayerNormCase& c = GetParam();
  const auto at_or_none = [](const TensorList& in, size_t i) {
    return i < in.size() ? in[i] : at::Tensor();
  };
  const Layer ours = [&](const TensorList& in) {
    return fast_layer_norm(in[0], at_or_none(in, 1), at_or_none(in, 2), 1e-3);
  };
  const Layer theirs = [&](const TensorList& in) {
    return at::layer_norm(in[0], {in[0].size(-1)}, at_or_none(in, 1), at_or_none(in, 2), 1e-3);
  };
  // LibTorch 1.13 takes the statistics for constants in its third derivative.
  const Layer composed = [&](const TensorList& in) {
    const at::Tensor centred = in[0] - in[0].mean(-1, /*keepdim=*/true);
    const at::Tensor normal =
        centred * at::rsqrt(centred.square().mean(-1, /*keepdim=*/true) + 1e-3);
    return c.affine ? normal * in[1] + in[2] : normal;
  };
  for (const auto type : {at::kFloat, at::kDouble}) {
    for (const bool transposed : {false, true}) {
      SCOPED_TRACE(std::string(at::toString(type)) + (transposed ? " transposed" : ""));
      torch::manual_seed(14);
      TensorList inputs = {at::randn(c.shape, type) * 2 + 1};
      if (transposed) {  // the same shape, in another order in memory
        inputs[0] = inputs[0].transpose(0, -1).contiguous().transpose(0, -1);
      }
      if (c.affine) {
        inputs.push_back(at::randn({c.shape.back()}, type) + 1.5);
        inputs.push_back(at::randn({c.shape.back()}, type));
      }
      for (at::Tensor& tensor : inputs) {
        tensor.requires_grad_();
      }
      expect_equal(ours, theirs, inputs);
      expect_equal_to_third(ours, composed, inputs);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, FastLayerNormTest,
                         ::testing::Values(LayerNormCase{"Tokens", {3, 7, 12}},
                                           LayerNormCase{"Rows", {50, 5}},
                                           LayerNormCase{"Maps", {2, 3, 4, 40}},
                                           LayerNormCase{"WithoutWeights", {6, 9}, false}),
                         [](const auto& info) { return info.param.name; });

TEST(FastGelu, EqualsLibTorchs) {
  for (const auto type : {at::kFloat, at::kDouble}) {
    // Among the values the ends, where the density vanishes.
    const at::Tensor values =
        at::cat({at::linspace(-40, 40, 81, type), at::linspace(-4, 4, 95, type)});
    for (const at::Tensor& x : {values, values.reshape({8, 22}).t()}) {
      SCOPED_TRACE(at::toString(type));
      const Layer ours = [](const TensorList& in) { return fast_gelu(in[0]); };
      const Layer theirs = [](const TensorList& in) { return at::gelu(in[0]); };
      const TensorList inputs = {x.detach().clone().requires_grad_()};
      expect_equal(ours, theirs, inputs);
      expect_equal_to_third(ours, theirs, inputs);
    }
  }
}

TEST(FastLayers, RefuseANumberWithoutDimensions) {
  EXPECT_THROW(fast_layer_norm(at::zeros({}), {}, {}, 1e-5), c10::Error);
}

struct MaxPoolCase {
  std::string name;
  std::vector<int64_t> shape;
};

class MaxPoolTest : public ::testing::TestWithParam<MaxPoolCase> {};

TEST_P(MaxPoolTest, EqualsLibTorchs) {
  const Layer ours = [](const TensorList& in) { return stem_max_pool(in[0]); };
  const Layer theirs = [](const TensorList& in) {
    return at::max_pool2d(in[0], {3, 3}, {2, 2}, {1, 1});
  };
  for (const auto type : {at::kFloat, at::kDouble}) {
    for (const bool relu : {false, true}) {  // with many equal values
      torch::manual_seed(11);
      const at::Tensor values = at::randn(GetParam().shape, type);
      const TensorList in = {(relu ? at::relu(values) : values).requires_grad_()};
      EXPECT_TRUE(at::equal(ours(in), theirs(in)));
      expect_equal(ours, theirs, in);
      expect_equal_to_third(ours, theirs, in);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, MaxPoolTest,
                         ::testing::Values(MaxPoolCase{"Even", {2, 3, 8, 6}},
                                           MaxPoolCase{"Odd", {3, 2, 7, 5}},
                                           MaxPoolCase{"Wide", {1, 2, 4, 50}},
                                           MaxPoolCase{"OnePixel", {2, 2, 1, 1}},
                                           MaxPoolCase{"OneRow", {2, 1, 1, 9}}),
                         [](const auto& info) { return info.param.name; });

/// LibTorch lets the last value that is no number win.
TEST(MaxPool, KeepsWhatIsNoNumber) {
  at::Tensor x = at::zeros({1, 1, 4, 4});
  x.index_put_({0, 0, 1, 1}, std::numeric_limits<double>::quiet_NaN());
  EXPECT_TRUE(at::isnan(stem_max_pool(x)).all().item<bool>());
}

}  // namespace
}  // namespace bissl::host
