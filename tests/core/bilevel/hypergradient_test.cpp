// The hypergradient on a small model in double precision, compared with dense algebra.

#include "bilevel/bissl_coupling.h"
#include "bilevel/pretext_problem.h"
#include "bilevel/upper_level.h"
#include "bissl/error.h"
#include "models/gradients.h"
#include "models/guarded.h"
#include "models/module_state.h"
#include "plugins/registry.h"
#include "small_models.h"
#include "support/paths.h"

#include <gtest/gtest.h>
#include <torch/types.h>

namespace bissl::host {
namespace {

/// The approximator as the host gets it: from its library.
std::shared_ptr<Hypergradient> make_cg(int64_t iterations, double damping, double tolerance = 0) {
  static Registry* registry = [] {
    auto* made = new Registry;
    made->load_library(std::string(test::plugin_folder) + "/cg.so", true);
    return made;
  }();
  const auto component = registry->find(ComponentKind::hypergradient, "cg");
  ComponentChoice choice{component, defaults(component->info.parameters), "test"};
  choice.values["iterations"] = iterations;
  choice.values["damping"] = damping;
  choice.values["tolerance"] = tolerance;
  return choice.create<Hypergradient>({});
}

class HypergradientTest : public ::testing::Test {
 protected:
  HypergradientTest() {
    torch::manual_seed(11);
    backbone_ = std::make_unique<test::SmallBackbone>();
    pretext_ = std::make_unique<test::SmallPretext>();
    parameters_ = tensors_of(trainable_parameters(backbone_->module()));
    views_ = test::small_views(2, 8);
  }

  PretextProblem problem(double lambda = 0.5, uint64_t noise = 5) {
    return PretextProblem(*backbone_, *pretext_, {views_}, {.lambda = lambda, .noise_seed = noise});
  }

  /// The Hessian, a column for each product with a unit vector.
  at::Tensor dense_hessian() {
    PretextProblem lower = problem();
    const int64_t size = flatten(parameters_).numel();
    std::vector<at::Tensor> columns;
    for (int64_t i = 0; i < size; ++i) {
      at::Tensor unit = torch::zeros({size}, torch::kDouble);
      unit[i] = 1.0;
      columns.push_back(flatten(lower.hessian_product(unflatten(unit, parameters_))));
    }
    return torch::stack(columns, 1);
  }

  TensorList random_list() {
    TensorList list;
    for (const at::Tensor& parameter : parameters_) {
      list.push_back(torch::randn_like(parameter));
    }
    return list;
  }

