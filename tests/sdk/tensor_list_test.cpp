#include "bissl/tensor_list.h"

#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace bissl::host {
namespace {

at::Tensor vector(std::initializer_list<double> values) {
  return at::tensor(std::vector<double>(values), at::kDouble);
}

TensorList example() { return {vector({1, -2, 3, 4}).reshape({2, 2}), vector({5})}; }

TEST(TensorListOps, DotAndNormRunOverAllTensors) {
  const TensorList x = example();
  const TensorList y{vector({2, 0.5, -1, 1}).reshape({2, 2}), vector({-2})};
  EXPECT_DOUBLE_EQ(dot(x, y), 2.0 - 1.0 - 3.0 + 4.0 - 10.0);
  EXPECT_DOUBLE_EQ(norm(x), std::sqrt(1.0 + 4.0 + 9.0 + 16.0 + 25.0));
  EXPECT_EQ(dot({}, {}), 0.0);
}

TEST(TensorListOps, DotTakesStridedTensors) {
  const at::Tensor x = vector({1, 2, 3, 4, 5, 6}).reshape({2, 3});
  const at::Tensor y = vector({1, 0, 0, 1, 1, 0}).reshape({3, 2});
  EXPECT_DOUBLE_EQ(dot({x.t()}, {y}), 1.0 + 5.0 + 3.0);
}

TEST(TensorListOps, DotAddsTheTensorsInDoublePrecision) {
  // In single precision 2²⁴ + 1 is 2²⁴.
  const at::Tensor large = at::full({1}, 4096.0, at::kFloat);
  const at::Tensor one = at::ones({1}, at::kFloat);
  EXPECT_EQ(dot({large, one}, {large, one}), 16777217.0);
}

TEST(TensorListOps, AddScaledAndScaleWorkInPlace) {
  TensorList x = example();
  const at::Tensor first = x[0];
  add_scaled(x, -2.0, {at::ones({2, 2}, at::kDouble), vector({1})});
  EXPECT_TRUE(first.equal(vector({-1, -4, 1, 2}).reshape({2, 2})));
  EXPECT_TRUE(x[1].equal(vector({3})));
  scale(x, 0.5);
  EXPECT_TRUE(first.equal(vector({-0.5, -2, 0.5, 1}).reshape({2, 2})));
  EXPECT_TRUE(x[1].equal(vector({1.5})));
}

TEST(TensorListOps, RecordNoGradients) {
  TensorList x{vector({1, 2}).requires_grad_()};
  add_scaled(x, 1.0, x);
  scale(x, 0.5);
  EXPECT_TRUE(x[0].is_leaf());
  EXPECT_FALSE(copy(x)[0].requires_grad());
  EXPECT_FALSE(zeros_like(x)[0].requires_grad());
}

TEST(TensorListOps, CopiesShareNoMemory) {
  const TensorList x = example();
  TensorList copies = copy(x);
  TensorList zeros = zeros_like(x);
  EXPECT_EQ(norm(zeros), 0.0);
  EXPECT_EQ(zeros[0].sizes(), x[0].sizes());
  scale(copies, 0.0);
  EXPECT_DOUBLE_EQ(norm(x), std::sqrt(55.0));
}

TEST(TensorListOps, AllFiniteFindsASingleBadElement) {
  EXPECT_TRUE(all_finite(example()));
  EXPECT_TRUE(all_finite({}));
  EXPECT_FALSE(all_finite({vector({1}), vector({0, std::nan("")})}));
  EXPECT_FALSE(all_finite({vector({-std::numeric_limits<double>::infinity()}), vector({1})}));
}

}  // namespace
}  // namespace bissl::host
