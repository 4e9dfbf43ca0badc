#include "layer_derivatives.h"

#include "bissl/divided_batch.h"
#include "bissl/layers.h"

#include <gtest/gtest.h>
#include <torch/utils.h>

#include <memory>
#include <string>
#include <vector>

namespace bissl::host {
namespace {

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

/// LibTorch's own function, which its modules call.
TEST(BatchNorm, LibTorchsIsOverAllPartsAsWell) {
  torch::manual_seed(7);
  const at::Tensor x = at::randn({4, 3, 5}, at::kDouble);
  int sums = 0;
  const DividedBatch scope(std::make_shared<const DividedBatch::Sum>([&sums](at::Tensor& values) {
    values.mul_(2);  // another part has the same values
    ++sums;
  }));
  TensorList found;
  TensorList expected;
  for (TensorList* const running : {&found, &expected}) {
    *running = {at::zeros({3}, at::kDouble), at::ones({3}, at::kDouble)};
  }
  found.push_back(at::batch_norm(x, {}, {}, found[0], found[1], true, 0.3, 1e-3, false));
  EXPECT_EQ(sums, 1);
  expected.push_back(layers::batch_norm(x, {}, {},
                                        {.running_mean = expected[0],
                                         .running_var = expected[1],
                                         .training = true,
                                         .momentum = 0.3,
                                         .epsilon = 1e-3}));
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_TRUE(found[i].equal(expected[i])) << i;
  }
  sums = 0;
  at::batch_norm(x, {}, {}, found[0], found[1], /*training=*/false, 0.3, 1e-3, false);
  const at::Tensor samples = at::instance_norm(x, {}, {}, {}, {}, true, 0.3, 1e-3, false);
  EXPECT_EQ(sums, 0) << "neither is over the batch";
  EXPECT_LE(samples.mean({2}).abs().max().item<double>(), 1e-12);
}

/// Sums of numbers of 16 bits would keep no digits, and LibTorch lacks operations on them.
TEST(BatchNorm, TakesBfloat16ToSinglePrecisionOnTheCpu) {
  torch::manual_seed(6);
  const at::Tensor x = (at::randn({4, 3, 5, 6}) * 2 + 1).to(at::kBFloat16).requires_grad_();
  const at::Tensor weight = at::randn({3});
  const at::Tensor bias = at::randn({3});
  const at::Tensor found = layers::batch_norm(x, weight, bias, {});
  EXPECT_EQ(found.scalar_type(), at::kFloat);
  EXPECT_TRUE(found.equal(layers::batch_norm(x.to(at::kFloat), weight, bias, {})));
  EXPECT_EQ(gradients(found.square().sum(), {x}, false)[0].scalar_type(), at::kBFloat16);
  const at::Tensor rectified = layers::batch_norm_relu(x, weight, bias, {}, x);
  EXPECT_EQ(rectified.scalar_type(), at::kFloat);
  EXPECT_TRUE(rectified.allclose((found + x).relu(), 1e-4, 1e-4));
}

}  // namespace
}  // namespace bissl::host
