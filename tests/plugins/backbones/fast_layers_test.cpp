// The layers of plugins/backbones/fast_layers.h against LibTorch's own.

#include "../../../plugins/backbones/fast_layers.h"

#include "bissl/tensor_list.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/randn_like.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/utils.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

namespace bissl::host {
namespace {

using Layer = std::function<at::Tensor(const TensorList&)>;

TensorList gradients(const at::Tensor& scalar, const TensorList& inputs, bool more) {
  TensorList result = torch::autograd::grad({scalar}, inputs, {}, true, more, true);
  for (size_t i = 0; i < result.size(); ++i) {
    result[i] = result[i].defined() ? result[i] : at::zeros_like(inputs[i]);
  }
  return result;
}

/// Σ fields·directions, the same directions for a seed.
at::Tensor along(const TensorList& fields, uint64_t seed) {
  torch::manual_seed(seed);
  at::Tensor sum = at::zeros({}, fields[0].options());
  for (const at::Tensor& field : fields) {
    sum = sum + (field * at::randn_like(field, at::MemoryFormat::Contiguous)).sum();
  }
  return sum;
}

/// The output and the derivatives up to the second or, with `third`, the third.
std::vector<TensorList> derivatives(const Layer& layer, const TensorList& inputs, bool third) {
  const at::Tensor output = layer(inputs);
  // Cubic in the output, so that no derivative is trivial.
  const at::Tensor scalar = along({output * (output * output * 0.1 + 1.0)}, 7);
  std::vector<TensorList> result = {{output}, gradients(scalar, inputs, true)};
  result.push_back(gradients(along(result[1], 8), inputs, third));
  if (third) {
    result.push_back(gradients(along(result[2], 9), inputs, false));
  }
  return result;
}

/// Bounds: 1e-10 in double precision, 1e-5 in single. A second derivative that has a graph itself,
/// for the `third`, is computed in another way.
void expect_equal(const Layer& ours, const Layer& theirs, const TensorList& inputs, bool third) {
  const double bound = inputs[0].scalar_type() == at::kDouble ? 1e-10 : 1e-5;
  const auto found = derivatives(ours, inputs, third);
  const auto expected = derivatives(theirs, inputs, third);
  for (size_t order = 0; order < found.size(); ++order) {
    for (size_t i = 0; i < found[order].size(); ++i) {
      const at::Tensor wanted = expected[order][i].detach().to(at::kDouble);
      const double distance =
          (found[order][i].detach().to(at::kDouble) - wanted).norm().item<double>();
      EXPECT_LE(distance, bound * wanted.norm().item<double>() + 1e-14)
          << "order " << order << ", input " << i << (third ? ", with a graph" : "");
    }
  }
}

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
      expect_equal(ours, theirs, inputs, false);
      expect_equal(ours, composed, inputs, true);
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
      for (const bool third : {false, true}) {
        expect_equal([](const TensorList& in) { return fast_gelu(in[0]); },
                     [](const TensorList& in) { return at::gelu(in[0]); },
                     {x.detach().clone().requires_grad_()}, third);
      }
    }
  }
}

TEST(FastLayers, RefuseANumberWithoutDimensions) {
  EXPECT_THROW(fast_layer_norm(at::zeros({}), {}, {}, 1e-5), c10::Error);
}

}  // namespace
}  // namespace bissl::host
