#include "analysis/saliency.h"

#include "bissl/error.h"
#include "reference/golden.h"

#include <ATen/ops/conv2d.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <limits>

namespace bissl::host::test {
namespace {

TEST(Saliency, WeightsChannelsByTheirGradients) {
  const at::Tensor map =
      at::tensor(std::vector<double>{1, 2, 0, 4, 1, 1, 0, 3}, at::kDouble).view({1, 2, 2, 2});
  // Means 2 and −1: 2·{1, 2, 0, 4} − {1, 1, 0, 3} = {1, 3, 0, 5}.
  const at::Tensor gradient =
      at::tensor(std::vector<double>{4, 0, 2, 2, -1, -1, -1, -1}, at::kDouble).view({1, 2, 2, 2});
  EXPECT_TRUE(close(grad_cam(map, gradient, 2, 2), {0.2, 0.6, 0, 1}, 1e-6));
  // What speaks against the class is cut off, and nothing is left to be divided by.
  EXPECT_TRUE(close(grad_cam(map, at::full_like(map, -1), 2, 2), {0, 0, 0, 0}, 0));
  EXPECT_TRUE(close(grad_cam(map, at::zeros_like(map), 1, 1), {0}, 0));
}

/// A map without differences speaks for the class everywhere alike; what is not finite is refused.
TEST(Saliency, OfEqualPlacesIsEvenAndOfNoNumbersIsRefused) {
  const at::Tensor equal = at::zeros({1, 2, 2, 2}, at::kDouble).add(0.1);
  EXPECT_TRUE(close(grad_cam(equal, equal, 2, 2), {1, 1, 1, 1}, 1e-6));
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    EXPECT_THROW(grad_cam(at::full_like(equal, bad), equal, 2, 2), Error) << bad;
    EXPECT_THROW(grad_cam(equal, at::full_like(equal, bad), 2, 2), Error) << bad;
  }
}

TEST(Saliency, IsEnlargedToTheImageBetweenItsPlaces) {
  const at::Tensor map = at::tensor(std::vector<double>{0, 1}, at::kDouble).view({1, 1, 1, 2});
  const at::Tensor heat = grad_cam(map, at::full_like(map, 3), 1, 4);
  EXPECT_TRUE(close(heat, {0, 0.25, 0.75, 1}, 1e-6)) << heat;
}

/// Of a map inside a network whose head is not linear: the network, the gradients and the heat of
/// tests/reference/explanations.py.
TEST(Saliency, IsThatOfAnIndependentComputation) {
  const nlohmann::json expected = golden("explanations.json").at("grad_cam");
  const at::Tensor explained =
      at::tensor(expected.at("explained").get<std::vector<int64_t>>(), at::kLong).unsqueeze(1);
  const at::Tensor map = at::conv2d(pattern(22, {3, 2, 6, 9}), pattern(23, {4, 2, 3, 3}).mul(4), {},
                                    at::IntArrayRef{2, 2}, at::IntArrayRef{1, 1})
                             .relu()
                             .requires_grad_(true);
  const at::Tensor hidden = map.mean(at::IntArrayRef{2, 3})
                                .mul(6)
                                .matmul(pattern(24, {4, 5}))
                                .add(pattern(25, {5}))
                                .tanh();
  const at::Tensor logits = hidden.mul(3).matmul(pattern(26, {5, 4}));
  std::vector<double> rows;
  for (const nlohmann::json& row : expected.at("logits")) {
    const auto values = row.get<std::vector<double>>();
    rows.insert(rows.end(), values.begin(), values.end());
  }
  ASSERT_TRUE(close(logits, rows, 1e-12));
  logits.gather(1, explained).sum().backward();
  const at::Tensor heat = grad_cam(map, map.grad(), 6, 9);
  for (int64_t image = 0; image < 3; ++image) {
    std::vector<double> pixels;
    for (const nlohmann::json& row : expected.at("heats").at(static_cast<size_t>(image))) {
      const auto values = row.get<std::vector<double>>();
      pixels.insert(pixels.end(), values.begin(), values.end());
    }
    EXPECT_TRUE(close(heat[image], pixels, 1e-6)) << image;
  }
}

}  // namespace
}  // namespace bissl::host::test
