// Kronecker factors against the Fisher matrix that they stand for, where it is one product of
// factors: the inputs of all samples are alike.

#include "dense_problem.h"
#include "sdk/plugin_library.h"

#include "bissl/error.h"

#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/stack.h>
#include <gtest/gtest.h>

#include <memory>

namespace bissl::host {
namespace {

using test::DenseProblem;
using test::distance;
using test::equal;
using test::pattern;

constexpr double pull = 0.5;  // λ
constexpr double damping = 1.5;

std::shared_ptr<Hypergradient> make(ParameterValues values = {}) {
  const test::PluginLibrary& library = test::shared_library("kfac");
  values["damping"] = damping;
  return library.make<Hypergradient>("kfac", values);
}

/// A lower level that knows its layers.
class LayeredProblem : public ImplicitSystem, public LayerGradients {
 public:
  explicit LayeredProblem(TensorList parameters, std::vector<LayerGradient> layers)
      : parameters_(std::move(parameters)), layers_(std::move(layers)) {}
  TensorList hessian_product(const TensorList& /*x*/) override { throw std::logic_error("unused"); }
  TensorList gradient(const TensorList& /*shift*/) override { throw std::logic_error("unused"); }
  const TensorList& parameters() const override { return parameters_; }
  double weight() const override { return pull; }
  uint64_t id() const override { return 1; }
  const std::vector<std::string>& parameter_names() const override { return names_; }
  void* capability(std::string_view id) override { return provide<LayerGradients>(*this, id); }
  std::vector<LayerGradient> layer_gradients() override {
    ++calls;
    return layers_;
  }
  int calls = 0;

