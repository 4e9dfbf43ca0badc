// Approximators of gradients and samples (soba, equilibrium, f2sa, meha, pzobo), against what they
// compute on quadratic lower levels in closed form.

#include "sdk/plugin_library.h"
#include "trained_problem.h"

#include "bissl/error.h"

#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/linalg_inv.h>
#include <ATen/ops/stack.h>
#include <gtest/gtest.h>

#include <limits>
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
using test::TrainedProblem;

std::shared_ptr<Hypergradient> make(const std::string& name, const ParameterValues& values = {}) {
  return test::shared_library(name == "f2sa" ? "equilibrium" : name)
      .make<Hypergradient>(name, values);
}

const at::Tensor& one() {
  static const at::Tensor identity = at::eye(10, at::kDouble);
  return identity;
}

/// Richardson's iterate after `steps` steps of length s from `v`: v* + (I − s·A)ᵏ·(v − v*).
at::Tensor richardson(const at::Tensor& hessian, double weight, const TensorList& u, at::Tensor v,
                      double s, int64_t steps) {
  const at::Tensor solution = dense_solution(hessian, weight, u);
  for (int64_t k = 0; k < steps; ++k) {
    v = solution + (one() - s * (one() + hessian / weight)).matmul(v - solution);
  }
  return v;
}

/// A lower level whose batches have Hessians of their own, one after the other.
class SampledProblem : public DenseProblem, public FreshBatches {
 public:
  explicit SampledProblem(std::vector<at::Tensor> hessians)
      : DenseProblem(hessians[0], 0.5), hessians_(std::move(hessians)) {}
  void* capability(std::string_view id) override { return provide<FreshBatches>(*this, id); }
  ImplicitSystem& fresh_system(int64_t index) override {
    indices.push_back(index);
    const at::Tensor& next = hessians_[(indices.size() - 1) % hessians_.size()];
    sample_ = std::make_unique<DenseProblem>(next, 99.0, three_tensors());
    return *sample_;
  }
  std::vector<int64_t> indices;

 private:
  std::vector<at::Tensor> hessians_;
  std::unique_ptr<DenseProblem> sample_;
};

TEST(Soba, TakesAStepWithEachBatch) {
  const std::vector<at::Tensor> hessians = {
      positive_matrix(5, 10) * 0.1, positive_matrix(6, 10) * 0.1, positive_matrix(7, 10) * 0.1};
  SampledProblem problem(hessians);
  const TensorList u = three_tensors();
  const auto soba = make("soba", {{"steps", int64_t{3}}, {"step", 0.3}, {"damping", 1.5}});
  const HypergradientSolution solution = soba->solve(u, problem);
  at::Tensor expected = DenseProblem::flat(u);
  for (const at::Tensor& hessian : hessians) {
    const at::Tensor rest = DenseProblem::flat(u) - expected - hessian.matmul(expected) / 2.0;
    expected = expected + 0.3 * rest;
  }
  EXPECT_LT(distance(solution.v, expected), 1e-13);
  EXPECT_EQ(problem.indices, (std::vector<int64_t>{0, 1, 2}));
  EXPECT_EQ(solution.hessian_products, 3);
  EXPECT_EQ(solution.damping, 1.5);
  EXPECT_EQ(soba->needs().fresh_batches, 3);
  EXPECT_EQ(soba->needs().fresh.products, 3);
  EXPECT_TRUE(soba->needs().has_ability(FreshBatches::id));
}

