// Every approximator but cg, and what cg shares with them, on quadratic problems.

#include "dense_problem.h"
#include "sdk/plugin_library.h"

#include "bissl/error.h"

#include <ATen/ops/linalg_qr.h>
#include <ATen/ops/stack.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

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
  return test::shared_library(name == "f2sa" ? "equilibrium" : name)
      .make<Hypergradient>(name, values);
}

const Value finite = std::string("finite-difference");
const Value central = std::string("central-difference");

/// Symmetric with eigenvalues of both signs: I + H is indefinite and well away from singular.
at::Tensor indefinite_matrix() {
  at::Tensor matrix = positive_matrix(5, 10);
  const at::Tensor signs =
      at::tensor({1.0, -3.0, 1.0, 1.0, -4.0, 1.0, 1.0, 1.0, -2.5, 1.0}, at::kDouble);
  return matrix * 0.1 + signs.diag();
}

TEST(Minres, SolvesAnIndefiniteSystem) {
  const at::Tensor hessian = indefinite_matrix();
  DenseProblem problem(hessian, 0.25);
  const TensorList u = three_tensors();
  const HypergradientSolution solution =
      make("minres", {{"iterations", int64_t{30}}, {"damping", 0.75}, {"tolerance", 1e-13}})
          ->solve(u, problem);
  EXPECT_EQ(solution.status, SolveStatus::converged);
  EXPECT_LT(distance(solution.v, dense_solution(hessian, 1.0, u)), 1e-10);
  EXPECT_EQ(solution.hessian_products, problem.products);
  EXPECT_EQ(solution.hessian_products, solution.iterations);
}

TEST(Minres, HasTheSmallestResidualOfTheKrylovSpaceAndTellsIt) {
  const at::Tensor hessian = indefinite_matrix();
  const TensorList u{pattern(6, {10})};
  const at::Tensor system = at::eye(10, at::kDouble) + hessian;
  double before = 1.0;
  TensorList powers{u[0]};
  for (int64_t k = 1; k <= 6; ++k) {
    DenseProblem problem(hessian, 1.0);
    const HypergradientSolution solution =
        make("minres", {{"iterations", k}, {"damping", 0.0}, {"tolerance", 0.0}})
            ->solve(u, problem);
    // Least squares over u, A·u, …, by an orthonormal basis of A times that space.
    const at::Tensor image = system.matmul(at::stack(powers, 1));
    const at::Tensor basis = std::get<0>(at::linalg_qr(image));
    const at::Tensor rest = u[0] - basis.matmul(basis.t().matmul(u[0]));
    const double best = (rest.norm() / u[0].norm()).item<double>();
    EXPECT_NEAR(solution.relative_residual, best, 1e-9) << k;
    EXPECT_NEAR(true_residual(hessian, 1.0, u, solution.v), best, 1e-9) << k;
    EXPECT_LE(solution.relative_residual, before);
    before = solution.relative_residual;
    at::Tensor next = system.matmul(powers.back());
    powers.push_back(next / next.norm());
  }
}

TEST(Minres, StopsWhereTheSpaceIsExhausted) {
  DenseProblem problem(at::eye(4, at::kDouble) * 3, 1.0);
  const TensorList u{pattern(1, {4})};
  const HypergradientSolution solution = make("minres", {{"damping", 0.0}})->solve(u, problem);
  EXPECT_LE(solution.iterations, 2);
  EXPECT_LT(distance(solution.v, u[0] / 4), 1e-14);
}

TEST(Minres, LeavesWhatASingularSystemDoesNotReach) {
  for (const std::vector<double>& eigenvalues :
       std::vector<std::vector<double>>{{0.0, 0.0, 0.0},
                                        {1.0, 0.0},
                                        {2.0, -1.0, 0.0},
                                        {1.0, 3.0, 0.0},
                                        {0.3, -4.1, 2.7, 1.9, 0.0},
                                        {-1.0, -4.0, 2.0, 0.0}}) {
    SCOPED_TRACE(::testing::PrintToString(eigenvalues));
    const at::Tensor system = at::tensor(eigenvalues, at::kDouble);
    const auto size = static_cast<int64_t>(eigenvalues.size());
    const at::Tensor hessian = (system - 1.0).diag();
    const TensorList u{pattern(6, {size})};
    DenseProblem problem(hessian, 1.0);
    const HypergradientSolution solution =
        make("minres", {{"damping", 0.0}, {"tolerance", 1e-6}})->solve(u, problem);
    // The Krylov space holds all but u's part along the eigenvectors of 0.
    const double best =
        (u[0].mul(system.eq(0).to(at::kDouble)).norm() / u[0].norm()).item<double>();
    EXPECT_NEAR(solution.relative_residual, best, 1e-12);
    EXPECT_NEAR(true_residual(hessian, 1.0, u, solution.v), best, 1e-12);
    EXPECT_EQ(solution.status, SolveStatus::iteration_limit);
    EXPECT_LE(solution.iterations, size);
  }
}

