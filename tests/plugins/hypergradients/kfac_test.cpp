// Kronecker factors against the Fisher matrix that they approximate, where it is one product of
// factors: the inputs of all samples are alike.

#include "dense_problem.h"
#include "sdk/plugin_library.h"

#include "bissl/error.h"

#include <ATen/ops/full.h>
#include <ATen/ops/kron.h>
#include <ATen/ops/linalg_eigh.h>
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

std::shared_ptr<Hypergradient> make(ParameterValues values = {}, const std::string& name = "kfac") {
  const test::PluginLibrary& library = test::shared_library("kfac");
  values["damping"] = damping;
  return library.make<Hypergradient>(name, values);
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

/// v with the diagonal of F, of gradients in the rows, in the coordinates of the eigenvectors of
/// A = mean a·aᵀ and G = mean g·gᵀ.
at::Tensor with_corrected_factors(const at::Tensor& inputs, const at::Tensor& outputs,
                                  const at::Tensor& gradients, const at::Tensor& u) {
  const auto vectors = [](const at::Tensor& rows) {
    return std::get<1>(at::linalg_eigh(rows.t().matmul(rows)));
  };
  const at::Tensor basis = at::kron(vectors(outputs), vectors(inputs));
  const at::Tensor moments = gradients.matmul(basis).square().mean(0);
  return basis.matmul(basis.t().matmul(u) / (1 + moments / (pull + damping)));
}

TEST(Ekfac, HasTheGradientsSecondMomentsAlongTheFactorsEigenvectors) {
  constexpr int64_t samples = 9;
  const at::Tensor input = pattern(1, {samples, 3});
  const at::Tensor gradient = pattern(2, {samples, 4}) * 3;
  const TensorList u{pattern(6, {4, 3})};
  TensorList rows;
  for (int64_t n = 0; n < samples; ++n) {
    rows.push_back(at::outer(gradient[n] * double(samples), input[n]).reshape(-1));
  }
  const at::Tensor all = at::stack(rows);
  const at::Tensor right = u[0].reshape(-1);
  LayeredProblem problem({pattern(3, {4, 3})}, {linear_layer(input, gradient)});
  const HypergradientSolution solution = make({}, "ekfac")->solve(u, problem);
  EXPECT_LT(distance(solution.v, with_corrected_factors(input, gradient, all, right)), 1e-12);
  EXPECT_GT(distance(make()->solve(u, problem).v, DenseProblem::flat(solution.v)), 1e-3);
  EXPECT_EQ(solution.hessian_products, 0);
  EXPECT_TRUE(make({}, "ekfac")->needs().has_ability(LayerGradients::id));
}

TEST(Ekfac, SumsAGradientOverThePlacesOfAConvolution) {
  // A 1x1 convolution of two channels to one over four places: the sample's gradient is Σ g·a.
  constexpr int64_t samples = 5;
  const at::Tensor input = pattern(1, {samples, 2, 2, 2});
  const at::Tensor gradient = pattern(2, {samples, 1, 2, 2});
  LayerGradient layer{.weight = 0,
                      .bias = std::nullopt,
                      .input = input,
                      .output_gradient = gradient,
                      .convolution = true,
                      .geometry = {}};
  LayeredProblem problem({pattern(3, {1, 2, 1, 1})}, {layer});
  const TensorList u{pattern(6, {1, 2, 1, 1})};
  const at::Tensor places = input.flatten(2).transpose(1, 2).reshape({-1, 2});
  const at::Tensor sums =
      input.mul(gradient).flatten(2).sum(2) * double(samples);  // (samples, channels)
  const at::Tensor expected =
      with_corrected_factors(places, at::ones({1, 1}, at::kDouble), sums, u[0].reshape(-1));
  EXPECT_LT(distance(make({}, "ekfac")->solve(u, problem).v, expected), 1e-12);
}

TEST(Ekfac, IsKfacWhereTheFisherMatrixIsOneProductOfFactors) {
  const at::Tensor input = pattern(1, {1, 3}).expand({6, 3});
  const at::Tensor gradient = pattern(2, {6, 4}) * 3;
  const TensorList u{pattern(6, {4, 3}), pattern(7, {4})};
  LayeredProblem once({pattern(3, {4, 3}), pattern(4, {4})}, {linear_layer(input, gradient, 1)});
  const at::Tensor kfac = DenseProblem::flat(make()->solve(u, once).v);
  EXPECT_LT(distance(make({}, "ekfac")->solve(u, once).v, kfac), 1e-12);
  LayeredProblem twice({pattern(3, {4, 3}), pattern(4, {4})},
                       {linear_layer(input.narrow(0, 0, 2), gradient.narrow(0, 0, 2), 1),
                        linear_layer(input.narrow(0, 2, 4), gradient.narrow(0, 2, 4), 1)});
  EXPECT_LT(distance(make({}, "ekfac")->solve(u, twice).v, kfac), 1e-12) << "uses are joined";
}

TEST(Ekfac, SomeSamplesKeepTheScale) {
  const at::Tensor input = pattern(1, {1, 3}).expand({50, 3});
  const at::Tensor gradient = pattern(2, {1, 4}).expand({50, 4});
  LayeredProblem problem({pattern(3, {4, 3})}, {linear_layer(input, gradient)});
  const TensorList u{pattern(6, {4, 3})};
  const TensorList all = make({}, "ekfac")->solve(u, problem).v;
  const TensorList some = make({{"samples", int64_t{7}}}, "ekfac")->solve(u, problem).v;
  EXPECT_LT(distance(some, all[0].reshape(-1)), 1e-12);
}

}  // namespace
}  // namespace bissl::host
