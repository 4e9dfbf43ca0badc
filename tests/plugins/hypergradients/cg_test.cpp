#include "dense_problem.h"
#include "sdk/plugin_library.h"

#include <limits>
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

const test::PluginLibrary& library() { return test::shared_library("cg"); }

std::shared_ptr<Hypergradient> cg(const std::string& form, int64_t iterations, double damping,
                                  double tolerance = 0.0) {
  return library().make<Hypergradient>(
      "cg",
      {{"form", form}, {"iterations", iterations}, {"damping", damping}, {"tolerance", tolerance}});
}

class BothForms : public testing::TestWithParam<std::string> {};

TEST_P(BothForms, SolveASystemOfOneTensor) {
  const at::Tensor hessian = positive_matrix(5, 8);
  const TensorList u{pattern(6, {2, 4})};
  for (const auto& [lambda, damping] :
       std::vector<std::pair<double, double>>{{0.5, 0.0}, {0.001, 10.0}, {0.3, 1.2}}) {
    DenseProblem problem(hessian, lambda);
    const TensorList before = copy(u);
    const HypergradientSolution solution = cg(GetParam(), 40, damping, 1e-13)->solve(u, problem);
    EXPECT_LT(distance(solution.v, dense_solution(hessian, lambda + damping, u)), 1e-10);
    EXPECT_EQ(solution.status, SolveStatus::converged);
    EXPECT_EQ(solution.hessian_products, problem.products);
    EXPECT_EQ(solution.hessian_products, solution.iterations);
    EXPECT_TRUE(equal(u, before));
    EXPECT_EQ(solution.v[0].sizes(), u[0].sizes());
  }
}

TEST_P(BothForms, StopAtTheToleranceAndTellTheTrueResidual) {
  const at::Tensor hessian = positive_matrix(5, 10);
  const TensorList u{pattern(6, {10})};
  DenseProblem problem(hessian, 1.0);
  int64_t last = 0;
  for (const double tolerance : {0.3, 1e-2, 1e-5}) {
    const HypergradientSolution solution = cg(GetParam(), 50, 0.0, tolerance)->solve(u, problem);
    EXPECT_EQ(solution.status, SolveStatus::converged);
    EXPECT_LE(solution.relative_residual, tolerance);
    EXPECT_NEAR(solution.relative_residual, true_residual(hessian, 1.0, u, solution.v), 1e-10);
    EXPECT_GT(solution.iterations, last);
    EXPECT_LT(solution.iterations, 50);
    last = solution.iterations;
  }
}

TEST_P(BothForms, UseNoMoreThanTheirIterations) {
  const at::Tensor hessian = positive_matrix(5, 10);
  const TensorList u{pattern(6, {10})};
  DenseProblem problem(hessian, 1.0);
  const auto solver = cg(GetParam(), 3, 0.0);
  const HypergradientSolution solution = solver->solve(u, problem);
  EXPECT_EQ(solution.status, SolveStatus::iteration_limit);
  EXPECT_EQ(solution.iterations, 3);
  EXPECT_EQ(problem.products, 3);
  EXPECT_NEAR(solution.relative_residual, true_residual(hessian, 1.0, u, solution.v), 1e-12);
  EXPECT_EQ(solver->needs().solve.products, 3);
}

TEST_P(BothForms, ZeroHasTheSolutionZero) {
  DenseProblem problem(positive_matrix(5, 4), 1.0);
  const TensorList u{at::zeros({4}, at::kDouble)};
  const HypergradientSolution solution = cg(GetParam(), 5, 0.0)->solve(u, problem);
  EXPECT_TRUE(equal(solution.v, u));
  EXPECT_EQ(solution.status, SolveStatus::converged);
  EXPECT_EQ(solution.relative_residual, 0);
  EXPECT_EQ(problem.products, 0);
  EXPECT_FALSE(solution.v[0].is_same(u[0]));
}

