#include "nt_xent.h"

#include "reference/golden.h"
#include "reference/second_order.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/function.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace bissl::host {
namespace {

using nlohmann::json;
using test::close;
using test::pattern;

TEST(NtXent, FollowsEquationOneAndItsGradient) {
  const json golden = test::golden("losses.json");
  for (const json& expected : golden["nt_xent"]) {
    SCOPED_TRACE(expected["temperature"].get<double>());
    const std::vector<int64_t> shape{expected["samples"], expected["width"]};
    const at::Tensor first = pattern(3, shape).requires_grad_();
    const at::Tensor second = pattern(4, shape).requires_grad_();
    const at::Tensor loss = nt_xent(first, second, expected["temperature"]);
    EXPECT_EQ(loss.dim(), 0);
    EXPECT_NEAR(loss.item<double>(), expected["loss"].get<double>(), 1e-10);
    loss.backward();
    EXPECT_TRUE(close(first.grad(), expected["first"], 1e-10));
    EXPECT_TRUE(close(second.grad(), expected["second"], 1e-10));
  }
}

TEST(NtXent, EqualEmbeddingsGiveTheLogarithmOfTheOthers) {
  for (const int64_t n : {2, 5, 64}) {
    const at::Tensor same = at::ones({n, 3}, at::kDouble) * 0.3;
    const double others = static_cast<double>(2 * n - 1);
    EXPECT_NEAR(nt_xent(same, same, 0.5).item<double>(), std::log(others), 1e-12);
  }
}

TEST(NtXent, OrthogonalSamplesByHand) {
  // Views of a sample agree, samples are orthogonal: one positive of similarity 1, two negatives
  // of 0.
  const at::Tensor views = at::tensor({2.0, 0.0, 0.0, 5.0}, at::kDouble).reshape({2, 2});
  const double expected = std::log(std::exp(1 / 0.25) + 2) - 1 / 0.25;
  EXPECT_NEAR(nt_xent(views, views * 3, 0.25).item<double>(), expected, 1e-12);
}

TEST(NtXent, KnowsDirectionsOnly) {
  const at::Tensor first = pattern(3, {4, 5});
  const at::Tensor second = pattern(4, {4, 5});
  const double loss = nt_xent(first, second, 0.3).item<double>();
  EXPECT_NEAR(nt_xent(first * 100, second * 0.01, 0.3).item<double>(), loss, 1e-12);
  EXPECT_NEAR(nt_xent(second, first, 0.3).item<double>(), loss, 1e-12);
}

TEST(NtXent, AVanishedEmbeddingIsNoDivisionByZero) {
  const at::Tensor first = at::zeros({2, 3}, at::kDouble).requires_grad_();
  const at::Tensor loss = nt_xent(first, pattern(4, {2, 3}), 0.5);
  EXPECT_TRUE(std::isfinite(loss.item<double>()));
  loss.backward();
  EXPECT_TRUE(all_finite({first.grad()}));
}

TEST(NtXent, IsTwiceDifferentiable) {
  const at::Tensor first = pattern(3, {4, 5}).requires_grad_();
  const at::Tensor second = pattern(4, {4, 5}).requires_grad_();
  test::expect_hessian_products(
      {first, second}, [&] { return nt_xent(first, second, 0.2); }, 1e-6);
}

/// The gradient of the product, too: what is left unrecorded must not be missed by any order.
TEST(NtXent, HasTheThirdDerivativesOfTheRecordedFormula) {
  const auto recorded = [](const at::Tensor& both, double temperature) {
    const at::Tensor unit = both / both.norm(2, {1}, /*keepdim=*/true);
    const at::Tensor own = at::eye(both.size(0), both.options()).to(at::kBool);
    const at::Tensor similarities = (at::matmul(unit, unit.t()) / temperature)
                                        .masked_fill(own, -std::numeric_limits<double>::infinity());
    const at::Tensor positives =
        at::cat({at::arange(3, 6, at::kLong), at::arange(0, 3, at::kLong)});
    return at::cross_entropy_loss(similarities, positives);
  };
  const auto third = [](const std::function<at::Tensor(const at::Tensor&)>& loss) {
    const at::Tensor both = pattern(5, {6, 4}).requires_grad_();
    const auto derivative = [&](const at::Tensor& value, int64_t direction) {
      const at::Tensor slope = torch::autograd::grad({value}, {both}, {}, {}, true)[0];
      return (slope * pattern(direction, {6, 4})).sum();
    };
    const at::Tensor second = derivative(derivative(loss(both), 6), 7);
    return torch::autograd::grad({second}, {both})[0];
  };
  const at::Tensor found = third([](const at::Tensor& both) {
    return nt_xent(both.narrow(0, 0, 3), both.narrow(0, 3, 3), 0.3);
  });
  const at::Tensor expected = third([&](const at::Tensor& both) { return recorded(both, 0.3); });
  EXPECT_GT(expected.norm().item<double>(), 1e-3);
  EXPECT_LT((found - expected).norm().item<double>(), 1e-9 * expected.norm().item<double>());
}

/// Recorded, the change of the diagonal would copy the matrix in each backward pass.
TEST(NtXent, DoesNotRecordThatTheDiagonalIsLeftOut) {
  const at::Tensor first = pattern(3, {4, 5}).requires_grad_();
  const at::Tensor loss = nt_xent(first, pattern(4, {4, 5}), 0.5);
  std::vector<const torch::autograd::Node*> left = {loss.grad_fn().get()};
  size_t products = 0;
  while (!left.empty()) {
    const torch::autograd::Node* const node = left.back();
    left.pop_back();
    const std::string name = node->name();
    products += name.find("MmBackward") == std::string::npos ? 0 : 1;
    EXPECT_EQ(name.find("CopySlices"), std::string::npos);
    EXPECT_EQ(name.find("FillDiagonal"), std::string::npos);
    for (const torch::autograd::Edge& edge : node->next_edges()) {
      if (edge.function) {
        left.push_back(edge.function.get());
      }
    }
  }
  EXPECT_GE(products, 1U) << "the similarities were not found";
}

TEST(NtXent, WorksInSinglePrecisionAtSmallTemperatures) {
  const at::Tensor first = pattern(3, {8, 4});
  const at::Tensor second = pattern(4, {8, 4});
  const double precise = nt_xent(first, second, 0.01).item<double>();
  const double single = nt_xent(first.to(at::kFloat), second.to(at::kFloat), 0.01).item<double>();
  EXPECT_NEAR(single, precise, 1e-5 * precise);
}

}  // namespace
}  // namespace bissl::host