TEST(Neumann, IsThePartialSumOfItsSeries) {
  const at::Tensor hessian = positive_matrix(5, 10) * 0.05;
  const TensorList u = three_tensors();
  for (const double step : {1.0, 0.7}) {
    DenseProblem problem(hessian, 0.5);
    const HypergradientSolution solution =
        make("neumann", {{"terms", int64_t{4}}, {"damping", 1.5}, {"step", step}})
            ->solve(u, problem);
    const at::Tensor map =
        at::eye(10, at::kDouble) - step * (at::eye(10, at::kDouble) + hessian / 2.0);
    at::Tensor term = DenseProblem::flat(u);
    at::Tensor sum = term.clone();
    for (int k = 0; k < 4; ++k) {
      term = map.matmul(term);
      sum = sum + term;
    }
    EXPECT_LT(distance(solution.v, sum * step), 1e-13);
    EXPECT_EQ(solution.hessian_products, 4);
    EXPECT_EQ(solution.status, SolveStatus::iteration_limit);
  }
}

TEST(Neumann, ConvergesToTheSolutionOrSaysThatItDoesNot) {
  const TensorList u = three_tensors();
  const at::Tensor small = positive_matrix(5, 10) * 0.02;
  DenseProblem problem(small, 1.0);
  const auto solver = make("neumann", {{"terms", int64_t{200}}, {"damping", 0.0}});
  EXPECT_LT(distance(solver->solve(u, problem).v, dense_solution(small, 1.0, u)), 1e-9);

  DenseProblem large(at::eye(10, at::kDouble) * 1.5, 1.0);
  const HypergradientSolution diverged = solver->solve(u, large);
  EXPECT_EQ(diverged.status, SolveStatus::diverged);
  EXPECT_TRUE(equal(diverged.v, u));
  EXPECT_LT(diverged.hessian_products, 3) << "it need not go on to see that";
}

TEST(Darts, IsOneStepOfGradientDescent) {
  const at::Tensor hessian = indefinite_matrix();
  const TensorList u = three_tensors();
  const at::Tensor right = DenseProblem::flat(u);
  DenseProblem problem(hessian, 0.5, three_tensors());
  const HypergradientSolution given = make("darts", {{"step", 0.3}})->solve(u, problem);
  EXPECT_LT(distance(given.v, right - 0.3 * hessian.matmul(right)), 1e-9);
  EXPECT_EQ(given.gradients, 2);
  EXPECT_EQ(problem.gradients, 2);
  EXPECT_EQ(problem.products, 0);
  const HypergradientSolution usual = make("darts", {{"damping", 3.5}})->solve(u, problem);
  EXPECT_LT(distance(usual.v, right - hessian.matmul(right) / 4.0), 1e-9);
  EXPECT_FALSE(make("darts")->needs().second_derivatives());
}

TEST(Nystrom, IsExactWhenItSamplesAllColumns) {
  for (const at::Tensor& hessian : {positive_matrix(5, 10), indefinite_matrix()}) {
    DenseProblem problem(hessian, 0.5);
    const HypergradientSolution solution =
        make("nystrom", {{"rank", int64_t{10}}, {"damping", 0.5}, {"cutoff", 1e-12}})
            ->solve(three_tensors(), problem);
    EXPECT_LT(distance(solution.v, dense_solution(hessian, 1.0, three_tensors())), 1e-8);
    EXPECT_EQ(solution.hessian_products, 10);
  }
}

