#include "analysis/saliency.h"

#include "reference/golden.h"

#include <ATen/ops/full_like.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros_like.h>

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

TEST(Saliency, IsEnlargedToTheImageBetweenItsPlaces) {
  const at::Tensor map = at::tensor(std::vector<double>{0, 1}, at::kDouble).view({1, 1, 1, 2});
  const at::Tensor heat = grad_cam(map, at::full_like(map, 3), 1, 4);
  EXPECT_TRUE(close(heat, {0, 0.25, 0.75, 1}, 1e-6)) << heat;
}

}  // namespace
}  // namespace bissl::host::test
