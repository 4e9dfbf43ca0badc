// A bilevel problem with a closed form: the lower loss is quadratic, so its minimiser, and with it
// the whole upper gradient, can be written down.
//
//   L_P(θ) = ½·(θ − p)ᵀA(θ − p)                 θ_P*(θ_D) = (A + λI)⁻¹(A·p + λ·θ_D)
//   L_D(θ, φ) = ½·‖φ·θ − t‖²                     dθ_P*/dθ_D = (I + A/λ)⁻¹
//   dL_D(θ_P*(θ_D), φ)/dθ_D = (I + A/λ)⁻¹·φ·(φ·θ_P* − t)

#include "bilevel/bissl_coupling.h"
#include "bilevel/lower_level.h"
#include "bilevel/pretext_problem.h"
#include "bilevel/upper_level.h"
#include "models/module_state.h"
#include "plugins/registry.h"
#include "small_models.h"
#include "support/paths.h"

#include <gtest/gtest.h>
#include <torch/types.h>

namespace bissl::host {
namespace {

constexpr int64_t size = 5;
constexpr double lambda = 0.7;

/// Hands out its parameter vector; the images are not looked at.
class VectorBackbone : public Backbone {
 public:
  explicit VectorBackbone(const at::Tensor& start)
      : module_(std::make_shared<torch::nn::Module>()),
        theta_(module_->register_parameter("theta", start.clone())) {}
  at::Tensor forward(const at::Tensor& /*images*/) override { return theta_.unsqueeze(0); }
  int64_t features() const override { return size; }
  torch::nn::Module& module() override { return *module_; }
  at::Tensor& theta() { return theta_; }

 private:
  std::shared_ptr<torch::nn::Module> module_;
  at::Tensor theta_;
};

class QuadraticPretext : public Pretext {
 public:
  QuadraticPretext(at::Tensor a, at::Tensor p)
      : a_(std::move(a)), p_(std::move(p)), module_(std::make_shared<torch::nn::Module>()) {}
  int64_t views() const override { return 1; }
  BatchCoupling coupling() const override { return BatchCoupling::separable; }
  at::Tensor loss(Backbone& backbone, const Batch& batch) override {
    const Views& views = batch.views;
    const at::Tensor difference = backbone.forward(views[0]).squeeze(0) - p_;
    return 0.5 * difference.dot(a_.mv(difference));
  }
  torch::nn::Module& module() override { return *module_; }

 private:
  at::Tensor a_;
  at::Tensor p_;
  std::shared_ptr<torch::nn::Module> module_;
};

/// φ is a scalar; the targets say nothing.
class QuadraticDownstream : public Downstream {
 public:
  QuadraticDownstream(at::Tensor t, double phi)
      : t_(std::move(t)), module_(std::make_shared<torch::nn::Module>()) {
    phi_ = module_->register_parameter("phi", torch::full({1}, phi, torch::kDouble));
  }
  at::Tensor forward(const at::Tensor& features) override { return features * phi_; }
  at::Tensor loss(const at::Tensor& outputs, const TargetBatch& /*targets*/) override {
    return 0.5 * (outputs.squeeze(0) - t_).pow(2).sum();
  }
  std::vector<MetricInfo> metric_info() const override { return {}; }
  std::unique_ptr<MetricAccumulator> metrics() const override { return nullptr; }
  torch::nn::Module& module() override { return *module_; }

 private:
  at::Tensor t_;
  std::shared_ptr<torch::nn::Module> module_;
  at::Tensor phi_;
};

class QuadraticTest : public ::testing::Test {
 protected:
  QuadraticTest() {
    torch::manual_seed(2);
    const at::Tensor root = torch::randn({size, size}, torch::kDouble);
    a_ = root.mm(root.t()) / size + 0.1 * torch::eye(size, torch::kDouble);
    p_ = torch::randn({size}, torch::kDouble);
    t_ = torch::randn({size}, torch::kDouble);
    theta_d_ = torch::randn({size}, torch::kDouble);
  }

