// Solvers that stop at a tolerance, and gmres, on quadratic problems.

#include "dense_problem.h"
#include "sdk/plugin_library.h"

#include "bissl/error.h"

#include <ATen/ops/linalg_qr.h>
#include <ATen/ops/stack.h>
#include <gtest/gtest.h>

#include <memory>

namespace bissl::host {
namespace {

using test::dense_solution;
using test::DenseProblem;
using test::distance;
using test::equal;
using test::pattern;
using test::positive_matrix;
using test::three_tensors;
using test::true_residual;

std::shared_ptr<Hypergradient> make(const std::string& name, const ParameterValues& values = {}) {
  return test::shared_library(name).make<Hypergradient>(name, values);
}

/// No symmetric part of it alone solves the system.
at::Tensor skewed_matrix() {
  const at::Tensor root = pattern(11, {10, 10});
  return positive_matrix(5, 10) * 0.1 + (root - root.t()) * 2;
}

TEST(Gmres, SolvesASystemThatIsNotSymmetric) {
  const at::Tensor hessian = skewed_matrix();
  const TensorList u = three_tensors();
  DenseProblem problem(hessian, 0.25);
  const ParameterValues values = {
      {"iterations", int64_t{30}}, {"damping", 0.75}, {"tolerance", 1e-13}};
  const HypergradientSolution solution = make("gmres", values)->solve(u, problem);
  EXPECT_EQ(solution.status, SolveStatus::converged);
  EXPECT_LT(distance(solution.v, dense_solution(hessian, 1.0, u)), 1e-10);
  EXPECT_LE(solution.iterations, 10);
  EXPECT_EQ(solution.hessian_products, solution.iterations);
  EXPECT_EQ(problem.products, solution.iterations);
  const HypergradientSolution short_recurrence = make("minres", values)->solve(u, problem);
  EXPECT_GT(distance(short_recurrence.v, dense_solution(hessian, 1.0, u)), 1e-3);
}

TEST(Gmres, HasTheSmallestResidualOfTheKrylovSpaceAndTellsIt) {
  const at::Tensor hessian = skewed_matrix();
  const TensorList u{pattern(6, {10})};
  const at::Tensor system = at::eye(10, at::kDouble) + hessian;
  TensorList powers{u[0]};
  for (int64_t k = 1; k <= 6; ++k) {
    DenseProblem problem(hessian, 1.0);
    const HypergradientSolution solution =
        make("gmres", {{"iterations", k}, {"damping", 0.0}, {"tolerance", 0.0}})->solve(u, problem);
    const at::Tensor basis = std::get<0>(at::linalg_qr(system.matmul(at::stack(powers, 1))));
    const at::Tensor rest = u[0] - basis.matmul(basis.t().matmul(u[0]));
    const double best = (rest.norm() / u[0].norm()).item<double>();
    EXPECT_NEAR(solution.relative_residual, best, 1e-9) << k;
    EXPECT_NEAR(true_residual(hessian, 1.0, u, solution.v), best, 1e-9) << k;
    EXPECT_EQ(solution.status, SolveStatus::iteration_limit);
    at::Tensor next = system.matmul(powers.back());
    powers.push_back(next / next.norm());
  }
}

TEST(Gmres, StopsWhereTheSpaceIsExhausted) {
  const TensorList u{pattern(1, {4})};
  DenseProblem scaled(at::eye(4, at::kDouble) * 3, 1.0);
  const auto gmres = make("gmres", {{"damping", 0.0}, {"tolerance", 0.0}});
  const HypergradientSolution solution = gmres->solve(u, scaled);
  EXPECT_EQ(solution.iterations, 1);
  EXPECT_LT(distance(solution.v, u[0] / 4), 1e-14);
  // A = diag(0, 0, 0, 2): only the last element can be solved for.
  DenseProblem singular(at::tensor({-1.0, -1.0, -1.0, 1.0}, at::kDouble).diag(), 1.0);
  const HypergradientSolution rest = gmres->solve(u, singular);
  EXPECT_TRUE(all_finite(rest.v));
  EXPECT_NEAR(rest.v[0][3].item<double>(), u[0][3].item<double>() / 2, 1e-12);
  EXPECT_NE(rest.status, SolveStatus::converged);
  EXPECT_NEAR(rest.relative_residual, (u[0].narrow(0, 0, 3).norm() / u[0].norm()).item<double>(),
              1e-12);
}

class Adaptive : public ::testing::TestWithParam<std::string> {
 protected:
  static std::shared_ptr<Hypergradient> solver(int64_t ask_every = 1, double tolerance = 0.05) {
    return make(GetParam(), {{"iterations", int64_t{20}},
                             {"damping", 0.0},
                             {"tolerance", tolerance},
                             {"ask_every", ask_every}});
  }
  /// With it v = u has a residual far below the tolerance.
  at::Tensor flat_ = positive_matrix(5, 10) * 1e-3;
  /// With it v = u has one far above it.
  at::Tensor steep_ = positive_matrix(5, 10);
};

TEST_P(Adaptive, AProductTellsThatUIsEnough) {
  const TensorList u = three_tensors();
  ASSERT_LT(true_residual(flat_, 1.0, u, u), 0.05);
  DenseProblem problem(flat_, 1.0);
  const HypergradientSolution solution = solver()->solve(u, problem);
  EXPECT_EQ(problem.products, 1);
  EXPECT_EQ(solution.hessian_products, 1);
  EXPECT_EQ(solution.iterations, 1);
  EXPECT_EQ(solution.status, SolveStatus::converged);
  EXPECT_NEAR(solution.relative_residual, true_residual(flat_, 1.0, u, solution.v), 1e-12);
  EXPECT_LE(solution.relative_residual, true_residual(flat_, 1.0, u, u) + 1e-15);
  if (GetParam() == "cg") {
    EXPECT_TRUE(equal(solution.v, u));
  }
}

TEST_P(Adaptive, TakesMoreWhereUIsNotEnough) {
  const TensorList u = three_tensors();
  ASSERT_GT(true_residual(steep_, 1.0, u, u), 0.05);
  DenseProblem problem(steep_, 1.0);
  const HypergradientSolution solution = solver()->solve(u, problem);
  EXPECT_GT(problem.products, 1);
  EXPECT_LT(problem.products, 20);
  EXPECT_EQ(solution.status, SolveStatus::converged);
  EXPECT_LE(true_residual(steep_, 1.0, u, solution.v), 0.05 + 1e-12);
}

TEST_P(Adaptive, AsksOnceInAWhileAndRemembersWhen) {
  const TensorList u = three_tensors();
  DenseProblem problem(flat_, 1.0);
  const auto asking = solver(3);
  std::vector<int64_t> products;
  for (int i = 0; i < 7; ++i) {
    const HypergradientSolution solution = asking->solve(u, problem);
    products.push_back(solution.hessian_products);
    if (products.back() == 0) {
      EXPECT_TRUE(equal(solution.v, u));
      EXPECT_FALSE(solution.v[0].is_same(u[0]));
      EXPECT_EQ(solution.status, SolveStatus::direct);
      EXPECT_EQ(solution.damping, 0.0);
    }
  }
  EXPECT_EQ(products, (std::vector<int64_t>{1, 0, 0, 1, 0, 0, 1}));
  const auto resumed = solver(3);
  capability<HypergradientState>(*resumed)->load_state(
      capability<HypergradientState>(*asking)->state());
  products.clear();
  for (int i = 0; i < 3; ++i) {
    products.push_back(resumed->solve(u, problem).hessian_products);
  }
  EXPECT_EQ(products, (std::vector<int64_t>{0, 0, 1}));
}

TEST_P(Adaptive, AsksAtEachStepWhereUIsNotEnough) {
  const TensorList u = three_tensors();
  DenseProblem problem(steep_, 1.0);
  const auto asking = solver(3);
  for (int i = 0; i < 4; ++i) {
    EXPECT_GT(asking->solve(u, problem).hessian_products, 1) << i;
  }
  EXPECT_TRUE(capability<HypergradientState>(*asking)->state().empty());
}

TEST_P(Adaptive, RefusesAStateThatIsNotItsOwn) {
  const auto asking = solver(3);
  auto* state = capability<HypergradientState>(*asking);
  EXPECT_THROW(state->load_state({{"solves_unasked", at::tensor(int64_t{-1})}}), Error);
  EXPECT_THROW(state->load_state({{"w/0", at::tensor(1.0)}}), Error);
}

INSTANTIATE_TEST_SUITE_P(Each, Adaptive, ::testing::Values("cg", "minres"),
                         [](const auto& info) { return info.param; });

TEST(AdaptiveCg, TellsWhereAskingHasNoEffect) {
  const auto findings = [](const ParameterValues& values) {
    return test::shared_library("cg").findings("cg", values).size();
  };
  EXPECT_EQ(findings({{"ask_every", int64_t{4}}, {"tolerance", 0.1}}), 0U);
  EXPECT_EQ(findings({{"ask_every", int64_t{4}}}), 1U);
  EXPECT_EQ(findings({{"ask_every", int64_t{4}}, {"tolerance", 0.1}, {"warm_start", true}}), 1U);
}

}  // namespace
}  // namespace bissl::host