TEST_P(BothForms, ATensorOfZerosAmongOthersIsNoHarm) {
  const at::Tensor hessian = at::block_diag({positive_matrix(5, 4), positive_matrix(6, 3)});
  DenseProblem problem(hessian, 1.0);
  const TensorList u{pattern(1, {4}), at::zeros({3}, at::kDouble)};
  const HypergradientSolution solution = cg(GetParam(), 20, 0.0, 1e-12)->solve(u, problem);
  EXPECT_LT(distance(solution.v, dense_solution(hessian, 1.0, u)), 1e-10);
}

TEST_P(BothForms, AHessianThatIsNotANumberGivesTheGradientItself) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinite = std::numeric_limits<double>::infinity();
  for (const double bad : {nan, infinite, -infinite}) {
    at::Tensor hessian = positive_matrix(5, 4);
    hessian[2][2] = bad;
    DenseProblem problem(hessian, 1.0);
    const TensorList u{pattern(1, {4})};
    const HypergradientSolution solution = cg(GetParam(), 5, 0.0)->solve(u, problem);
    EXPECT_TRUE(equal(solution.v, u)) << bad;
    EXPECT_FALSE(solution.v[0].is_same(u[0]));
    EXPECT_TRUE(bad == -infinite || solution.status == SolveStatus::diverged) << bad;
    EXPECT_EQ(solution.relative_residual, -1) << "unknown";
  }
}

/// Fails from the second product on.
class FailingProblem : public DenseProblem {
 public:
  using DenseProblem::DenseProblem;
  TensorList hessian_product(const TensorList& x) override {
    TensorList product = DenseProblem::hessian_product(x);
    if (products > 1) {
      scale(product, std::numeric_limits<double>::quiet_NaN());
    }
    return product;
  }
};

TEST_P(BothForms, AnIterateIsThrownAwayWhenTheSolveDivergesLater) {
  FailingProblem problem(positive_matrix(5, 4), 1.0);
  const TensorList u{pattern(1, {4})};
  const HypergradientSolution solution = cg(GetParam(), 5, 0.0)->solve(u, problem);
  EXPECT_EQ(solution.status, SolveStatus::diverged);
  EXPECT_TRUE(equal(solution.v, u));
  EXPECT_EQ(solution.relative_residual, -1) << "that of the iterate says nothing about u";
  EXPECT_EQ(solution.hessian_products, 2);
}

TEST_P(BothForms, AreIndifferentToTheScaleOfTheGradient) {
  const at::Tensor hessian = positive_matrix(7, 10);
  DenseProblem problem(hessian, 1.0);
  const at::Tensor expected =
      DenseProblem::flat(cg(GetParam(), 3, 1.0)->solve(three_tensors(), problem).v);
  for (const double factor : {1e-12, 1e-6, 1e6}) {
    TensorList u = three_tensors();
    scale(u, factor);
    const HypergradientSolution solution = cg(GetParam(), 3, 1.0)->solve(u, problem);
    EXPECT_LT(distance(solution.v, expected * factor), 1e-12) << factor;
  }
}

TEST_P(BothForms, WorkInSinglePrecision) {
  const at::Tensor hessian = positive_matrix(5, 6);
  DenseProblem problem(hessian.to(at::kFloat), 1.0);
  const TensorList u{pattern(1, {6}).to(at::kFloat)};
  const HypergradientSolution solution = cg(GetParam(), 30, 9.0, 1e-5)->solve(u, problem);
  EXPECT_EQ(solution.v[0].scalar_type(), at::kFloat);
  EXPECT_LT(
      distance({solution.v[0].to(at::kDouble)}, dense_solution(hessian, 10.0, {pattern(1, {6})})),
      1e-4);
}

INSTANTIATE_TEST_SUITE_P(Cg, BothForms, testing::Values("global", "layerwise"),
                         [](const auto& info) { return info.param; });

TEST(CgGlobal, SolvesACoupledSystemOfSeveralTensors) {
  const at::Tensor hessian = positive_matrix(7, 10);
  const TensorList u = three_tensors();
  DenseProblem problem(hessian, 0.25);
  const HypergradientSolution solution = cg("global", 60, 0.75, 1e-13)->solve(u, problem);
  EXPECT_LT(distance(solution.v, dense_solution(hessian, 1.0, u)), 1e-10);
  for (size_t i = 0; i < u.size(); ++i) {
    EXPECT_EQ(solution.v[i].sizes(), u[i].sizes());
  }
}