TEST(Soba, GoesOnFromTheLastSolutionAndKeepsItInACheckpoint) {
  const at::Tensor hessian = positive_matrix(5, 10) * 0.1;
  SampledProblem problem({hessian});
  const TensorList u = three_tensors();
  const ParameterValues values = {{"steps", int64_t{2}}, {"step", 0.5}, {"damping", 1.5}};
  const auto soba = make("soba", values);
  soba->solve(u, problem);
  const auto resumed = make("soba", values);
  capability<HypergradientState>(*resumed)->load_state(
      capability<HypergradientState>(*soba)->state());
  const HypergradientSolution second = soba->solve(u, problem);
  EXPECT_LT(distance(second.v, richardson(hessian, 2.0, u, DenseProblem::flat(u), 0.5, 4)), 1e-13);
  EXPECT_TRUE(equal(resumed->solve(u, problem).v, second.v));
  for (int i = 0; i < 60; ++i) {
    soba->solve(u, problem);
  }
  EXPECT_LT(distance(soba->solve(u, problem).v, dense_solution(hessian, 2.0, u)), 1e-10);

  ParameterValues cold = values;
  cold["warm_start"] = false;
  const auto other = make("soba", cold);
  other->solve(u, problem);
  EXPECT_LT(distance(other->solve(u, problem).v,
                     richardson(hessian, 2.0, u, DenseProblem::flat(u), 0.5, 2)),
            1e-13);
}

TEST(Soba, AveragesOverBatchesTheMoreTheSmallerItsSteps) {
  const at::Tensor mean = positive_matrix(5, 10) * 0.1;
  const at::Tensor root = pattern(8, {10, 10});
  const at::Tensor noise = (root + root.t()) * 0.2;
  SampledProblem problem({mean + noise, mean - noise});
  const TensorList u = three_tensors();
  const at::Tensor solution = dense_solution(mean, 2.0, u);
  const auto error_after = [&](double step, int64_t steps) {
    return distance(
        make("soba", {{"steps", steps}, {"step", step}, {"damping", 1.5}})->solve(u, problem).v,
        solution);
  };
  const double large = error_after(0.4, 200);
  const double small = error_after(0.04, 2000);
  EXPECT_LT(small, large / 5) << "the fixed cycle is of first order in the step";
  EXPECT_GT(distance({dense_solution(mean + noise, 2.0, u)}, solution), 5 * small)
      << "the solution of one batch is further away";
}

TEST(Soba, TakesFiniteDifferences) {
  const at::Tensor hessian = positive_matrix(5, 10) * 0.1;
  SampledProblem problem({hessian});
  const TensorList u = three_tensors();
  const auto soba = make(
      "soba",
      {{"steps", int64_t{2}}, {"damping", 1.5}, {"products", std::string("finite-difference")}});
  EXPECT_LT(distance(soba->solve(u, problem).v,
                     richardson(hessian, 2.0, u, DenseProblem::flat(u), 0.5, 2)),
            1e-9);
  EXPECT_FALSE(soba->needs().second_derivatives());
  EXPECT_EQ(soba->needs().fresh.gradients, 4);
}

TEST(Soba, ReplacesWhatDivergesAndRefusesALowerLevelWithoutBatches) {
  SampledProblem problem({one() * std::numeric_limits<double>::quiet_NaN()});
  const TensorList u = three_tensors();
  const HypergradientSolution solution = make("soba")->solve(u, problem);
  EXPECT_EQ(solution.status, SolveStatus::diverged);
  EXPECT_TRUE(equal(solution.v, u));
  EXPECT_TRUE(equal(make("soba")->solve(zeros_like(u), problem).v, zeros_like(u)));
  DenseProblem plain(positive_matrix(5, 10), 0.5);
  EXPECT_THROW(make("soba")->solve(u, plain), Error);
}

TEST(Equilibrium, IsGradientDescentOnTheNudgedLowerLevel) {
  const at::Tensor hessian = positive_matrix(5, 10) * 0.1;
  const TensorList u = three_tensors();
  for (const bool both : {false, true}) {
    DenseProblem problem(hessian, 0.5, three_tensors());
    const auto solver =
        make("equilibrium",
             {{"steps", int64_t{4}}, {"step", 0.6}, {"damping", 1.5}, {"both_sides", both}});
    const HypergradientSolution solution = solver->solve(u, problem);
    EXPECT_LT(distance(solution.v, richardson(hessian, 2.0, u, DenseProblem::flat(u), 0.6, 4)),
              1e-10);
    EXPECT_EQ(problem.products, 0);
    EXPECT_EQ(problem.gradients, both ? 8 : 4);
    EXPECT_EQ(solution.gradients, problem.gradients);
    EXPECT_EQ(solver->needs().solve.gradients, problem.gradients);
    EXPECT_FALSE(solver->needs().second_derivatives());
  }
}