  std::unique_ptr<test::SmallBackbone> backbone_;
  std::unique_ptr<test::SmallPretext> pretext_;
  TensorList parameters_;
  Views views_;
};

TEST_F(HypergradientTest, ProductEqualsCentralDifferenceOfGradients) {
  PretextProblem lower = problem();
  const TensorList x = random_list();
  const at::Tensor product = flatten(lower.hessian_product(x));
  constexpr double step = 1e-5;
  TensorList forward = copy(x);
  scale(forward, step);
  TensorList backward = copy(x);
  scale(backward, -step);
  const at::Tensor difference =
      (flatten(lower.gradient(forward)) - flatten(lower.gradient(backward))) / (2 * step);
  const double error = (product - difference).norm().item<double>();
  EXPECT_LT(error, 1e-7 * product.norm().item<double>());
}

TEST_F(HypergradientTest, HessianIsSymmetric) {
  const at::Tensor hessian = dense_hessian();
  EXPECT_GT(hessian.norm().item<double>(), 1e-3);
  EXPECT_LT((hessian - hessian.t()).abs().max().item<double>(), 1e-12);
}

TEST_F(HypergradientTest, ConjugateGradientEqualsTheDenseSolve) {
  constexpr double lambda = 0.5;
  constexpr double damping = 4.5;
  const at::Tensor hessian = dense_hessian();
  const int64_t size = hessian.size(0);
  const at::Tensor system = torch::eye(size, torch::kDouble) + hessian / (lambda + damping);
  ASSERT_GT(std::get<0>(torch::linalg_eigh(system)).min().item<double>(), 0.0)
      << "the example must be positive definite";
  const TensorList u = random_list();
  const at::Tensor expected = torch::linalg_solve(system, flatten(u).unsqueeze(1)).squeeze(1);

  PretextProblem lower = problem(lambda);
  const HypergradientSolution solution = make_cg(4 * size, damping, 1e-13)->solve(u, lower);
  EXPECT_EQ(solution.status, SolveStatus::converged);
  const double error = (flatten(solution.v) - expected).norm().item<double>();
  EXPECT_LE(error, 1e-8 * expected.norm().item<double>());
}

TEST_F(HypergradientTest, SolveLeavesModelsAndGeneratorAlone) {
  const NamedTensors before_backbone = module_state(backbone_->module());
  TensorList saved;
  for (const auto& entry : before_backbone) {
    saved.push_back(entry.tensor.clone());
  }
  const TensorList u = random_list();
  torch::manual_seed(3);
  const at::Tensor expected = torch::rand({3});
  torch::manual_seed(3);
  PretextProblem lower = problem();
  make_cg(5, 10.0)->solve(u, lower);
  lower.gradient(copy(parameters_));
  for (size_t i = 0; i < saved.size(); ++i) {
    EXPECT_TRUE(torch::equal(saved[i], before_backbone[i].tensor)) << before_backbone[i].name;
  }
  EXPECT_TRUE(torch::equal(expected, torch::rand({3})));
}

/// An approximator that is at fault must not make the host read past the end of a list.
TEST_F(HypergradientTest, VectorsUnlikeTheParametersAreRefused) {
  TensorList few = random_list();
  few.pop_back();
  TensorList reshaped = random_list();
  reshaped[0] = reshaped[0].unsqueeze(0);
  TensorList undefined = random_list();
  undefined[1] = at::Tensor();
  const at::Tensor before = flatten(parameters_);
  PretextProblem lower = problem();
  for (const TensorList& wrong : {few, reshaped, undefined}) {
    EXPECT_THROW(lower.hessian_product(wrong), Error);
    EXPECT_THROW(lower.gradient(wrong), Error);
  }
  EXPECT_TRUE(torch::equal(flatten(parameters_), before));
}

/// Gives one tensor too few.
class ShortSolution : public Hypergradient {
 public:
  HypergradientSolution solve(const TensorList& u, ImplicitSystem& /*system*/) override {
    HypergradientSolution solution;
    solution.v = copy(u);
    solution.v.pop_back();
    return solution;
  }
  HypergradientNeeds needs() const override { return {}; }
};

TEST_F(HypergradientTest, ASolutionUnlikeUIsAnErrorOfTheApproximator) {
  RegisteredComponent component;
  component.info.kind = ComponentKind::hypergradient;
  component.info.text.name = "short";
  component.info.create = [](const ParameterValues&, const void*) -> std::shared_ptr<void> {
    return std::static_pointer_cast<Hypergradient>(std::make_shared<ShortSolution>());
  };
  component.library.path = "short.so";
  const ComponentChoice choice{
      std::make_shared<const RegisteredComponent>(component), {}, "p.toml:1:1"};
  const auto approximator = create_guarded(choice, HypergradientContext{});
  PretextProblem lower = problem();
  std::string message;
  try {
    approximator->solve(random_list(), lower);
  } catch (const Error& error) {
    message = error.what();
  }
  EXPECT_TRUE(message.starts_with(
      "hypergradient short (library short.so, used at p.toml:1:1), in solve: v has "))
      << message;
}

TEST_F(HypergradientTest, NoiseInTheLossIsTheSameForAllProducts) {
  test::SmallPretext noisy(/*noise=*/0.5);
  PretextProblem lower(*backbone_, noisy, {views_}, {.lambda = 0.5, .noise_seed = 9});
  const TensorList x = random_list();
  const at::Tensor first = flatten(lower.hessian_product(x));
  torch::rand({10});
  EXPECT_TRUE(torch::equal(first, flatten(lower.hessian_product(x))));
  PretextProblem same_seed(*backbone_, noisy, {views_}, {.lambda = 0.5, .noise_seed = 9});
  EXPECT_TRUE(torch::equal(first, flatten(same_seed.hessian_product(x))));
  PretextProblem other_seed(*backbone_, noisy, {views_}, {.lambda = 0.5, .noise_seed = 10});
  EXPECT_FALSE(torch::equal(first, flatten(other_seed.hessian_product(x))));
}

TEST_F(HypergradientTest, UpperGradientPutsItsPartsTogether) {
  constexpr double gamma = 0.3;
  constexpr double damping = 4.5;
  test::SmallBackbone upper;
  test::SmallDownstream downstream;
  const at::Tensor images = test::small_views(1, 6)[0];
  const TargetBatch targets = test::small_targets(6);
  const auto gradient_at = [&](test::SmallBackbone& backbone, torch::nn::Module& of) {
    return flatten(
        gradients_of(downstream.loss(downstream.forward(backbone.forward(images)), targets),
                     tensors_of(trainable_parameters(of))));
  };
  const at::Tensor u = gradient_at(*backbone_, backbone_->module());
  const at::Tensor plain = gradient_at(upper, upper.module());
  const at::Tensor head = gradient_at(*backbone_, downstream.module());
  const at::Tensor plain_head = gradient_at(upper, downstream.module());
  PretextProblem lower = problem(0.5);
  const auto cg = make_cg(200, damping, 1e-13);
  const at::Tensor v = flatten(cg->solve(unflatten(u, parameters_), lower).v);

  test::PlainDescent unused({}, 0.1);
  BisslCoupling coupling({*backbone_, upper, downstream}, gamma);
  UpperLevel level(coupling, *cg, unused, 0);
  const UpperGradient gradient = level.gradient({images, targets}, lower, 1);
  const auto middle = gradient.values.begin() + static_cast<int64_t>(parameters_.size());
  const TensorList of_backbone(gradient.values.begin(), middle);
  const TensorList of_head(middle, gradient.values.end());
  EXPECT_LT((flatten(of_backbone) - (v + gamma * plain)).abs().max().item<double>(), 1e-10);
  EXPECT_LT((flatten(of_head) - (head + gamma * plain_head)).abs().max().item<double>(), 1e-10);
  EXPECT_NEAR(gradient.report.u_norm, u.norm().item<double>(), 1e-10);
}

TEST_F(HypergradientTest, UpperStepLeavesTheLowerModelAlone) {
  test::SmallBackbone upper;
  test::SmallDownstream downstream;
  const at::Tensor lower_mean = backbone_->normalisation()->running_mean.clone();
  const at::Tensor lower_weights = flatten(parameters_).clone();
  const at::Tensor upper_mean = upper.normalisation()->running_mean.clone();
  test::PlainDescent descent(upper_parameters(upper, downstream), 0.1);
  PretextProblem lower = problem();
  const auto cg = make_cg(3, 1.5);
  BisslCoupling coupling({*backbone_, upper, downstream}, 0.3);
  UpperLevel level(coupling, *cg, descent, 10);
  level.step({test::small_views(1, 6)[0], test::small_targets(6)}, lower, 1, 1.0);
  EXPECT_TRUE(torch::equal(lower_mean, backbone_->normalisation()->running_mean));
  EXPECT_TRUE(torch::equal(lower_weights, flatten(parameters_)));
  EXPECT_FALSE(torch::equal(upper_mean, upper.normalisation()->running_mean));
}

TEST_F(HypergradientTest, SeveralBatchesGiveTheMeanOfTheirHessians) {
  const TensorList x = random_list();
  const Views other = test::small_views(2, 12);
  PretextProblem both(*backbone_, *pretext_, {views_, other}, {.lambda = 0.5});
  PretextProblem first(*backbone_, *pretext_, {views_}, {.lambda = 0.5});
  PretextProblem second(*backbone_, *pretext_, {other}, {.lambda = 0.5});
  const at::Tensor mean =
      (flatten(first.hessian_product(x)) + flatten(second.hessian_product(x))) / 2;
  EXPECT_LT((flatten(both.hessian_product(x)) - mean).norm().item<double>(), 1e-12);
  const at::Tensor gradient = (flatten(first.gradient({})) + flatten(second.gradient({}))) / 2;
  EXPECT_LT((flatten(both.gradient({})) - gradient).norm().item<double>(), 1e-12);
}

TEST_F(HypergradientTest, FreshBatchesGiveTheirOwnHessianAtTheSameWeights) {
  const TensorList x = random_list();
  const Views other = test::small_views(2, 12);
  std::vector<int64_t> asked;
  PretextProblem lower(*backbone_, *pretext_, {views_}, {.lambda = 0.5},
                       {.fresh = [&](int64_t index) {
                         asked.push_back(index);
                         return other;
                       }});
  PretextProblem expected(*backbone_, *pretext_, {other}, {.lambda = 0.5});
  auto* fresh = capability<FreshBatches>(lower);
  ASSERT_NE(fresh, nullptr);
  for (const int64_t index : {0, 1}) {
    ImplicitSystem& system = fresh->fresh_system(index);
    EXPECT_TRUE(flatten(system.hessian_product(x)).equal(flatten(expected.hessian_product(x))));
    EXPECT_EQ(system.weight(), 0.5);
    EXPECT_NE(system.id(), lower.id());
  }
  EXPECT_EQ(asked, (std::vector<int64_t>{0, 1}));
  EXPECT_EQ(lower.products(), 0);
  EXPECT_EQ(capability<FreshBatches>(expected), nullptr);
}

TEST_F(HypergradientTest, ARecomputedGraphGivesTheSameProducts) {
  test::SmallPretext noisy(0.3);
  const TensorList x = random_list();
  PretextProblem kept(*backbone_, noisy, {views_}, {.lambda = 0.5, .noise_seed = 4});
  PretextProblem recomputed(*backbone_, noisy, {views_},
                            {.lambda = 0.5, .noise_seed = 4, .recompute_graph = true});
  const at::Tensor buffers = flatten(backbone_->module().buffers()).clone();
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(flatten(kept.hessian_product(x)).equal(flatten(recomputed.hessian_product(x))));
  }
  EXPECT_TRUE(flatten(backbone_->module().buffers()).equal(buffers));
}

/// A loss over distances, whose gradient LibTorch cannot differentiate again.
class DistancePretext : public test::SmallPretext {
 public:
  at::Tensor loss(Backbone& backbone, const Batch& batch) override {
    const Views& views = batch.views;
    return torch::cdist(backbone.forward(views[0]), backbone.forward(views[1]), 3.0).mean();
  }
};

TEST_F(HypergradientTest, AMissingSecondDerivativeNamesTheOperation) {
  DistancePretext pretext;
  PretextProblem lower(*backbone_, pretext, {views_}, {.lambda = 0.5});
  EXPECT_TRUE(all_finite(lower.gradient({}))) << "a first derivative it has";
  try {
    lower.hessian_product(random_list());
    FAIL() << "there is no such derivative";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_NE(std::string(error.what()).find("\"_cdist_backward\""), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace bissl::host
