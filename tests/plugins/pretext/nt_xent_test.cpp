#include "nt_xent.h"

#include "reference/golden.h"
#include "reference/second_order.h"

#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <cmath>

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

TEST(NtXent, WorksInSinglePrecisionAtSmallTemperatures) {
  const at::Tensor first = pattern(3, {8, 4});
  const at::Tensor second = pattern(4, {8, 4});
  const double precise = nt_xent(first, second, 0.01).item<double>();
  const double single = nt_xent(first.to(at::kFloat), second.to(at::kFloat), 0.01).item<double>();
  EXPECT_NEAR(single, precise, 1e-5 * precise);
}

}  // namespace
}  // namespace bissl::host
