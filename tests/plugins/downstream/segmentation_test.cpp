#include "bissl/downstream.h"
#include "bissl/downstream_abilities.h"
#include "bissl/error.h"
#include "plugins/downstream/task_cases.h"
#include "reference/golden.h"
#include "sdk/plugin_library.h"

#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <torch/nn/module.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

namespace bissl::host {
namespace {

using test::pattern;

/// A task of `classes` classes on the four maps of a narrow resnet18, for images of 16 pixels.
struct Task {
  explicit Task(int64_t classes, int64_t levels = 3)
      : backbone(test::shared_library("resnet").make<Backbone>(
            "resnet18", {{"width", int64_t{2}}, {"stem", "small"}}, {.input = {1, 16, 16}})),
        task(test::shared_library("segmentation")
                 .make<Downstream>("segmentation", {{"levels", levels}},
                                   {.features = 16,
                                    .targets = test::targets_of_kind(TargetKind::mask, classes),
                                    .input = {1, 16, 16},
                                    .backbone = backbone.get(),
                                    .backbone_name = "backbone resnet18"})) {}

  std::shared_ptr<Backbone> backbone;
  std::shared_ptr<Downstream> task;
};

TEST(Segmentation, TheHeadAddsScoresFromCoarseToFine) {
  const Task made(3, 2);
  const auto parameters = made.task->module().named_parameters();
  EXPECT_EQ(parameters["score2.weight"].sizes().vec(), (std::vector<int64_t>{3, 8, 1, 1}));
  EXPECT_EQ(parameters["score3.weight"].sizes().vec(), (std::vector<int64_t>{3, 16, 1, 1}));
  EXPECT_EQ(parameters.size(), 4U);
  // Maps of one value each stay so: the scores are those of the two levels, added.
  const c10::NoGradGuard no_grad;
  const TensorList maps = {at::zeros({1, 2, 16, 16}), at::zeros({1, 4, 8, 8}),
                           at::full({1, 8, 4, 4}, 0.5), at::full({1, 16, 2, 2}, 2.0)};
  const at::Tensor outputs = capability<MapHead>(*made.task)->forward_maps(maps, {1, 16, 16});
  ASSERT_EQ(outputs.sizes().vec(), (std::vector<int64_t>{1, 3, 16, 16}));
  const at::Tensor expected =
      parameters["score2.weight"].sum({1, 2, 3}) * 0.5 + parameters["score2.bias"] +
      parameters["score3.weight"].sum({1, 2, 3}) * 2.0 + parameters["score3.bias"];
  EXPECT_TRUE(outputs.allclose(expected.view({1, 3, 1, 1}).expand({1, 3, 16, 16}), 1e-4, 1e-5));
}

TEST(Segmentation, PixelsThatDoNotCountAreLeftOut) {
  const Task made(3);
  at::Tensor logits = pattern(4, {2, 3, 4, 4}) * 5;
  at::Tensor masks = pattern(5, {2, 4, 4}).add(0.5).mul(3).floor().to(at::kLong);
  const double whole = made.task->loss(logits, {masks}).item<double>();
  EXPECT_NEAR(whole,
              logits.log_softmax(1).gather(1, masks.unsqueeze(1)).mean().neg().item<double>(),
              1e-12);
  // The second image alone.
  masks[0].fill_(255);
  EXPECT_NEAR(made.task->loss(logits, {masks}).item<double>(),
              made.task->loss(logits.narrow(0, 1, 1), {masks.narrow(0, 1, 1)}).item<double>(),
              1e-12);
  masks.fill_(255);
  EXPECT_EQ(made.task->loss(logits, {masks}).item<double>(), 0);
}

std::map<std::string, double> scores(const Task& made, const at::Tensor& outputs,
                                     const at::Tensor& masks) {
  const auto accumulator = made.task->metrics();
  accumulator->add(outputs, {masks});
  std::map<std::string, double> values;
  for (const auto& [name, value] : accumulator->result()) {
    values.emplace(name, value);
  }
  return values;
}

TEST(Segmentation, IntersectionOverUnionByHand) {
  const Task made(3);
  // Truth 0 0 1 1 and a pixel that does not count; predicted 0 1 1 1 0.
  const at::Tensor masks = at::tensor({0, 0, 1, 1, 255}, at::kLong).view({1, 1, 5});
  at::Tensor logits = at::zeros({1, 3, 1, 5}, at::kDouble);
  const std::vector<int64_t> predicted = {0, 1, 1, 1, 0};
  for (int64_t i = 0; i < 5; ++i) {
    logits[0][predicted[static_cast<size_t>(i)]][0][i] = 1.0;
  }
  const auto found = scores(made, logits, masks);
  // Class 0: 1 of 2 pixels; class 1: 2 of 3; class 2 is neither there nor predicted.
  EXPECT_NEAR(found.at("miou"), (0.5 + 2.0 / 3.0) / 2, 1e-12);
  EXPECT_NEAR(found.at("pixel_accuracy"), 0.75, 1e-12);
  const double right = std::log(std::exp(1.0) + 2) - 1;
  EXPECT_NEAR(found.at("loss"), (3 * right + right + 1) / 4, 1e-12);
}

TEST(Segmentation, NothingToScoreIsNotANumber) {
  const Task made(3);
  const auto found = scores(made, at::zeros({1, 3, 2, 2}), at::full({1, 2, 2}, 255, at::kLong));
  EXPECT_TRUE(std::isnan(found.at("miou")));
  EXPECT_TRUE(std::isnan(found.at("loss")));
}

TEST(Segmentation, RefusesMoreMapsThanThereAre) {
  try {
    const Task made(3, 5);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("reads levels = 5 feature maps; backbone resnet18"),
              std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace bissl::host