/// L = ½·θᵀHθ + (c/3)·Σθ³, whose Hessian at θ = 0 is H.
class CubicProblem : public DenseProblem {
 public:
  explicit CubicProblem(const at::Tensor& hessian)
      : DenseProblem(hessian, 0.5, zeros_like(three_tensors())) {}
  TensorList gradient(const TensorList& shift) override {
    TensorList result = DenseProblem::gradient(shift);
    for (size_t i = 0; i < shift.size(); ++i) {
      result[i].add_(shift[i].square(), 3.0);
    }
    return result;
  }
};

TEST(Equilibrium, HasAnErrorOfFirstOrderOnOneSideAndOfSecondOnBoth) {
  const at::Tensor hessian = positive_matrix(5, 10) * 0.1;
  const TensorList u = three_tensors();
  const at::Tensor solution = dense_solution(hessian, 2.0, u);
  const auto error = [&](const ParameterValues& more, double nudge) {
    CubicProblem problem(hessian);
    ParameterValues values = {{"steps", int64_t{200}}, {"damping", 1.5}, {"nudge", nudge}};
    values.insert(more.begin(), more.end());
    std::string name = more.contains("envelope") ? "meha" : "f2sa";
    if (more.contains("both_sides")) {
      name = "equilibrium";
    }
    return distance(make(name, values)->solve(u, problem).v, solution);
  };
  const ParameterValues one_side = {{"both_sides", false}};
  const ParameterValues both = {{"both_sides", true}};
  EXPECT_NEAR(error(one_side, 0.02) / error(one_side, 0.01), 2.0, 0.1);
  EXPECT_NEAR(error({}, 0.02) / error({}, 0.01), 2.0, 0.1);
  const ParameterValues envelope = {{"envelope", 2.0}};
  EXPECT_NEAR(error(envelope, 0.02) / error(envelope, 0.01), 2.0, 0.1);
  EXPECT_GT(error(envelope, 0.01), 1.2 * error({}, 0.01));
  EXPECT_NEAR(error({{"envelope", 100.0}}, 0.01), error({}, 0.01), 0.05 * error({}, 0.01));
  EXPECT_NEAR(error(both, 0.02) / error(both, 0.01), 4.0, 0.3);
  EXPECT_LT(error(both, 0.01), error(one_side, 0.01) / 5);
}

TEST(Equilibrium, SaysThatItDiverges) {
  DenseProblem problem(one() * 10, 0.5, three_tensors());
  const TensorList u = three_tensors();
  for (const char* name : {"equilibrium", "f2sa", "meha"}) {
    const HypergradientSolution solution =
        make(name, {{"damping", 0.5}, {"step", 1.0}})->solve(u, problem);
    EXPECT_EQ(solution.status, SolveStatus::diverged) << name;
    EXPECT_TRUE(equal(solution.v, u)) << name;
  }
}

TEST(F2sa, KeepsThePenalisedSolution) {
  const at::Tensor hessian = positive_matrix(5, 10) * 0.1;
  DenseProblem problem(hessian, 0.5, three_tensors());
  const TensorList u = three_tensors();
  const ParameterValues values = {{"steps", int64_t{2}}, {"step", 0.5}, {"damping", 1.5}};
  const auto solver = make("f2sa", values);
  solver->solve(u, problem);
  const auto resumed = make("f2sa", values);
  capability<HypergradientState>(*resumed)->load_state(
      capability<HypergradientState>(*solver)->state());
  const HypergradientSolution second = solver->solve(u, problem);
  EXPECT_LT(distance(second.v, richardson(hessian, 2.0, u, DenseProblem::flat(u), 0.5, 4)), 1e-10);
  EXPECT_TRUE(equal(resumed->solve(u, problem).v, second.v));
  EXPECT_EQ(second.gradients, 2);
  EXPECT_EQ(solver->needs().solve.gradients, 2);
}