TEST(CgGlobal, NeedsAsManyStepsAsThereAreEigenvalues) {
  // Two distinct eigenvalues: two steps, in exact arithmetic and nearly so here.
  const at::Tensor hessian = at::tensor({1.0, 1.0, 5.0, 5.0, 1.0, 5.0}, at::kDouble).diag();
  const TensorList u{pattern(1, {6})};
  DenseProblem problem(hessian, 1.0);
  const HypergradientSolution solution = cg("global", 10, 0.0, 1e-12)->solve(u, problem);
  EXPECT_EQ(solution.iterations, 2);
  EXPECT_LT(distance(solution.v, dense_solution(hessian, 1.0, u)), 1e-12);
}

TEST(CgGlobal, StopsAtNegativeCurvatureWithWhatItHas) {
  // I + H = diag(2, 1, -5): the first direction has positive curvature, a later one has not.
  const at::Tensor hessian = at::tensor({1.0, 0.0, -6.0}, at::kDouble).diag();
  const TensorList u{at::tensor({1.0, 1.0, 0.1}, at::kDouble)};
  DenseProblem problem(hessian, 1.0);
  const HypergradientSolution solution = cg("global", 10, 0.0)->solve(u, problem);
  EXPECT_EQ(solution.status, SolveStatus::negative_curvature);
  EXPECT_GE(solution.iterations, 1);
  EXPECT_EQ(solution.hessian_products, solution.iterations + 1);
  EXPECT_TRUE(all_finite(solution.v));
  EXPECT_FALSE(equal(solution.v, u));
  EXPECT_NEAR(solution.relative_residual, true_residual(hessian, 1.0, u, solution.v), 1e-12);
  // One step along u has the length uᵀu / uᵀAu = 2.01 / (2 + 1 - 0.05).
  if (solution.iterations == 1) {
    EXPECT_LT(distance(solution.v, u[0] * (2.01 / 2.95)), 1e-15);
  }
}

TEST(CgGlobal, KeepsTheGradientWhenTheFirstDirectionIsNegative) {
  const TensorList u{pattern(1, {4})};
  DenseProblem problem(at::eye(4, at::kDouble) * -3, 1.0);
  const HypergradientSolution solution = cg("global", 10, 0.0)->solve(u, problem);
  EXPECT_EQ(solution.status, SolveStatus::negative_curvature);
  EXPECT_TRUE(equal(solution.v, u));
  EXPECT_EQ(solution.iterations, 0);
  EXPECT_EQ(solution.hessian_products, 1);
  EXPECT_LT(solution.relative_residual, 0) << "unknown";
}

TEST(CgLayerwise, SolvesEachBlockByItself) {
  // Blocks of different size: no more steps than the largest has rows.
  const at::Tensor hessian =
      at::block_diag({positive_matrix(7, 6), positive_matrix(8, 3), positive_matrix(9, 1)});
  const TensorList u = three_tensors();
  DenseProblem problem(hessian, 1.0);
  const HypergradientSolution solution = cg("layerwise", 20, 4.0, 1e-12)->solve(u, problem);
  EXPECT_EQ(solution.status, SolveStatus::converged);
  EXPECT_LT(distance(solution.v, dense_solution(hessian, 5.0, u)), 1e-10);
  EXPECT_LE(solution.iterations, 8);
}

TEST(CgLayerwise, BlocksThatAreMultiplesOfTheIdentityTakeOneStep) {
  const at::Tensor hessian = at::block_diag(
      {at::eye(6, at::kDouble) * 7, at::eye(3, at::kDouble) * 0.5, at::eye(1, at::kDouble) * 100});
  const TensorList u = three_tensors();
  DenseProblem problem(hessian, 1.0);
  const HypergradientSolution layerwise = cg("layerwise", 10, 0.0, 1e-9)->solve(u, problem);
  EXPECT_EQ(layerwise.iterations, 1);
  EXPECT_LT(distance(layerwise.v, dense_solution(hessian, 1.0, u)), 1e-10);
  // Three eigenvalues: conjugate gradient on the whole takes three.
  EXPECT_EQ(cg("global", 10, 0.0, 1e-9)->solve(u, problem).iterations, 3);
}

