// The Hessian of the networks that ship, in double precision.

#include "bilevel/lower_level.h"
#include "bilevel/lower_trajectory.h"
#include "bilevel/pretext_problem.h"
#include "bissl/system_abilities.h"
#include "models/evaluation_guard.h"
#include "models/module_state.h"
#include "models/second_backbone.h"
#include "reference/golden.h"
#include "sdk/plugin_library.h"
#include "small_models.h"

#include <gtest/gtest.h>
#include <torch/types.h>

namespace bissl::host {
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
                                                std::vector<Batch>{Views{views[0], views[1]}},
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

/// Tasks that carry more than weights: a teacher, a queue.
class StatefulTaskTest : public ::testing::TestWithParam<std::string> {
 protected:
  StatefulTaskTest() {
    seed_generator(3);
    backbone_ = make_backbone();
    const SecondBackbones second(*backbone_, [this] { return make_backbone(); });
    const std::vector<int64_t> widths = {8, 4};
    const ParameterValues values =
        GetParam() == "byol"
            ? ParameterValues{{"projector", widths}, {"predictor", std::vector<int64_t>{8}}}
            : ParameterValues{
                  {"projector", widths}, {"prototypes", int64_t{5}}, {"queue", int64_t{6}}};
    const test::PluginLibrary library(GetParam());
    pretext_ = library.make<Pretext>(GetParam(), values,
                                     {.features = backbone_->features(),
                                      .views = {ImageShape{1, 12, 12}},
                                      .steps = 10,
                                      .samples = 100,
                                      .batch = 6,
                                      .hessian_batch = 6,
                                      .make_backbone = second.maker()});
    convert_to_double(backbone_->module());
    convert_to_double(pretext_->module());
  }

  std::shared_ptr<Backbone> make_backbone() const {
    return resnet_.make<Backbone>("resnet18", {{"stem", "small"}, {"width", int64_t{4}}},
                                  {ImageShape{1, 12, 12}});
  }

  static Views views(int64_t k) { return (test::pattern(k, {2, 6, 1, 12, 12}) * 2).unbind(); }

  TensorList state() const {
    TensorList all = copy(tensors_of(module_state(backbone_->module())));
    for (const auto& entry : module_state(pretext_->module())) {
      all.push_back(entry.tensor.clone());
    }
    return all;
  }

  test::PluginLibrary resnet_{"resnet"};
  std::shared_ptr<Backbone> backbone_;
  std::shared_ptr<Pretext> pretext_;
};

TEST_P(StatefulTaskTest, ProductsLeaveTeacherAndQueueAlone) {
  // Two steps of training, so that the queue is full and the teacher another than the student.
  test::PlainDescent descent(lower_parameters(*backbone_, *pretext_), 0.05);
  LowerLevel level(*backbone_, *pretext_, descent, 0);
  LowerTrajectory trajectory(*backbone_, *pretext_, 2, 0.1);
  for (int64_t step = 0; step < 2; ++step) {
    level.step(views(step), 1.0, {step, 10},
               {.before_loss = [&] { trajectory.before_step(views(step), step); },
                .before_update =
                    [&](const TensorList& gradients, double clip) {
                      trajectory.with_gradients(descent, gradients, 1.0, clip);
                    }});
  }
  const TensorList before = state();
  PretextProblem problem(*backbone_, *pretext_, {views(7)}, {.lambda = 0.1});
  TensorList x;
  for (const at::Tensor& parameter : problem.parameters()) {
    x.push_back(test::pattern(int64_t(x.size()), parameter.sizes()));
  }
  const TensorList product = problem.hessian_product(x);
  EXPECT_GT(norm(product), 0);
  problem.gradient(x);
  for (const LowerStep& step : trajectory.steps()) {
    step.system->hessian_product(x);
    step.system->gradient(x);
  }
  const TensorList after = state();
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_TRUE(after[i].equal(before[i])) << i;
  }
  // A graph that is built for each product gives the same.
  PretextProblem recomputed(*backbone_, *pretext_, {views(7)},
                            {.lambda = 0.1, .recompute_graph = true});
  EXPECT_TRUE(flatten(recomputed.hessian_product(x)).equal(flatten(product)));
}

TEST_P(StatefulTaskTest, ExactProductsAreDifferencesWithFixedTargets) {
  PretextProblem problem(*backbone_, *pretext_, {views(7)}, {.lambda = 0.1});
  TensorList x;
  for (const at::Tensor& parameter : problem.parameters()) {
    x.push_back(test::pattern(int64_t(x.size()), parameter.sizes()));
  }
  const TensorList product = problem.hessian_product(x);
  constexpr double step = 1e-7;
  TensorList shift = copy(x);
  scale(shift, step / norm(x));
  TensorList difference = problem.gradient(shift);
  scale(shift, -1.0);
  add_scaled(difference, -1.0, problem.gradient(shift));
  scale(difference, norm(x) / (2 * step));
  add_scaled(difference, -1.0, product);
  const double error = norm(difference) / norm(product);
  if (pretext_->holds_targets_fixed()) {
    EXPECT_GT(error, 1e-3) << "differences move the assignments";
  } else {
    EXPECT_LT(error, 1e-5);
  }
}

INSTANTIATE_TEST_SUITE_P(Each, StatefulTaskTest, ::testing::Values("byol", "swav"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace bissl::host