TEST(Meha, IsGradientDescentWhateverTheEnvelope) {
  const at::Tensor hessian = positive_matrix(5, 10) * 0.1;
  const TensorList u = three_tensors();
  for (const double envelope : {0.5, 3.0}) {
    DenseProblem problem(hessian, 0.5, three_tensors());
    const ParameterValues values = {
        {"steps", int64_t{2}}, {"step", 0.5}, {"damping", 1.5}, {"envelope", envelope}};
    const auto solver = make("meha", values);
    const HypergradientSolution first = solver->solve(u, problem);
    EXPECT_LT(distance(first.v, richardson(hessian, 2.0, u, DenseProblem::flat(u), 0.5, 2)), 1e-10);
    EXPECT_EQ(first.gradients, 3) << "z begins at θ, where the gradient is there already";
    const auto resumed = make("meha", values);
    capability<HypergradientState>(*resumed)->load_state(
        capability<HypergradientState>(*solver)->state());
    const HypergradientSolution second = solver->solve(u, problem);
    EXPECT_LT(distance(second.v, richardson(hessian, 2.0, u, DenseProblem::flat(u), 0.5, 4)), 1e-9);
    EXPECT_EQ(second.gradients, 4);
    EXPECT_EQ(problem.gradients, 7);
    EXPECT_EQ(problem.products, 0);
    EXPECT_TRUE(equal(resumed->solve(u, problem).v, second.v));
    EXPECT_EQ(solver->needs().solve.gradients, 4);
    EXPECT_FALSE(solver->needs().second_derivatives());
  }
}

TEST(Meha, EndsAtTheProximalPointOfItsPenalisedSolution) {
  const at::Tensor hessian = positive_matrix(5, 10) * 0.1;
  DenseProblem problem(hessian, 0.5, three_tensors());
  const TensorList u = three_tensors();
  const auto solver = make("meha", {{"steps", int64_t{300}}, {"damping", 1.5}, {"envelope", 2.0}});
  const TensorList v = solver->solve(u, problem).v;
  EXPECT_LT(distance(v, dense_solution(hessian, 2.0, u)), 1e-9);
  // What is kept are y and, behind it, z, as distances from θ: (I + H/(w + δ))·z = (y − z)/γ.
  TensorList kept;
  for (const NamedTensor& entry : capability<HypergradientState>(*solver)->state()) {
    kept.push_back(entry.tensor);
  }
  ASSERT_EQ(kept.size(), 2 * u.size());
  const TensorList proximal(kept.begin() + 3, kept.end());
  EXPECT_LT(distance(proximal, dense_solution(hessian, 2.0, v) / 2.0), 1e-9);
}

/// v of each unit vector, as columns, each by a new instance, which moves θ_D in the same
/// directions.
at::Tensor by_columns(const ParameterValues& values, TrainedProblem& problem) {
  TensorList columns;
  for (int64_t i = 0; i < 10; ++i) {
    const TensorList unit = unit_vector(i, three_tensors());
    columns.push_back(DenseProblem::flat(make("pzobo", values)->solve(unit, problem).v));
  }
  return at::stack(columns, 1);
}

at::Tensor jacobian(const TrainedProblem& problem, size_t steps) {
  TensorList columns;
  for (int64_t i = 0; i < 10; ++i) {
    columns.push_back(problem.derivative(unit_vector(i, three_tensors()), steps));
  }
  return at::stack(columns, 1);  // transposed
}

