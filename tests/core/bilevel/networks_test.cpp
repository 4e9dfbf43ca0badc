// The Hessian of the networks that ship, in double precision.

#include "bilevel/pretext_problem.h"
#include "models/evaluation_guard.h"
#include "models/module_state.h"
#include "reference/golden.h"
#include "sdk/plugin_library.h"

#include <gtest/gtest.h>
#include <torch/types.h>

namespace bissl {
namespace {

class NetworkTest : public ::testing::TestWithParam<std::string> {
 protected:
  NetworkTest() {
    seed_generator(3);
    backbone_ = resnet_.make<Backbone>(GetParam(), {{"stem", "small"}, {"width", int64_t{4}}},
                                       {ImageShape{1, 12, 12}});
    pretext_ = simclr_.make<Pretext>("simclr", {{"projector", std::vector<int64_t>{8, 8}}},
                                     {backbone_->features()});
    convert_to_double(backbone_->module());
    convert_to_double(pretext_->module());
    const at::Tensor views = test::pattern(1, {2, 6, 1, 12, 12}) * 2;
    problem_ = std::make_unique<PretextProblem>(*backbone_, *pretext_,
                                                std::vector<Views>{{views[0], views[1]}},
                                                PretextProblem::Setting{.lambda = 0.1});
  }

  TensorList direction(int64_t k) const {
    TensorList list;
    for (const at::Tensor& parameter : problem_->parameters()) {
      list.push_back(test::pattern(k++, parameter.sizes()));
    }
    return list;
  }

  test::PluginLibrary resnet_{"resnet"};
  test::PluginLibrary simclr_{"simclr"};
  std::shared_ptr<Backbone> backbone_;
  std::shared_ptr<Pretext> pretext_;
  std::unique_ptr<PretextProblem> problem_;
};

TEST_P(NetworkTest, HessianIsSymmetric) {
  const TensorList x = direction(1);
  const TensorList y = direction(1001);
  const double xhy = dot(x, problem_->hessian_product(y));
  const double yhx = dot(y, problem_->hessian_product(x));
  const double size = norm(x) * norm(problem_->hessian_product(y));
  ASSERT_GT(std::abs(xhy), 1e-6 * size) << "the example must not be orthogonal";
  EXPECT_NEAR(xhy, yhx, 1e-12 * size);
}

TEST_P(NetworkTest, HessianIsTheDifferenceOfGradients) {
  const TensorList x = direction(1);
  constexpr double step = 1e-7;
  TensorList shift = copy(x);
  scale(shift, step / norm(x));
  TensorList difference = problem_->gradient(shift);
  scale(shift, -1.0);
  add_scaled(difference, -1.0, problem_->gradient(shift));
  scale(difference, norm(x) / (2 * step));
  const TensorList product = problem_->hessian_product(x);
  add_scaled(difference, -1.0, product);
  EXPECT_LT(norm(difference), 1e-5 * norm(product));
}

TEST_P(NetworkTest, ProductsLeaveBuffersAndGeneratorAlone) {
  const TensorList backbone = copy(tensors_of(module_state(backbone_->module())));
  const TensorList pretext = copy(tensors_of(module_state(pretext_->module())));
  const at::Tensor generator = generator_state();
  problem_->hessian_product(direction(1));
  problem_->gradient(direction(5));
  problem_->layer_gradients();
  EXPECT_TRUE(flatten(tensors_of(module_state(backbone_->module()))).equal(flatten(backbone)));
  EXPECT_TRUE(flatten(tensors_of(module_state(pretext_->module()))).equal(flatten(pretext)));
  EXPECT_TRUE(generator_state().equal(generator));
}

INSTANTIATE_TEST_SUITE_P(Each, NetworkTest, ::testing::Values("resnet18", "resnet50"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace bissl
