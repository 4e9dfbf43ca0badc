// The layers of plugins/backbones against LibTorch's own.

#include "../../../plugins/backbones/fast_layers.h"
#include "../../../plugins/backbones/batch_norm_relu.h"
#include "../../../plugins/backbones/max_pool.h"

#include "bissl/tensor_list.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/batch_norm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/randn_like.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/utils.h>

#include <cmath>
#include <functional>
#include <limits>
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

struct BatchNormReluCase {
  std::string name;
  std::vector<int64_t> shape;
  bool training = true;
  bool residual = true;
};

class BatchNormReluTest : public ::testing::TestWithParam<BatchNormReluCase> {
 protected:
  /// x, weight, bias and, where there is one, the residual.
  static TensorList inputs(at::ScalarType type, bool channels_last) {
    torch::manual_seed(6);
    const BatchNormReluCase& c = GetParam();
    const auto images = [&] {
      const at::Tensor x = at::randn(c.shape, type);
      return channels_last ? x.transpose(1, -1).contiguous().transpose(1, -1) : x;
    };
    TensorList list = {images() * 2 + 1, at::randn({c.shape[1]}, type) + 1.5,
                       at::randn({c.shape[1]}, type)};
    if (c.residual) {
      list.push_back(images());
    }
    for (at::Tensor& tensor : list) {
      tensor.requires_grad_();
    }
    return list;
  }

  static BatchNorm layer(at::ScalarType type) {
    BatchNorm layer(torch::nn::BatchNormOptions(GetParam().shape[1]).eps(1e-3).momentum(0.3));
    layer->to(type);
    layer->train(GetParam().training);
    const at::NoGradGuard no_grad;
    layer->running_mean.copy_(at::linspace(-1, 1, GetParam().shape[1], type));
    layer->running_var.copy_(at::linspace(0.5, 2, GetParam().shape[1], type));
    return layer;
  }

  static at::Tensor ours(BatchNorm& layer, const TensorList& in) {
    layer->weight = in[1];
    layer->bias = in[2];
    return batch_norm_relu(layer, in[0], in.size() > 3 ? in[3] : at::Tensor());
  }

  static at::Tensor theirs(BatchNorm& layer, const TensorList& in) {
    const at::Tensor y = at::batch_norm(in[0], in[1], in[2], layer->running_mean,
                                        layer->running_var, layer->is_training(), 0.3, 1e-3, false);
    return at::relu(in.size() > 3 ? y + in[3] : y);
  }

  /// For derivatives of any order.
  static at::Tensor composed(BatchNorm& layer, const TensorList& in) {
    std::vector<int64_t> reduced{0};
    std::vector<int64_t> shape(size_t(in[0].dim()), 1);
    shape[1] = in[0].size(1);
    for (int64_t d = 2; d < in[0].dim(); ++d) {
      reduced.push_back(d);
    }
    const at::Tensor mean = layer->is_training() ? in[0].mean(reduced) : layer->running_mean;
    const at::Tensor variance = layer->is_training()
                                    ? (in[0] - mean.view(shape)).square().mean(reduced)
                                    : layer->running_var;
    const at::Tensor y =
        (in[0] - mean.view(shape)) * (in[1] * at::rsqrt(variance + 1e-3)).view(shape) +
        in[2].view(shape);
    return at::relu(in.size() > 3 ? y + in[3] : y);
  }
};

TEST_P(BatchNormReluTest, EqualsLibTorchs) {
  for (const auto type : {at::kFloat, at::kDouble}) {
    for (const bool channels_last : {false, true}) {
      SCOPED_TRACE(std::string(at::toString(type)) + (channels_last ? " channels last" : ""));
      const TensorList in = inputs(type, channels_last);
      BatchNorm mine = layer(type);
      BatchNorm libtorchs = layer(type);
      expect_equal([&](const TensorList& list) { return ours(mine, list); },
                   [&](const TensorList& list) { return theirs(libtorchs, list); }, in, false);
      EXPECT_TRUE(mine->running_mean.allclose(libtorchs->running_mean, 1e-5, 1e-6));
      EXPECT_TRUE(mine->running_var.allclose(libtorchs->running_var, 1e-5, 1e-6));
      EXPECT_EQ(mine->num_batches_tracked.item<int64_t>(), GetParam().training ? 1 : 0);
      expect_equal([&](const TensorList& list) { return ours(mine, list); },
                   [&](const TensorList& list) { return composed(mine, list); }, in, true);
    }
  }
}

TEST_P(BatchNormReluTest, DifferentiatesInEachInputAlone) {
  const TensorList values = inputs(at::kDouble, false);
  for (size_t trained = 0; trained < values.size(); ++trained) {
    TensorList in;
    for (const at::Tensor& value : values) {
      in.push_back(value.detach().clone());
    }
    in[trained].requires_grad_();
    BatchNorm mine = layer(at::kDouble);
    const auto gradient = [&](const at::Tensor& output) {
      return gradients(output.square().sum(), {in[trained]}, false)[0];
    };
    const at::Tensor found = gradient(ours(mine, in));
    const at::Tensor expected = gradient(composed(mine, in));
    EXPECT_TRUE(found.allclose(expected, 1e-9, 1e-10)) << "input " << trained;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, BatchNormReluTest,
    ::testing::Values(BatchNormReluCase{"Images", {4, 3, 5, 6}, true, false},
                      BatchNormReluCase{"Residual", {4, 3, 5, 6}},
                      BatchNormReluCase{"Evaluated", {4, 3, 5, 6}, false, false},
                      BatchNormReluCase{"ResidualEvaluated", {4, 3, 5, 6}, false},
                      BatchNormReluCase{"LargePlanes", {2, 2, 50, 60}},
                      BatchNormReluCase{"SmallPlanes", {8, 3, 1, 2}},
                      BatchNormReluCase{"Features", {9, 5}},
                      BatchNormReluCase{"Sequences", {4, 3, 9}}),
    [](const auto& info) { return info.param.name; });

/// Far from 0 for the deviation: sums of squares would lose all digits.
TEST(BatchNormRelu, KeepsItsDigitsFarFromZero) {
  torch::manual_seed(8);
  const at::Tensor x = at::randn({4, 2, 60, 60}) * 0.01 + 100;
  BatchNorm layer(torch::nn::BatchNormOptions(2));
  const at::Tensor found = batch_norm_relu(layer, x);
  const at::Tensor exact =
      at::relu(at::batch_norm(x.to(at::kDouble), {}, {}, {}, {}, true, 0.1, 1e-5, false));
  EXPECT_LE((found - exact).abs().max().item<double>(), 2e-3);
}

/// What diverges must not look well.
TEST(BatchNormRelu, KeepsWhatIsNoNumber) {
  at::Tensor x = at::ones({2, 1, 2, 4});
  x.index_put_({0, 0, 0, 0}, std::numeric_limits<double>::quiet_NaN());
  BatchNorm layer(torch::nn::BatchNormOptions(1));
  EXPECT_TRUE(batch_norm_relu(layer, x).isnan().all().item<bool>());
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
      for (const bool third : {false, true}) {
        expect_equal(ours, theirs, in, third);
      }
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
