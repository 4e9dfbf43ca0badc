#include "bissl/error.h"
#include "bissl/pretext.h"
#include "reference/golden.h"
#include "reference/second_order.h"
#include "sdk/plugin_library.h"

#include <torch/nn/modules/linear.h>

#include <map>
#include <string>
#include <vector>

namespace bissl::host {
namespace {

using nlohmann::json;
using test::close;
using test::pattern;

const test::PluginLibrary& library() { return test::shared_library("simclr"); }

/// Features that are the images' pixels.
class Pixels : public Backbone {
 public:
  at::Tensor forward(const at::Tensor& images) override { return images.flatten(1); }
  int64_t features() const override { return 6; }
  torch::nn::Module& module() override { return module_; }

 private:
  torch::nn::Module module_;
};

/// Features that are linear in the pixels.
class LinearBackbone : public Backbone {
 public:
  LinearBackbone() : layer_(6, 6) {
    layer_->to(at::kDouble);
    const c10::NoGradGuard no_grad;
    layer_->weight.copy_(pattern(50, {6, 6}));
    layer_->bias.copy_(pattern(51, {6}));
  }
  at::Tensor forward(const at::Tensor& images) override { return layer_(images.flatten(1)); }
  int64_t features() const override { return 6; }
  torch::nn::Module& module() override { return *layer_; }

 private:
  torch::nn::Linear layer_;
};

/// simclr with the projector 6 → 5 → 4 → 3 and the weights of tests/reference/training.py.
std::shared_ptr<Pretext> make(const std::string& forward) {
  auto pretext = library().make<Pretext>(
      "simclr",
      {{"forward", forward}, {"temperature", 0.2}, {"projector", std::vector<int64_t>{5, 4, 3}}},
      {.features = 6});
  pretext->module().to(at::kDouble);
  const c10::NoGradGuard no_grad;
  int64_t k = 10;
  for (at::Tensor& parameter : pretext->module().parameters()) {
    parameter.copy_(pattern(k++, parameter.sizes()) * 2);
  }
  return pretext;
}

Views two_views() { return pattern(5, {2, 4, 1, 2, 3}).unbind(); }

TEST(SimClr, ComputesWhatPyTorchComputes) {
  const json golden = test::golden("losses.json");
  for (const json& expected : golden["simclr"]) {
    const auto forward = expected["forward"].get<std::string>();
    SCOPED_TRACE(forward);
    const auto pretext = make(forward);
    Pixels backbone;
    const at::Tensor loss = pretext->loss(backbone, two_views());
    EXPECT_NEAR(loss.item<double>(), expected["train"].get<double>(), 1e-10);
    loss.backward();
    const std::vector<at::Tensor> parameters = pretext->module().parameters();
    ASSERT_EQ(parameters.size(), expected["gradients"].size());
    for (size_t i = 0; i < parameters.size(); ++i) {
      EXPECT_TRUE(close(parameters[i].grad(), expected["gradients"][i], 1e-9)) << i;
    }
    pretext->module().eval();
    EXPECT_NEAR(pretext->loss(backbone, two_views()).item<double>(), expected["eval"].get<double>(),
                1e-10);
  }
}

TEST(SimClr, JointAndSeparateDifferByBatchStatisticsOnly) {
  const auto joint = make("joint");
  const auto separate = make("separate");
  Pixels backbone;
  const auto difference = [&] {
    return std::abs(joint->loss(backbone, two_views()).item<double>() -
                    separate->loss(backbone, two_views()).item<double>());
  };
  // Scored before training, so that both have the same running statistics.
  joint->module().eval();
  separate->module().eval();
  EXPECT_LT(difference(), 1e-12);
  joint->module().train();
  separate->module().train();
  EXPECT_GT(difference(), 1e-3);
}

TEST(SimClr, IsTwiceDifferentiableInTheBackbone) {
  for (const std::string forward : {"joint", "separate"}) {
    SCOPED_TRACE(forward);
    const auto pretext = make(forward);
    LinearBackbone backbone;
    test::expect_hessian_products(
        backbone.module().parameters(), [&] { return pretext->loss(backbone, two_views()); }, 1e-5);
  }
}

TEST(SimClr, WantsTwoViewsOfWholeBatches) {
  EXPECT_EQ(make("joint")->views(), 2);
  EXPECT_EQ(make("joint")->coupling(), BatchCoupling::gathered);
}

TEST(SimClr, RefusesABatchOfOne) {
  Pixels backbone;
  for (const std::string forward : {"joint", "separate"}) {
    try {
      make(forward)->loss(backbone, pattern(5, {2, 1, 1, 2, 3}).unbind());
      FAIL() << "no error";
    } catch (const Error& error) {
      EXPECT_STREQ(error.what(),
                   "simclr compares the samples of a batch, so it needs at least 2; found 1");
      EXPECT_EQ(error.kind(), ErrorKind::input);
    }
  }
}

std::map<std::string, std::vector<int64_t>> projector(const std::vector<int64_t>& widths) {
  const auto pretext = library().make<Pretext>("simclr", {{"projector", widths}}, {.features = 10});
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const auto& item : pretext->module().named_parameters()) {
    shapes[item.key()] = item.value().sizes().vec();
  }
  return shapes;
}

TEST(SimClr, TheProjectorHasTheWidthsAndNoBiasAtItsEnd) {
  using Shapes = std::map<std::string, std::vector<int64_t>>;
  EXPECT_EQ(projector({7}), (Shapes{{"0.weight", {7, 10}}}));
  EXPECT_EQ(projector({8, 7}), (Shapes{{"0.weight", {8, 10}},
                                       {"0.bias", {8}},
                                       {"1.weight", {8}},
                                       {"1.bias", {8}},
                                       {"3.weight", {7, 8}}}));
  EXPECT_EQ(projector({256, 256, 256}).size(), 9U);
}

TEST(SimClr, RulesRefuseWhatCannotWork) {
  EXPECT_EQ(library().findings("simclr", {}), std::vector<std::string>{});
  EXPECT_EQ(library().findings("simclr", {{"projector", std::vector<int64_t>{}}}),
            std::vector<std::string>{"projector: needs at least one layer"});
  EXPECT_THROW(library().values("simclr", {{"projector", std::vector<int64_t>{8, 0}}}),
               std::invalid_argument);
  EXPECT_THROW(library().values("simclr", {{"temperature", 0.0}}), std::invalid_argument);
  EXPECT_THROW(library().values("simclr", {{"forward", "both"}}), std::invalid_argument);
}

}  // namespace
}  // namespace bissl::host
