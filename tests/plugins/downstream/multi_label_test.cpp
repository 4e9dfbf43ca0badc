#include "bissl/downstream.h"
#include "plugins/downstream/task_cases.h"
#include "reference/golden.h"
#include "sdk/plugin_library.h"

#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <limits>

namespace bissl::host {
namespace {

using nlohmann::json;
using test::metrics_of;
using test::targets_of;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

std::shared_ptr<Downstream> make(int64_t labels) {
  const test::PluginLibrary& library = test::shared_library("multi-label");
  return library.make<Downstream>(
      "multi-label", {},
      {.features = 3, .targets = test::targets_of_kind(TargetKind::multi_label, labels)});
}

TargetBatch column(std::vector<double> values) {
  return {at::tensor(std::move(values), at::kDouble).unsqueeze(1)};
}

/// mAP of one label.
double average_precision(std::vector<double> scores, std::vector<double> targets,
                         const char* form = "mAP") {
  return metrics_of(*make(1), at::tensor(std::move(scores), at::kDouble).unsqueeze(1),
                    column(std::move(targets)))
      .at(form);
}

TEST(MultiLabel, LossGradientAndMetricsFollowTheReference) {
  const json golden = test::golden("targets.json");
  for (const json& expected : golden["multi_label"]) {
    const int64_t labels = expected["labels"];
    SCOPED_TRACE(labels);
    const at::Tensor outputs =
        at::tensor(expected["outputs"].get<std::vector<double>>(), at::kDouble)
            .reshape({-1, labels})
            .requires_grad_();
    const TargetBatch targets = targets_of(expected["targets"], labels);
    const auto task = make(labels);
    const at::Tensor loss = task->loss(outputs, targets);
    EXPECT_EQ(loss.dim(), 0);
    EXPECT_NEAR(loss.item<double>(), expected["loss"].get<double>(), 1e-12);
    loss.backward();
    EXPECT_TRUE(test::close(outputs.grad(), expected["gradient"], 1e-12));
    for (const std::vector<int64_t>& sizes :
         {std::vector<int64_t>{}, std::vector<int64_t>{7, 7}, std::vector<int64_t>{1, 13, 2}}) {
      const auto metrics = metrics_of(*task, outputs.detach(), targets, sizes);
      for (const char* name : {"mAP", "mAP11", "loss"}) {
        EXPECT_NEAR(metrics.at(name), expected[name].get<double>(), 1e-12) << name;
      }
    }
  }
}

TEST(MultiLabel, AveragePrecisionByHand) {
  // Ranks 1 and 4 are right: precision 1 up to a recall of 1/2, then 2/4.
  EXPECT_DOUBLE_EQ(average_precision({4, 3, 2, 1}, {1, 0, 0, 1}), 0.5 * 1 + 0.5 * 0.5);
  EXPECT_DOUBLE_EQ(average_precision({4, 3, 2, 1}, {1, 0, 0, 1}, "mAP11"), (6 * 1 + 5 * 0.5) / 11);
  // Precision is lower at rank 2 than at rank 4, which finds more: the better one counts.
  EXPECT_DOUBLE_EQ(average_precision({5, 4, 3, 2, 1}, {0, 1, 1, 1, 0}), 0.75);
  EXPECT_DOUBLE_EQ(average_precision({2, 1}, {1, 0}), 1);
  EXPECT_DOUBLE_EQ(average_precision({1, 2}, {1, 0}), 0.5);
}

TEST(MultiLabel, SamplesOfOneScoreHaveNoOrder) {
  EXPECT_DOUBLE_EQ(average_precision({1, 1, 1, 1}, {1, 0, 0, 1}), 0.5);
  EXPECT_DOUBLE_EQ(average_precision({1, 1, 1, 1}, {0, 1, 1, 0}, "mAP11"), 0.5);
  EXPECT_DOUBLE_EQ(average_precision({3, 2, 2}, {0, 1, 0}),
                   average_precision({3, 2, 2}, {0, 0, 1}));
}

TEST(MultiLabel, AScoreThatIsNoNumberRanksLast) {
  EXPECT_DOUBLE_EQ(average_precision({nan, 2, 1}, {1, 0, 0}), 1.0 / 3);
  EXPECT_DOUBLE_EQ(average_precision({nan, nan}, {1, 0}), 0.5);
}

TEST(MultiLabel, WhatDoesNotCountIsLeftOut) {
  EXPECT_DOUBLE_EQ(average_precision({3, 2, 1}, {nan, 1, 0}), 1)
      << "a difficult sample ranks first";
  const auto task = make(2);
  const TargetBatch targets{at::tensor({1.0, nan, 0.0, nan}, at::kDouble).reshape({2, 2})};
  at::Tensor outputs = at::tensor({2.0, 5.0, -1.0, -7.0}, at::kDouble).reshape({2, 2});
  const auto before = metrics_of(*task, outputs, targets);
  const double loss = task->loss(outputs, targets).item<double>();
  outputs.select(1, 1).fill_(100);
  EXPECT_EQ(metrics_of(*task, outputs, targets), before);
  EXPECT_EQ(task->loss(outputs, targets).item<double>(), loss);
  EXPECT_DOUBLE_EQ(before.at("mAP"), 1) << "a label of which nothing counts has no precision";
}

TEST(MultiLabel, NothingToScoreIsNotANumber) {
  const auto task = make(2);
  const TargetBatch negatives{at::zeros({3, 2})};
  const auto metrics = metrics_of(*task, at::zeros({3, 2}), negatives);
  EXPECT_TRUE(std::isnan(metrics.at("mAP")));
  EXPECT_TRUE(std::isnan(metrics.at("mAP11")));
  EXPECT_NEAR(metrics.at("loss"), std::log(2.0), 1e-9);
  const TargetBatch nothing{at::full({3, 2}, nan)};
  EXPECT_TRUE(std::isnan(metrics_of(*task, at::zeros({3, 2}), nothing).at("loss")));
  const at::Tensor outputs = at::zeros({3, 2}).requires_grad_();
  const at::Tensor loss = task->loss(outputs, nothing);
  EXPECT_EQ(loss.item<double>(), 0);
  loss.backward();
  EXPECT_EQ(outputs.grad().abs().sum().item<double>(), 0);
}

TEST(MultiLabel, IsALinearLayerWithALogitForEachLabel) {
  const auto task = make(4);
  const auto parameters = task->module().named_parameters();
  EXPECT_EQ(parameters["fc.weight"].sizes(), (std::vector<int64_t>{4, 3}));
  EXPECT_EQ(task->forward(at::zeros({5, 3})).sizes(), (std::vector<int64_t>{5, 4}));
}

}  // namespace
}  // namespace bissl::host
