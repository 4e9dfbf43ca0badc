// Reverse mode through training steps, against the product of their Jacobians.

#include "sdk/plugin_library.h"
#include "trained_problem.h"

#include "bissl/error.h"

#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include <memory>

namespace bissl::host {
namespace {

using test::DenseProblem;
using test::distance;
using test::equal;
using test::positive_matrix;
using test::three_tensors;
using test::TrainedProblem;

std::shared_ptr<Hypergradient> make(const ParameterValues& values) {
  const test::PluginLibrary& library = test::shared_library("unrolled");
  return library.make<Hypergradient>("unrolled", values);
}

constexpr double pull = TrainedProblem::pull;

TEST(Unrolled, IsTheDerivativeThroughGradientDescent) {
  TrainedProblem problem(4);
  const TensorList u = three_tensors();
  const HypergradientSolution solution =
      make({{"steps", int64_t{4}}, {"keep_norm", false}})->solve(u, problem);
  EXPECT_LT(distance(solution.v, problem.derivative(u, 4)), 1e-13);
  EXPECT_EQ(solution.hessian_products, 3);
  EXPECT_EQ(solution.iterations, 4);
}

TEST(Unrolled, GoesThroughMomentumPreconditionersAndClipping) {
  TrainedProblem problem(5);
  problem.make_uneven();
  const TensorList u = three_tensors();
  const HypergradientSolution solution =
      make({{"steps", int64_t{5}}, {"keep_norm", false}})->solve(u, problem);
  EXPECT_LT(distance(solution.v, problem.derivative(u, 5)), 1e-13);
}

TEST(Unrolled, CutsOffAtItsNumberOfSteps) {
  TrainedProblem problem(5);
  problem.recorded[3].momentum = 0.7;
  const TensorList u = three_tensors();
  const HypergradientSolution solution =
      make({{"steps", int64_t{2}}, {"keep_norm", false}})->solve(u, problem);
  EXPECT_LT(distance(solution.v, problem.derivative(u, 2)), 1e-13);
  EXPECT_EQ(solution.hessian_products, 1);
}

TEST(Unrolled, KeepsTheNormWhereThereIsNoCurvature) {
  TrainedProblem problem(3);
  for (auto& inner : problem.problems) {
    inner = std::make_unique<DenseProblem>(at::zeros({10, 10}, at::kDouble), pull);
  }
  for (size_t t = 0; t < 3; ++t) {
    problem.recorded[t].system = problem.problems[t].get();
  }
  const TensorList u = three_tensors();
  const HypergradientSolution solution = make({{"steps", int64_t{3}}})->solve(u, problem);
  EXPECT_LT(distance(solution.v, DenseProblem::flat(u)), 1e-14);
}

TEST(Unrolled, TakesFiniteDifferences) {
  TrainedProblem problem(4);
  const TensorList parameters = three_tensors();
  for (size_t t = 0; t < 4; ++t) {
    problem.problems[t] = std::make_unique<DenseProblem>(problem.hessians[t], pull, parameters);
    problem.recorded[t].system = problem.problems[t].get();
  }
  const TensorList u = three_tensors();
  const HypergradientSolution solution = make({{"steps", int64_t{4}},
                                               {"keep_norm", false},
                                               {"products", std::string("finite-difference")}})
                                             ->solve(u, problem);
  EXPECT_LT(distance(solution.v, problem.derivative(u, 4)), 1e-9);
  EXPECT_EQ(solution.hessian_products, 0);
  EXPECT_EQ(solution.gradients, 3);
}

TEST(Unrolled, AsksForWhatItUses) {
  const HypergradientNeeds exact = make({{"steps", int64_t{4}}})->needs();
  EXPECT_EQ(exact.lower_steps, 4);
  EXPECT_EQ(exact.steps.products, 3);
  EXPECT_TRUE(exact.second_derivatives());
  EXPECT_TRUE(exact.has_ability(RecordedSteps::id));
  const HypergradientNeeds differences =
      make({{"steps", int64_t{4}}, {"products", std::string("finite-difference")}})->needs();
  EXPECT_FALSE(differences.second_derivatives());
  // One step has nothing to go through: its weights do not depend on an earlier θ.
  EXPECT_FALSE(make({{"steps", int64_t{1}}})->needs().second_derivatives());
}

TEST(Unrolled, RefusesAProblemWithoutSteps) {
  DenseProblem problem(positive_matrix(9, 10), pull);
  EXPECT_THROW(make({})->solve(three_tensors(), problem), Error);
}

TEST(Unrolled, ReplacesWhatIsNotFinite) {
  TrainedProblem problem(2);
  problem.problems[1] = std::make_unique<DenseProblem>(
      at::full({10, 10}, std::numeric_limits<double>::infinity(), at::kDouble), pull);
  problem.recorded[1].system = problem.problems[1].get();
  const TensorList u = three_tensors();
  const HypergradientSolution solution = make({{"steps", int64_t{2}}})->solve(u, problem);
  EXPECT_EQ(solution.status, SolveStatus::diverged);
  EXPECT_TRUE(equal(solution.v, u));
}

}  // namespace
}  // namespace bissl::host