  at::Tensor solve(const at::Tensor& matrix, const at::Tensor& right) const {
    return torch::linalg_solve(matrix, right.unsqueeze(1)).squeeze(1);
  }
  at::Tensor identity() const { return torch::eye(size, torch::kDouble); }
  at::Tensor lower_minimiser(const at::Tensor& theta_d) const {
    return solve(a_ + lambda * identity(), a_.mv(p_) + lambda * theta_d);
  }

  at::Tensor a_;
  at::Tensor p_;
  at::Tensor t_;
  at::Tensor theta_d_;
};

TEST_F(QuadraticTest, LowerStepsFindTheMinimiser) {
  VectorBackbone lower(torch::zeros({size}, torch::kDouble));
  VectorBackbone upper(theta_d_);
  QuadraticPretext pretext(a_, p_);
  test::PlainDescent descent(lower_parameters(lower, pretext), 0.2);
  LowerLevel level(lower, pretext, descent, 0);
  level.tie_to(upper, lambda);
  const Views views = {torch::zeros({1, 1}, torch::kDouble)};
  PretextStep last;
  for (int i = 0; i < 2000; ++i) {
    last = level.step(views, 1.0, {});
  }
  const at::Tensor expected = lower_minimiser(theta_d_);
  EXPECT_LT((lower.theta() - expected).abs().max().item<double>(), 1e-9);
  EXPECT_NEAR(last.proximity, 0.5 * lambda * (expected - theta_d_).pow(2).sum().item<double>(),
              1e-8);
  EXPECT_TRUE(torch::equal(upper.theta(), theta_d_));
}

TEST_F(QuadraticTest, UpperGradientIsTheDerivativeThroughTheMinimiser) {
  constexpr double phi = 1.3;
  constexpr double gamma = 0.4;
  VectorBackbone lower(lower_minimiser(theta_d_));
  VectorBackbone upper(theta_d_);
  QuadraticPretext pretext(a_, p_);
  QuadraticDownstream downstream(t_, phi);
  Registry registry;
  ASSERT_TRUE(registry.load_library(std::string(test::plugin_folder) + "/cg.so", true));
  const auto component = registry.find(ComponentKind::hypergradient, "cg");
  ComponentChoice choice{component, defaults(component->info.parameters), "test"};
  choice.values["iterations"] = int64_t{50};
  choice.values["damping"] = 0.0;
  choice.values["tolerance"] = 1e-14;
  const auto cg = choice.create<Hypergradient>({});
  const at::Tensor nothing = torch::zeros({1, 1}, torch::kDouble);
  PretextProblem problem(lower, pretext, {Views{nothing}}, {.lambda = lambda});
  test::PlainDescent unused({}, 0.1);
  BisslCoupling coupling({lower, upper, downstream}, gamma);
  UpperLevel level(coupling, *cg, unused, 0);
  const UpperGradient gradient = level.gradient({nothing, {nothing}}, problem, 0);

  const at::Tensor theta_p = lower_minimiser(theta_d_);
  const at::Tensor through = solve(identity() + a_ / lambda, phi * (phi * theta_p - t_));
  const at::Tensor plain = phi * (phi * theta_d_ - t_);
  EXPECT_LT((gradient.values[0] - (through + gamma * plain)).abs().max().item<double>(), 1e-10);
  const double head = theta_p.dot(phi * theta_p - t_).item<double>() +
                      gamma * theta_d_.dot(phi * theta_d_ - t_).item<double>();
  EXPECT_NEAR(gradient.values[1].item<double>(), head, 1e-10);

  // The same once more without the formula: a central difference through the minimiser.
  constexpr double step = 1e-6;
  const auto value = [&](const at::Tensor& theta_d) {
    return 0.5 * (phi * lower_minimiser(theta_d) - t_).pow(2).sum().item<double>() +
           gamma * 0.5 * (phi * theta_d - t_).pow(2).sum().item<double>();
  };
  for (int64_t i = 0; i < size; ++i) {
    const at::Tensor shift = step * identity()[i];
    const double difference = (value(theta_d_ + shift) - value(theta_d_ - shift)) / (2 * step);
    EXPECT_NEAR(gradient.values[0][i].item<double>(), difference, 1e-7);
  }
}

}  // namespace
}  // namespace bissl::host
