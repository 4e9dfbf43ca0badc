// The upper gradient and every approximator against PyTorch (tests/reference/hypergradients.py).

#include "reference/golden.h"
#include "bilevel/bissl_coupling.h"
#include "bilevel/lower_level.h"
#include "bilevel/lower_trajectory.h"
#include "bilevel/pretext_problem.h"
#include "bilevel/upper_level.h"
#include "bissl/modules.h"
#include "models/module_state.h"
#include "sdk/plugin_library.h"
#include "small_models.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <map>

namespace bissl::host {
namespace {

using test::pattern;

/// SmallBackbone of the sdk's layers, with the script's weights.
class GoldenBackbone : public Backbone {
 public:
  explicit GoldenBackbone(int64_t k) : module_(std::make_shared<torch::nn::Module>()) {
    first_ = module_->register_module("first", Linear(4, 4));
    normalisation_ = module_->register_module("normalisation", BatchNorm(4));
    second_ = module_->register_module("second", Linear(4, 3));
    module_->to(torch::kDouble);
    set(module_->parameters(), k);
    const torch::NoGradGuard no_grad;
    normalisation_->weight.add_(1);
  }
  static void set(const TensorList& parameters, int64_t k) {
    const torch::NoGradGuard no_grad;
    for (size_t i = 0; i < parameters.size(); ++i) {
      at::Tensor parameter = parameters[i];
      parameter.copy_(pattern(k + int64_t(i), parameter.sizes()) * 1.5);
    }
  }
  at::Tensor forward(const at::Tensor& images) override {
    return torch::tanh(second_(torch::tanh(normalisation_(first_(images)))));
  }
  int64_t features() const override { return 3; }
  torch::nn::Module& module() override { return *module_; }

 private:
  std::shared_ptr<torch::nn::Module> module_;
  Linear first_{nullptr};
  BatchNorm normalisation_{nullptr};
  Linear second_{nullptr};
};

class GoldenTest : public ::testing::Test {
 protected:
  GoldenTest() {
    GoldenBackbone::set(pretext_.module().parameters(), 20);
    GoldenBackbone::set(downstream_.module().parameters(), 40);
    const auto numbers = golden_["u"].get<std::vector<double>>();
    u_ = unflatten(torch::tensor(numbers, torch::kDouble), problem().parameters());
  }

  static std::shared_ptr<Hypergradient> make(const std::string& name, ParameterValues values) {
    return test::shared_library(name).make<Hypergradient>(name, values);
  }

  double number(const char* key) const { return golden_[key].get<double>(); }

  PretextProblem problem(const PretextProblem::Training& training = {}) {
    return PretextProblem(backbone_, pretext_, {(pattern(50, {2, 8, 4}) * 3).unbind()},
                          {.lambda = number("lambda")}, training);
  }

  testing::AssertionResult matches(const std::string& key, const std::string& name,
                                   ParameterValues values, double tolerance) {
    if (name != "identity") {
      values["damping"] = number("damping");
    }
    PretextProblem lower = problem();
    return test::close(flatten(make(name, values)->solve(u_, lower).v), golden_["solutions"][key],
                       tolerance);
  }

