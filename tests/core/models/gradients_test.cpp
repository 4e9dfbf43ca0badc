#include "models/gradients.h"

#include "bilevel/hessian.h"

#include <gtest/gtest.h>
#include <torch/types.h>

namespace bissl::host {
namespace {

at::Tensor parameter() { return torch::ones({3}, torch::kDouble).requires_grad_(true); }

/// Scales each of `list` in place and expects that no other tensor has changed.
void expect_apart(TensorList list) {
  for (size_t i = 0; i < list.size(); ++i) {
    const TensorList before = copy(list);
    list[i].mul_(3.0);
    for (size_t j = 0; j < list.size(); ++j) {
      EXPECT_TRUE(torch::equal(list[j], i == j ? before[j] * 3.0 : before[j])) << i << " " << j;
    }
  }
}

TEST(Gradients, OfASumAreNotExpanded) {
  const at::Tensor a = parameter();
  expect_apart(gradients_of(a.sum(), {a}));
}

TEST(Gradients, OfParametersThatAreAddedAreApart) {
  const at::Tensor a = parameter();
  const at::Tensor b = parameter();
  expect_apart(gradients_of((a + b).square().sum(), {a, b}));
}

TEST(Gradients, ProductsAreApartFromEachOtherAndFromTheirVector) {
  const at::Tensor a = parameter();
  const at::Tensor b = parameter();
  const HessianOperator hessian((a + b).pow(3).sum() + a.sum(), {a, b});
  const TensorList x = {torch::ones({3}, torch::kDouble), torch::zeros({3}, torch::kDouble)};
  const TensorList kept = copy(x);
  const TensorList product = hessian.product(x);
  EXPECT_TRUE(torch::allclose(product[0], torch::full({3}, 12.0, torch::kDouble)));
  EXPECT_TRUE(torch::allclose(product[1], product[0]));
  expect_apart(product);
  EXPECT_TRUE(torch::equal(x[0], kept[0]));
  EXPECT_TRUE(torch::equal(x[1], kept[1]));
}

TEST(Gradients, ArePulledTowardsAnAnchorWhereThereIsOne) {
  const at::Tensor a = parameter();
  TensorList gradients{torch::ones({3}, torch::kDouble), torch::ones({3}, torch::kDouble),
                       torch::ones({3}, torch::kDouble)};
  const TensorList anchor{torch::tensor({0.0, 3.0, 1.0}, torch::kDouble), at::Tensor()};
  EXPECT_DOUBLE_EQ(add_pull(gradients, {a, a, a}, anchor, 0.5), 0.5 * 0.5 * (1 + 4));
  EXPECT_TRUE(gradients[0].equal(torch::tensor({1.5, 0.0, 1.0}, torch::kDouble)));
  EXPECT_TRUE(gradients[1].equal(torch::ones({3}, torch::kDouble)));
  EXPECT_TRUE(gradients[2].equal(torch::ones({3}, torch::kDouble)));
  EXPECT_EQ(add_pull(gradients, {a, a, a}, {}, 0.5), 0);
}

}  // namespace
}  // namespace bissl::host