TEST(Nystrom, IsExactForAMatrixOfItsRank) {
  const at::Tensor root = pattern(3, {10, 3});
  const at::Tensor hessian = root.matmul(root.t());
  DenseProblem problem(hessian, 0.5);
  const auto solver = make("nystrom", {{"rank", int64_t{4}}, {"damping", 0.5}});
  const HypergradientSolution first = solver->solve(three_tensors(), problem);
  EXPECT_LT(distance(first.v, dense_solution(hessian, 1.0, three_tensors())), 1e-6);
  EXPECT_EQ(first.hessian_products, 4);
  const HypergradientSolution second = solver->solve(three_tensors(), problem);
  EXPECT_EQ(second.hessian_products, 0) << "the columns serve all solves of a round";
  EXPECT_TRUE(equal(first.v, second.v));
  DenseProblem next(hessian * 2, 0.5, {}, 2);
  EXPECT_EQ(solver->solve(three_tensors(), next).hessian_products, 4);
}

TEST(Nystrom, LeavesAZeroHessianAlone) {
  DenseProblem problem(at::zeros({10, 10}, at::kDouble), 0.5);
  const HypergradientSolution solution = make("nystrom")->solve(three_tensors(), problem);
  EXPECT_TRUE(equal(solution.v, three_tensors()));
}

TEST(Exact, IsTheDenseSolution) {
  const at::Tensor hessian = indefinite_matrix();
  DenseProblem problem(hessian, 0.25);
  const auto solver = make("exact", {{"damping", 0.75}});
  const HypergradientSolution solution = solver->solve(three_tensors(), problem);
  EXPECT_LT(distance(solution.v, dense_solution(hessian, 1.0, three_tensors())), 1e-12);
  EXPECT_EQ(solution.status, SolveStatus::direct);
  EXPECT_LT(solution.relative_residual, 1e-13);
  EXPECT_EQ(solution.hessian_products, 10);
  EXPECT_EQ(solver->solve(three_tensors(), problem).hessian_products, 0);
}

TEST(Exact, RefusesALargeBackboneAndReportsASingularSystem) {
  DenseProblem problem(at::eye(10, at::kDouble) * -1, 1.0);
  const HypergradientSolution solution =
      make("exact", {{"damping", 0.0}})->solve(three_tensors(), problem);
  EXPECT_EQ(solution.status, SolveStatus::diverged);
  EXPECT_TRUE(equal(solution.v, three_tensors()));
  try {
    make("exact", {{"max_parameters", int64_t{9}}})->solve(three_tensors(), problem);
    FAIL() << "ten parameters are more than nine";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_NE(std::string(error.what()).find("10 parameters"), std::string::npos);
  }
}

/// A lower level whose optimizer scales gradients.
class ScaledProblem : public DenseProblem {
 public:
  using DenseProblem::DenseProblem;
  TensorList preconditioner() override {
    TensorList factors = three_tensors();
    for (at::Tensor& tensor : factors) {
      tensor.abs_().add_(0.5);
    }
    return factors;
  }
};

TEST(Sama, ScalesTheGradientAsTheOptimizerDoes) {
  ScaledProblem problem(positive_matrix(5, 10), 1.0);
  const TensorList u = three_tensors();
  const at::Tensor right = DenseProblem::flat(u);
  const at::Tensor product = right * (right.abs() + 0.5);
  EXPECT_LT(distance(make("sama", {{"keep_norm", false}})->solve(u, problem).v, product), 1e-15);
  EXPECT_LT(distance(make("sama")->solve(u, problem).v, product * (right.norm() / product.norm())),
            1e-14);
  EXPECT_TRUE(make("sama")->needs().has_ability(SystemPreconditioner::id));
  DenseProblem plain(positive_matrix(5, 10), 1.0, three_tensors());
  EXPECT_LT(distance(make("sama")->solve(u, plain).v, right), 1e-15);
}