  nlohmann::json golden_ = test::golden("hypergradients.json");
  GoldenBackbone backbone_{10};
  GoldenBackbone upper_{30};
  test::SmallPretext pretext_;
  test::SmallDownstream downstream_;
  TensorList u_;
};

const Value central = std::string("central-difference");

TEST_F(GoldenTest, Hessian) {
  PretextProblem lower = problem();
  TensorList rows;
  for (int64_t i = 0; i < count(u_); ++i) {
    rows.push_back(flatten(lower.hessian_product(unit_vector(i, u_))));
  }
  EXPECT_TRUE(test::close(torch::stack(rows), golden_["hessian"], 1e-12));
}

TEST_F(GoldenTest, ConjugateGradient) {
  EXPECT_TRUE(matches("cg", "cg", {{"iterations", int64_t{3}}}, 1e-12));
  EXPECT_TRUE(matches(
      "cg", "cg", {{"iterations", int64_t{3}}, {"products", central}, {"difference_step", 1e-4}},
      1e-7));
  EXPECT_TRUE(matches("cg_layerwise", "cg",
                      {{"iterations", int64_t{3}}, {"form", std::string("layerwise")}}, 1e-12));
}

TEST_F(GoldenTest, IterationsToTheEndAreExact) {
  const ParameterValues long_run = {{"iterations", int64_t{200}}, {"tolerance", 1e-14}};
  EXPECT_TRUE(matches("exact", "exact", {}, 1e-12));
  EXPECT_TRUE(matches("exact", "cg", long_run, 1e-11));
  EXPECT_TRUE(matches("exact", "minres", long_run, 1e-11));
  EXPECT_TRUE(matches("exact", "neumann", {{"terms", int64_t{200}}}, 1e-11));
  // All columns of H: the approximation of rank n is H, but for the eigenvalues cut off.
  EXPECT_TRUE(matches("exact", "nystrom", {{"rank", count(u_)}, {"cutoff", 1e-13}}, 1e-8));
}

TEST_F(GoldenTest, Minres) {
  EXPECT_TRUE(matches("minres", "minres", {{"iterations", int64_t{4}}, {"tolerance", 0.0}}, 1e-12));
}

TEST_F(GoldenTest, Neumann) {
  EXPECT_TRUE(matches("neumann", "neumann", {{"terms", int64_t{4}}, {"step", 0.5}}, 1e-12));
}

TEST_F(GoldenTest, Darts) {
  // Both divide a difference of gradients by 0.02/‖u‖: rounding is amplified by about fifty.
  EXPECT_TRUE(matches("darts", "darts", {}, 1e-12));
}

TEST_F(GoldenTest, Kfac) { EXPECT_TRUE(matches("kfac", "kfac", {}, 1e-12)); }

TEST_F(GoldenTest, IdentityAndSamaWithPlainDescent) {
  EXPECT_TRUE(matches("identity", "identity", {}, 0));
  PretextProblem lower = problem();
  EXPECT_TRUE(test::close(flatten(make("sama", {})->solve(u_, lower).v),
                          golden_["solutions"]["identity"], 1e-15));
}

TEST_F(GoldenTest, UnrolledThroughTrainingWithMomentum) {
  const auto rates = golden_["rates"].get<std::vector<double>>();
  LowerTrajectory trajectory(backbone_, pretext_, int64_t(rates.size()), number("lambda"));
  const test::PluginLibrary optimizers("optimizers");
  const auto sgd =
      optimizers.make<Optimizer>("sgd", {{"lr", 1.0}, {"momentum", number("momentum")}},
                                 {lower_parameters(backbone_, pretext_)});
  LowerLevel level(backbone_, pretext_, *sgd, /*max_grad_norm=*/0);
  level.tie_to(upper_, number("lambda"));
  for (size_t t = 0; t < rates.size(); ++t) {
    const Views views = (pattern(60 + int64_t(t), {2, 8, 4}) * 3).unbind();
    trajectory.before_step(views, int64_t(t));
    level.step(views, rates[t], {},
               {.before_update = [&](const TensorList& gradients, double clip) {
                 trajectory.with_gradients(*sgd, gradients, rates[t], clip);
               }});
  }
  PretextProblem lower = problem({.trajectory = &trajectory});
  EXPECT_TRUE(test::close(flatten(lower.parameters()), golden_["trained"], 1e-12));
  const auto unrolled = make("unrolled", {{"steps", int64_t{3}}, {"keep_norm", false}});
  EXPECT_TRUE(
      test::close(flatten(unrolled->solve(u_, lower).v), golden_["solutions"]["unrolled"], 1e-12));
}

TEST_F(GoldenTest, UpperGradient) {
  const auto cg = make("cg", {{"iterations", int64_t{3}}, {"damping", number("damping")}});
  test::PlainDescent unused({}, 0.1);
  BisslCoupling coupling({backbone_, upper_, downstream_}, number("gamma"));
  UpperLevel level(coupling, *cg, unused, 0);
  PretextProblem lower = problem();
  const at::Tensor images = pattern(51, {6, 4}) * 3;
  const UpperGradient gradient =
      level.gradient({images, test::small_targets(6)}, lower, 0,
                     [&](const TensorList& u, const HypergradientSolution& solution) {
                       EXPECT_TRUE(test::close(flatten(u), golden_["u"], 1e-13));
                       EXPECT_EQ(solution.damping, number("damping"));
                     });
  const auto middle = gradient.values.begin() + static_cast<int64_t>(u_.size());
  EXPECT_TRUE(
      test::close(flatten({gradient.values.begin(), middle}), golden_["upper_gradient"], 1e-12));
  EXPECT_TRUE(test::close(flatten({middle, gradient.values.end()}), golden_["upper_head"], 1e-12));
}

}  // namespace
}  // namespace bissl::host
