#include "layer_derivatives.h"

#include "bissl/modules.h"

#include <gtest/gtest.h>
#include <torch/utils.h>

#include <limits>
#include <string>
#include <vector>

namespace bissl::host {
namespace {

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
    return layer->forward_relu(in[0], in.size() > 3 ? in[3] : at::Tensor());
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
                   [&](const TensorList& list) { return theirs(libtorchs, list); }, in);
      expect_equal_to_third([&](const TensorList& list) { return ours(mine, list); },
                            [&](const TensorList& list) { return composed(mine, list); }, in);
    }
  }
}

TEST_P(BatchNormReluTest, MovesRunningStatisticsAsLibTorchDoes) {
  const TensorList in = inputs(at::kFloat, false);
  BatchNorm mine = layer(at::kFloat);
  BatchNorm libtorchs = layer(at::kFloat);
  ours(mine, in);
  theirs(libtorchs, in);
  EXPECT_LE(relative_difference({mine->running_mean}, {libtorchs->running_mean}), 1e-6);
  EXPECT_LE(relative_difference({mine->running_var}, {libtorchs->running_var}), 1e-6);
  EXPECT_EQ(mine->num_batches_tracked.item<int64_t>(), GetParam().training ? 1 : 0);
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
  const at::Tensor found = layer->forward_relu(x);
  const at::Tensor exact =
      at::relu(at::batch_norm(x.to(at::kDouble), {}, {}, {}, {}, true, 0.1, 1e-5, false));
  // Without vectors, as under a sanitizer, a part's values are added one by one.
  EXPECT_LE((found - exact).abs().max().item<double>(), 5e-3);
}

TEST(BatchNormRelu, NeedsNoStatisticsInTraining) {
  torch::manual_seed(9);
  const at::Tensor x = at::randn({4, 2, 5, 5}, at::kDouble);
  const at::Tensor weight = at::randn({2}, at::kDouble);
  const at::Tensor bias = at::randn({2}, at::kDouble);
  const at::Tensor theirs =
      at::relu(at::batch_norm(x, weight, bias, {}, {}, true, 0.1, 1e-5, false));
  EXPECT_TRUE(layers::batch_norm_relu(x, weight, bias, {}).allclose(theirs, 1e-12, 1e-12));
  layers::BatchNormState evaluated;
  evaluated.training = false;
  EXPECT_THROW(layers::batch_norm_relu(x, weight, bias, evaluated), c10::Error);
}

/// What diverges must not look well.
TEST(BatchNormRelu, KeepsWhatIsNoNumber) {
  at::Tensor x = at::ones({2, 1, 2, 4});
  x.index_put_({0, 0, 0, 0}, std::numeric_limits<double>::quiet_NaN());
  BatchNorm layer(torch::nn::BatchNormOptions(1));
  EXPECT_TRUE(layer->forward_relu(x).isnan().all().item<bool>());
}

}  // namespace
}  // namespace bissl::host