TEST(FiniteDifferences, AreExactOnAQuadraticAndCostGradients) {
  const at::Tensor hessian = positive_matrix(5, 10) * 0.01;
  const TensorList u = three_tensors();
  const at::Tensor expected = dense_solution(hessian, 1.0, u);
  for (const std::string name : {"cg", "gmres", "minres", "neumann", "nystrom"}) {
    for (const auto& [kind, each] :
         std::map<std::string, int64_t>{{"finite-difference", 1}, {"central-difference", 2}}) {
      SCOPED_TRACE(name + " " + kind);
      ParameterValues values = {{"products", kind}, {"damping", 0.5}};
      values[name == "nystrom" ? "rank" : name == "neumann" ? "terms" : "iterations"] = int64_t{40};
      if (name == "nystrom") {
        values["cutoff"] = 1e-6;
      } else if (name != "neumann") {
        values["tolerance"] = 0.0;
      }
      DenseProblem problem(hessian, 0.5, three_tensors());
      const auto solver = make(name, values);
      const HypergradientSolution solution = solver->solve(u, problem);
      EXPECT_LT(distance(solution.v, expected), 1e-6);
      EXPECT_EQ(problem.products, 0);
      EXPECT_EQ(solution.hessian_products, 0);
      EXPECT_EQ(solution.gradients, problem.gradients);
      EXPECT_GE(solution.gradients, each);
      EXPECT_FALSE(solver->needs().second_derivatives());
      EXPECT_EQ(solver->needs().solve.gradients + solver->needs().shared.gradients, 40 * each);
    }
  }
}

TEST(CgWarmStart, BeginsAtTheLastSolutionAndKeepsItInACheckpoint) {
  const at::Tensor hessian = positive_matrix(5, 10);
  const ParameterValues values = {
      {"iterations", int64_t{60}}, {"damping", 0.0}, {"tolerance", 1e-4}, {"warm_start", true}};
  DenseProblem problem(hessian, 1.0);
  TensorList u = three_tensors();
  const auto solver = make("cg", values);
  const int64_t cold = solver->solve(u, problem).iterations;
  const auto resumed = make("cg", values);
  capability<HypergradientState>(*resumed)->load_state(
      capability<HypergradientState>(*solver)->state());
  u[0].mul_(1.00001);
  const HypergradientSolution warm = solver->solve(u, problem);
  EXPECT_LT(warm.iterations, cold);
  EXPECT_EQ(warm.hessian_products, warm.iterations + 1);
  EXPECT_LT(true_residual(hessian, 1.0, u, warm.v), 1e-4);
  EXPECT_TRUE(equal(resumed->solve(u, problem).v, warm.v));
  EXPECT_THROW(capability<HypergradientState>(*make("cg", values))->load_state({{"w/0", u[0]}}),
               Error);
}

TEST(CgWarmStart, GivesWayWhereItIsWorseThanZeroAndNoStepIsPossible) {
  // A = diag(1, -2): the first u has the solution (1, 0), which says nothing about the second.
  DenseProblem problem(at::tensor({0.0, -3.0}, at::kDouble).diag(), 1.0);
  const auto solver = make("cg", {{"damping", 0.0}, {"warm_start", true}});
  const TensorList first{at::tensor({1.0, 0.0}, at::kDouble)};
  EXPECT_TRUE(equal(solver->solve(first, problem).v, first));
  const TensorList second{at::tensor({0.0, 1.0}, at::kDouble)};
  for (int k = 0; k < 2; ++k) {
    const HypergradientSolution solution = solver->solve(second, problem);
    EXPECT_EQ(solution.status, SolveStatus::negative_curvature);
    EXPECT_EQ(solution.iterations, 0);
    EXPECT_TRUE(equal(solution.v, second));
    EXPECT_LT(solution.relative_residual, 0) << "unknown";
  }
}

TEST(WarmStarts, DoNotBeginAtWhatAGradientThatIsNotANumberLeft) {
  TensorList bad = three_tensors();
  bad[1].fill_(std::numeric_limits<double>::quiet_NaN());
  const at::Tensor hessian = positive_matrix(5, 10) * 0.1;
  for (const std::string name : {"cg", "f2sa", "meha"}) {
    SCOPED_TRACE(name);
    const ParameterValues values =
        name == "cg" ? ParameterValues{{"warm_start", true}} : ParameterValues{};
    DenseProblem problem(hessian, 1.0, three_tensors());
    const HypergradientSolution expected = make(name, values)->solve(three_tensors(), problem);
    const auto solver = make(name, values);
    EXPECT_EQ(solver->solve(bad, problem).status, SolveStatus::diverged);
    const HypergradientSolution solution = solver->solve(three_tensors(), problem);
    EXPECT_EQ(solution.status, expected.status);
    EXPECT_TRUE(equal(solution.v, expected.v));
  }
}

