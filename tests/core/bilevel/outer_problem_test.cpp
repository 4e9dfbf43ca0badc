// An outer problem other than BiSSL's: samples of a regression are weighted so that its solution
// does well on other data. The inner problem is quadratic, so the outer gradient is known.
//
//   θ*(x) = argmin ½·Σ exp(xᵢ)·(aᵢᵀθ − bᵢ)² + (w/2)·‖θ‖²
//   F(x)  = ½·‖C·θ*(x) − d‖² + (ρ/2)·‖x‖²

#include "bilevel/outer_problem.h"
#include "bilevel/upper_level.h"
#include "plugins/hypergradients/dense_problem.h"
#include "sdk/plugin_library.h"
#include "small_models.h"

#include <gtest/gtest.h>
#include <torch/types.h>

namespace bissl::host {
namespace {

using test::pattern;

constexpr int64_t size = 4;
constexpr int64_t samples = 6;
constexpr double weight = 0.3;
constexpr double rho = 0.05;

class SampleWeighting : public OuterProblem {
 public:
  SampleWeighting() {
    x_ = parameters_[0].tensor;
    solve_inner();
  }

  const NamedTensors& parameters() const override { return parameters_; }

  OuterGradient direct(const OuterBatch& /*batch*/, uint64_t /*noise_seed*/) override {
    const torch::NoGradGuard no_grad;
    OuterGradient outer;
    outer.loss = value();
    outer.u = {c_.t().mv(c_.mv(theta_) - d_)};
    outer.direct = {{.weight = rho, .gradient = {x_.detach()}}};
    return outer;
  }

  /// ∂²/∂θ∂xᵢ of the inner objective is exp(xᵢ)·(aᵢᵀθ − bᵢ)·aᵢ.
  TensorList pull_back(const TensorList& v, double of_system) override {
    const torch::NoGradGuard no_grad;
    return {x_.exp() * (a_.mv(theta_) - b_) * a_.mv(v[0]) / -of_system};
  }

  /// Makes θ the minimiser again after a step of x.
  void solve_inner() {
    const torch::NoGradGuard no_grad;
    theta_ = torch::linalg_solve(hessian() + weight * torch::eye(size, torch::kDouble),
                                 a_.t().mv(x_.exp() * b_));
  }

  at::Tensor hessian() const { return a_.t().mm((x_.exp()).unsqueeze(1) * a_).detach(); }

  double value() const {
    return (0.5 * (c_.mv(theta_) - d_).square().sum() + 0.5 * rho * x_.square().sum())
        .item<double>();
  }

  at::Tensor& weights() { return x_; }

 private:
  at::Tensor a_ = pattern(1, {samples, size}) * 2;
  at::Tensor b_ = pattern(2, {samples});
  at::Tensor c_ = pattern(3, {3, size}) * 2;
  at::Tensor d_ = pattern(4, {3}) * 3;
  NamedTensors parameters_{{"weights", (pattern(5, {samples}) * 0.5).requires_grad_()}};
  at::Tensor x_;
  at::Tensor theta_;
};

std::shared_ptr<Hypergradient> make(const std::string& name, double damping) {
  const test::PluginLibrary library(name);
  return library.make<Hypergradient>(name, {{"damping", damping}});
}

TEST(OuterProblem, ItsGradientIsThatThroughTheInnerSolution) {
  SampleWeighting problem;
  test::PlainDescent unused({}, 0.1);
  const auto exact = make("exact", 0.0);
  UpperLevel level(problem, *exact, unused, 0);
  test::DenseProblem system(problem.hessian(), weight);
  const UpperGradient gradient = level.gradient(OuterBatch{}, system, 0);
  ASSERT_EQ(gradient.values.size(), 1U);

  constexpr double h = 1e-6;
  const torch::NoGradGuard no_grad;
  const auto at_shift = [&](int64_t i, double shift) {
    problem.weights()[i] += shift;
    problem.solve_inner();
    const double value = problem.value();
    problem.weights()[i] -= shift;
    problem.solve_inner();
    return value;
  };
  for (int64_t i = 0; i < samples; ++i) {
    const double expected = (at_shift(i, h) - at_shift(i, -h)) / (2 * h);
    EXPECT_NEAR(gradient.values[0][i].item<double>(), expected, 1e-7) << i;
    EXPECT_GT(std::abs(expected), 1e-3) << "too small to show anything";
  }
}

TEST(OuterProblem, DampingCountsInTheWeightThatTheSolutionBelongsTo) {
  // v of the damped system is (w + δ)·(H + (w + δ)·I)⁻¹·u; pulled back it must be that of the inner
  // problem with the weight w + δ.
  constexpr double damping = 0.7;
  SampleWeighting problem;
  const at::Tensor u = problem.direct({}, 0).u[0];
  const at::Tensor q = torch::linalg_solve(
      problem.hessian() + (weight + damping) * torch::eye(size, torch::kDouble), u);
  const at::Tensor expected = problem.pull_back({q}, 1.0)[0] + rho * problem.weights().detach();
  test::PlainDescent unused({}, 0.1);
  const auto exact = make("exact", damping);
  UpperLevel level(problem, *exact, unused, 0);
  test::DenseProblem system(problem.hessian(), weight);
  EXPECT_LT(
      (level.gradient(OuterBatch{}, system, 0).values[0] - expected).abs().max().item<double>(),
      1e-12);
}

TEST(OuterProblem, IsTrainedByTheSameUpperLevel) {
  SampleWeighting problem;
  test::PlainDescent descent(problem.parameters(), 0.5);
  const auto exact = make("exact", 0.0);
  UpperLevel level(problem, *exact, descent, /*max_grad_norm=*/10);
  const double before = problem.value();
  UpperStep last;
  for (uint64_t step = 0; step < 400; ++step) {
    test::DenseProblem system(problem.hessian(), weight, {}, step + 1);
    last = level.step(OuterBatch{}, system, 0, 1.0);
    problem.solve_inner();
  }
  EXPECT_LT(problem.value(), 0.95 * before);
  EXPECT_LT(last.gradient_norm, 1e-3) << "a minimum";
}

}  // namespace
}  // namespace bissl::host