TEST(CgLayerwise, AGuardIsAddedToTheDenominators) {
  DenseProblem problem(at::eye(6, at::kDouble) * 7, 1.0);  // A = 8·I
  const TensorList u{pattern(6, {6})};
  constexpr double guard = 3;
  const auto solver = library().make<Hypergradient>("cg", {{"form", std::string("layerwise")},
                                                           {"iterations", int64_t{1}},
                                                           {"damping", 0.0},
                                                           {"guard", guard}});
  const double squared = dot(u, u);
  TensorList expected = copy(u);
  scale(expected, squared / (8 * squared + guard));
  EXPECT_LT(distance(solver->solve(u, problem).v, DenseProblem::flat(expected)), 1e-12);
}

TEST(CgForms, AgreeOnOneTensorAndDifferOnCoupledOnes) {
  const at::Tensor hessian = positive_matrix(7, 10);
  DenseProblem problem(hessian, 1.0);
  for (const int64_t iterations : {1, 2, 4}) {
    const TensorList one{DenseProblem::flat(three_tensors())};
    const TensorList global = cg("global", iterations, 1.0)->solve(one, problem).v;
    EXPECT_LT(distance(cg("layerwise", iterations, 1.0)->solve(one, problem).v,
                       DenseProblem::flat(global)),
              1e-10);
    const TensorList several = cg("layerwise", iterations, 1.0)->solve(three_tensors(), problem).v;
    EXPECT_GT(distance(several, DenseProblem::flat(global)), 1e-2);
  }
}

TEST(CgForms, DependOnlyOnTheSumOfLambdaAndDamping) {
  const at::Tensor hessian = positive_matrix(7, 10);
  for (const std::string form : {"global", "layerwise"}) {
    DenseProblem first(hessian, 0.5);
    DenseProblem second(hessian, 2.0);
    EXPECT_TRUE(equal(cg(form, 4, 1.75)->solve(three_tensors(), first).v,
                      cg(form, 4, 0.25)->solve(three_tensors(), second).v));
    EXPECT_FALSE(equal(cg(form, 4, 0.25)->solve(three_tensors(), first).v,
                       cg(form, 4, 0.25)->solve(three_tensors(), second).v));
  }
}

TEST(Cg, DeclaresTheMethodsDefaults) {
  EXPECT_EQ(library().values("cg"), (ParameterValues{{"iterations", int64_t{5}},
                                                     {"damping", 10.0},
                                                     {"tolerance", 0.0},
                                                     {"ask_every", int64_t{1}},
                                                     {"form", std::string("global")},
                                                     {"guard", 0.0},
                                                     {"warm_start", false},
                                                     {"preconditioner", std::string("none")},
                                                     {"probes", int64_t{5}},
                                                     {"products", std::string("exact")},
                                                     {"difference_step", 1e-2}}));
  EXPECT_THROW(library().values("cg", {{"form", "blockwise"}}), std::invalid_argument);
  EXPECT_THROW(library().values("cg", {{"iterations", int64_t{0}}}), std::invalid_argument);
  EXPECT_THROW(library().values("cg", {{"damping", -1.0}}), std::invalid_argument);
  EXPECT_TRUE(capability<HypergradientState>(*cg("global", 5, 1.0))->state().empty());
}

TEST(IdentityHypergradient, CopiesTheGradient) {
  const test::PluginLibrary identity("identity");
  const auto solver = identity.make<Hypergradient>("identity");
  DenseProblem problem(positive_matrix(7, 10), 1.0);
  const TensorList u = three_tensors();
  const HypergradientSolution solution = solver->solve(u, problem);
  EXPECT_TRUE(equal(solution.v, u));
  EXPECT_EQ(solution.status, SolveStatus::direct);
  EXPECT_EQ(problem.products, 0);
  EXPECT_EQ(solver->needs().solve.products, 0);
  solution.v[0].zero_();
  EXPECT_TRUE(equal(u, three_tensors())) << "v shares no memory with u";
}

}  // namespace
}  // namespace bissl::host