TEST(CgPreconditioner, HelpsWhereTheDiagonalIsUneven) {
  const at::Tensor scales =
      at::tensor({1.0, 1e3, 10.0, 3e3, 1.0, 100.0, 5.0, 1e4, 2.0, 50.0}, at::kDouble);
  const at::Tensor hessian = scales.diag() + positive_matrix(5, 10) * 0.01;
  const TensorList u = three_tensors();
  DenseProblem problem(hessian, 1.0);
  ParameterValues values = {
      {"iterations", int64_t{200}}, {"damping", 0.0}, {"tolerance", 1e-8}, {"probes", int64_t{20}}};
  const HypergradientSolution plain = make("cg", values)->solve(u, problem);
  values["preconditioner"] = std::string("diagonal");
  const auto solver = make("cg", values);
  const HypergradientSolution helped = solver->solve(u, problem);
  EXPECT_EQ(helped.status, SolveStatus::converged);
  EXPECT_LT(2 * helped.iterations, plain.iterations + 2);
  EXPECT_LT(distance(helped.v, dense_solution(hessian, 1.0, u)), 1e-6);
  EXPECT_EQ(helped.hessian_products, helped.iterations + 20);
  const HypergradientSolution again = solver->solve(u, problem);
  EXPECT_EQ(again.hessian_products, again.iterations) << "the diagonal serves the whole round";
}

TEST(Cg, WarnsOfParametersWithoutEffect) {
  const auto findings = [](const ParameterValues& values) {
    return test::shared_library("cg").findings("cg", values).size();
  };
  EXPECT_EQ(findings({}), 0U);
  EXPECT_EQ(findings({{"form", std::string("layerwise")}, {"warm_start", true}}), 1U);
  EXPECT_EQ(findings({{"probes", int64_t{3}}}), 1U);
  EXPECT_EQ(findings({{"difference_step", 1e-3}}), 1U);
  EXPECT_EQ(findings({{"difference_step", 1e-3}, {"products", finite}}), 0U);
}

class AllSolvers : public ::testing::TestWithParam<std::string> {};

TEST_P(AllSolvers, ZeroHasTheSolutionZero) {
  DenseProblem problem(positive_matrix(5, 10), 1.0, three_tensors());
  const TensorList u = zeros_like(three_tensors());
  const HypergradientSolution solution = make(GetParam())->solve(u, problem);
  EXPECT_TRUE(equal(solution.v, u));
}

TEST_P(AllSolvers, AHessianThatIsNotANumberGivesAFiniteVector) {
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(), 1e300}) {
    at::Tensor hessian = positive_matrix(5, 10);
    hessian.select(0, 2).select(0, 2).fill_(bad);
    DenseProblem problem(hessian, 1.0, three_tensors());
    const TensorList u = three_tensors();
    const HypergradientSolution solution = make(GetParam())->solve(u, problem);
    EXPECT_TRUE(all_finite(solution.v)) << bad;
    EXPECT_TRUE(equal(u, three_tensors()));
  }
}

TEST_P(AllSolvers, WorksInSinglePrecision) {
  TensorList u = three_tensors();
  TensorList parameters = three_tensors();
  for (size_t i = 0; i < u.size(); ++i) {
    u[i] = u[i].to(at::kFloat);
    parameters[i] = parameters[i].to(at::kFloat);
  }
  const at::Tensor hessian = positive_matrix(5, 10) * 0.1;
  DenseProblem problem(hessian.to(at::kFloat), 1.0, parameters);
  const HypergradientSolution solution = make(GetParam(), {})->solve(u, problem);
  EXPECT_EQ(solution.v[0].scalar_type(), at::kFloat);
  EXPECT_NE(solution.status, SolveStatus::diverged);
  EXPECT_FALSE(solution.v[0].is_same(u[0]));
}

INSTANTIATE_TEST_SUITE_P(Each, AllSolvers,
                         ::testing::Values("cg", "gmres", "minres", "neumann", "nystrom", "exact",
                                           "darts", "equilibrium", "f2sa", "meha", "sama",
                                           "identity"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace bissl::host