 private:
  TensorList parameters_;
  std::vector<LayerGradient> layers_;
  std::vector<std::string> names_;
};

/// F = E[∇ℓ·∇ℓᵀ] for per-sample gradients in the rows, and (I + F/(λ + δ))⁻¹·u.
at::Tensor with_fisher(const at::Tensor& gradients, const at::Tensor& u) {
  const at::Tensor fisher = gradients.t().matmul(gradients) / double(gradients.size(0));
  return at::linalg_solve(at::eye(u.size(0), at::kDouble) + fisher / (pull + damping), u);
}

LayerGradient linear_layer(const at::Tensor& input, const at::Tensor& gradient,
                           std::optional<size_t> bias = std::nullopt) {
  return {.weight = 0,
          .bias = bias,
          .input = input,
          .output_gradient = gradient,
          .convolution = false,
          .geometry = {}};
}

TEST(Kfac, IsExactForALinearLayerWithTheSameInputs) {
  constexpr int64_t samples = 6;
  const at::Tensor input = pattern(1, {1, 3}).expand({samples, 3});
  // Gradients of a mean over six samples, each with a bias as third kind of input.
  const at::Tensor gradient = pattern(2, {samples, 4}) * 3;
  LayeredProblem problem({pattern(3, {4, 3}), pattern(4, {4}), pattern(5, {2})},
                         {linear_layer(input, gradient, 1)});
  const TensorList u{pattern(6, {4, 3}), pattern(7, {4}), pattern(8, {2})};
  const HypergradientSolution solution = make()->solve(u, problem);

  TensorList rows;
  for (int64_t n = 0; n < samples; ++n) {
    const at::Tensor g = gradient[n] * double(samples);
    rows.push_back(at::cat({at::outer(g, input[n]).reshape(-1), g}));
  }
  const at::Tensor expected = with_fisher(at::stack(rows), at::cat({u[0].reshape(-1), u[1]}));
  EXPECT_LT(distance({solution.v[0], solution.v[1]}, expected), 1e-12);
  EXPECT_TRUE(solution.v[2].equal(u[2])) << "a parameter of no known layer";
  EXPECT_EQ(solution.status, SolveStatus::direct);
  EXPECT_EQ(solution.hessian_products, 0);
}

TEST(Kfac, TakesWideFactorsFromFewSamples) {
  // Two samples and inputs of seven: A has rank one at most, G two.
  const at::Tensor input = pattern(1, {1, 7}).expand({2, 7});
  const at::Tensor gradient = pattern(2, {2, 5}) * 3;
  LayeredProblem problem({pattern(3, {5, 7})}, {linear_layer(input, gradient)});
  const TensorList u{pattern(6, {5, 7})};
  const HypergradientSolution solution = make()->solve(u, problem);
  TensorList rows;
  for (int64_t n = 0; n < 2; ++n) {
    rows.push_back(at::outer(gradient[n] * 2, input[n]).reshape(-1));
  }
  EXPECT_LT(distance(solution.v, with_fisher(at::stack(rows), u[0].reshape(-1))), 1e-12);
}

TEST(Kfac, IsExactForAConvolutionWithOnePlace) {
  // The kernel covers the padded image; two groups, each with its own factors.
  constexpr int64_t samples = 3;
  const at::Tensor input = pattern(1, {1, 4, 2, 3}).expand({samples, 4, 2, 3});
  const at::Tensor gradient = pattern(2, {samples, 6, 1, 1}) * 3;
  LayerGradient layer{.weight = 0,
                      .bias = std::nullopt,
                      .input = input,
                      .output_gradient = gradient,
                      .convolution = true,
                      .geometry = {.groups = 2}};
  LayeredProblem problem({pattern(3, {6, 2, 2, 3})}, {layer});
  const TensorList u{pattern(6, {6, 2, 2, 3})};
  const HypergradientSolution solution = make()->solve(u, problem);
  for (int64_t group = 0; group < 2; ++group) {
    TensorList rows;
    for (int64_t n = 0; n < samples; ++n) {
      const at::Tensor g = gradient[n].reshape(-1).narrow(0, 3 * group, 3) * double(samples);
      rows.push_back(at::outer(g, input[n].narrow(0, 2 * group, 2).reshape(-1)).reshape(-1));
    }
    const at::Tensor expected =
        with_fisher(at::stack(rows), u[0].narrow(0, 3 * group, 3).reshape(-1));
    EXPECT_LT(distance({solution.v[0].narrow(0, 3 * group, 3)}, expected), 1e-12) << group;
  }
}

TEST(Kfac, SumsOverThePlacesOfAConvolution) {
  // A 1x1 convolution: A = Σ a·aᵀ over places, G = mean g·gᵀ over places. With one sample, one
  // channel each way and equal inputs, F = (T·a²)·(mean g²).
  const at::Tensor input = at::full({1, 1, 2, 2}, 3.0, at::kDouble);
  const at::Tensor gradient = pattern(2, {1, 1, 2, 2});
  LayerGradient layer{.weight = 0,
                      .bias = std::nullopt,
                      .input = input,
                      .output_gradient = gradient,
                      .convolution = true,
                      .geometry = {}};
  LayeredProblem problem({at::ones({1, 1, 1, 1}, at::kDouble)}, {layer});
  const TensorList u{at::ones({1, 1, 1, 1}, at::kDouble)};
  const HypergradientSolution solution = make()->solve(u, problem);
  const double fisher = 4 * 9.0 * gradient.square().mean().item<double>();
  EXPECT_NEAR(solution.v[0].item<double>(), 1.0 / (1.0 + fisher / (pull + damping)), 1e-14);
}

TEST(Kfac, JoinsTheUsesOfAWeight) {
  const at::Tensor input = pattern(1, {1, 3}).expand({6, 3});
  const at::Tensor gradient = pattern(2, {6, 4});
  const TensorList u{pattern(6, {4, 3})};
  LayeredProblem once({pattern(3, {4, 3})}, {linear_layer(input, gradient)});
  LayeredProblem twice({pattern(3, {4, 3})},
                       {linear_layer(input.narrow(0, 0, 2), gradient.narrow(0, 0, 2)),
                        linear_layer(input.narrow(0, 2, 4), gradient.narrow(0, 2, 4))});
  EXPECT_LT(distance(make()->solve(u, twice).v, make()->solve(u, once).v[0].reshape(-1)), 1e-13);
}

TEST(Kfac, MakesItsFactorsOnceForAProblem) {
  LayeredProblem problem({pattern(3, {4, 3})},
                         {linear_layer(pattern(1, {6, 3}), pattern(2, {6, 4}))});
  const auto kfac = make();
  const TensorList u{pattern(6, {4, 3})};
  const HypergradientSolution first = kfac->solve(u, problem);
  EXPECT_TRUE(equal(kfac->solve(u, problem).v, first.v));
  EXPECT_EQ(problem.calls, 1);
}

TEST(Kfac, SampledRowsKeepTheScale) {
  // All rows are alike, so a sample must give the same factors.
  const at::Tensor input = pattern(1, {1, 3}).expand({50, 3});
  const at::Tensor gradient = pattern(2, {1, 4}).expand({50, 4});
  LayeredProblem problem({pattern(3, {4, 3})}, {linear_layer(input, gradient)});
  const TensorList u{pattern(6, {4, 3})};
  const TensorList all = make()->solve(u, problem).v;
  const TensorList some = make({{"max_rows", int64_t{7}}})->solve(u, problem).v;
  EXPECT_LT(distance(some, all[0].reshape(-1)), 1e-12);
}

TEST(Kfac, LeavesUWhereThereIsNoGradient) {
  LayeredProblem problem({pattern(3, {5, 7})},
                         {linear_layer(pattern(1, {2, 7}), at::zeros({2, 5}, at::kDouble))});
  const TensorList u{pattern(6, {5, 7})};
  EXPECT_TRUE(equal(make()->solve(u, problem).v, u));
}

TEST(Kfac, ReportsFactorsThatAreNotFinite) {
  at::Tensor gradient = pattern(2, {6, 4});
  gradient[2][1] = std::numeric_limits<double>::quiet_NaN();
  LayeredProblem problem({pattern(3, {4, 3})}, {linear_layer(pattern(1, {6, 3}), gradient)});
  const TensorList u{pattern(6, {4, 3})};
  const HypergradientSolution solution = make()->solve(u, problem);
  EXPECT_EQ(solution.status, SolveStatus::diverged);
  EXPECT_TRUE(equal(solution.v, u));
}

TEST(Kfac, RefusesABackboneOfUnknownLayers) {
  LayeredProblem problem({pattern(3, {4, 3})}, {});
  EXPECT_THROW(make()->solve({pattern(6, {4, 3})}, problem), Error);
}

TEST(Kfac, RefusesALowerLevelWithoutLayers) {
  EXPECT_TRUE(make()->needs().has_ability(LayerGradients::id));
  DenseProblem problem(test::positive_matrix(5, 12), pull);
  EXPECT_THROW(make()->solve({pattern(6, {4, 3})}, problem), Error);
}

}  // namespace
}  // namespace bissl::host