TEST(Pzobo, IsTheMeanOfItsDirectionsTimesTheDerivative) {
  TrainedProblem problem(4);
  problem.make_uneven();
  ParameterValues values = {{"steps", int64_t{4}},
                            {"directions", int64_t{3}},
                            {"control_variate", false},
                            {"keep_norm", false}};
  // v = M·Jᵀu with M = mean ξξᵀ: symmetric, of the directions' rank, never negative.
  const at::Tensor derivative = jacobian(problem, 4);
  const at::Tensor moments = by_columns(values, problem).matmul(at::linalg_inv(derivative));
  EXPECT_LT((moments - moments.t()).norm().item<double>(), 1e-6 * moments.norm().item<double>());
  const at::Tensor eigenvalues = std::get<0>(at::linalg_eigh(moments + moments.t()));
  EXPECT_LT(eigenvalues.narrow(0, 0, 7).abs().max().item<double>(), 1e-6);
  EXPECT_GT(eigenvalues[7].item<double>(), 0.1);
  // With the control variate M stands before what curvature changes alone.
  values["control_variate"] = true;
  TrainedProblem flat(4);
  flat.make_uneven();
  for (at::Tensor& hessian : flat.hessians) {
    hessian = at::zeros({10, 10}, at::kDouble);
  }
  const at::Tensor plain = jacobian(flat, 4);
  const at::Tensor expected = plain + moments.matmul(derivative - plain);
  EXPECT_LT(distance({by_columns(values, problem)}, expected.reshape(-1)), 1e-6);
}

TEST(Pzobo, TendsToTheDerivativeWithManyDirections) {
  TrainedProblem problem(3);
  const TensorList u = three_tensors();
  const at::Tensor expected = problem.derivative(u, 3);
  const auto error = [&](int64_t directions, bool control) {
    return distance(make("pzobo", {{"steps", int64_t{3}},
                                   {"directions", directions},
                                   {"control_variate", control},
                                   {"keep_norm", false}})
                        ->solve(u, problem)
                        .v,
                    expected);
  };
  EXPECT_LT(error(4000, false), 0.15);
  EXPECT_LT(error(4000, true), 0.15);
  EXPECT_GT(error(4, false), 0.3) << "a judge of last resort";
}

TEST(Pzobo, KeepsTheNormWhereThereIsNoCurvature) {
  TrainedProblem problem(3);
  for (size_t t = 0; t < 3; ++t) {
    problem.problems[t] = std::make_unique<DenseProblem>(at::zeros({10, 10}, at::kDouble),
                                                         TrainedProblem::pull, three_tensors());
    problem.recorded[t].system = problem.problems[t].get();
  }
  const TensorList u = three_tensors();
  const HypergradientSolution solution = make("pzobo", {{"steps", int64_t{3}}})->solve(u, problem);
  EXPECT_LT(distance(solution.v, DenseProblem::flat(u)), 1e-12);
}

TEST(Pzobo, DrawsOtherDirectionsInTheNextSolveAlsoAfterAnInterruption) {
  TrainedProblem problem(3);
  const TensorList u = three_tensors();
  const ParameterValues values = {{"steps", int64_t{3}}};
  const auto solver = make("pzobo", values);
  const HypergradientSolution first = solver->solve(u, problem);
  const auto resumed = make("pzobo", values);
  capability<HypergradientState>(*resumed)->load_state(
      capability<HypergradientState>(*solver)->state());
  const HypergradientSolution second = solver->solve(u, problem);
  EXPECT_FALSE(equal(first.v, second.v));
  EXPECT_TRUE(equal(resumed->solve(u, problem).v, second.v));
  EXPECT_THROW(capability<HypergradientState>(*resumed)->load_state({}), Error);
}

TEST(Pzobo, CostsGradientsOfTheStepsAndNoProducts) {
  TrainedProblem problem(5);
  const auto solver = make("pzobo", {{"steps", int64_t{3}}, {"directions", int64_t{2}}});
  const HypergradientSolution solution = solver->solve(three_tensors(), problem);
  int64_t shifted = 0;
  for (const auto& inner : problem.problems) {
    shifted += inner->gradients;
    EXPECT_EQ(inner->products, 0);
  }
  EXPECT_EQ(shifted, 4);  // two of three steps, two directions
  EXPECT_EQ(solution.gradients, shifted);
  EXPECT_EQ(solver->needs().steps.gradients, 6);
  EXPECT_FALSE(solver->needs().second_derivatives());
  DenseProblem plain(positive_matrix(5, 10), 0.5);
  EXPECT_THROW(solver->solve(three_tensors(), plain), Error);
}

}  // namespace
}  // namespace bissl::host
