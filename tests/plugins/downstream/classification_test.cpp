#include "bissl/downstream.h"
#include "bissl/error.h"
#include "plugins/downstream/task_cases.h"
#include "reference/golden.h"
#include "sdk/plugin_library.h"

#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <torch/nn/module.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

namespace bissl::host {
namespace {

using nlohmann::json;
using test::close;
using test::pattern;

const test::PluginLibrary& library() { return test::shared_library("classification"); }

std::shared_ptr<Downstream> make(int64_t classes, double smoothing = 0.0) {
  return library().make<Downstream>(
      "classification", {{"label_smoothing", smoothing}},
      {.features = 3, .targets = test::targets_of_kind(TargetKind::category, classes)});
}

at::Tensor rows(std::vector<std::vector<double>> values) {
  at::Tensor tensor = at::zeros(
      {static_cast<int64_t>(values.size()), static_cast<int64_t>(values[0].size())}, at::kDouble);
  for (size_t i = 0; i < values.size(); ++i) {
    tensor[static_cast<int64_t>(i)].copy_(at::tensor(values[i], at::kDouble));
  }
  return tensor;
}

TargetBatch labels(std::vector<int64_t> values) { return {at::tensor(values, at::kLong)}; }

std::map<std::string, double> scores(int64_t classes, const at::Tensor& outputs,
                                     const TargetBatch& targets) {
  const auto accumulator = make(classes)->metrics();
  accumulator->add(outputs, targets);
  const Metrics metrics = accumulator->result();
  std::map<std::string, double> values;
  for (const auto& [name, value] : metrics) {
    values.emplace(name, value);
  }
  return values;
}

TEST(Classification, LossFollowsPyTorch) {
  const json golden = test::golden("losses.json");
  for (const json& expected : golden["cross_entropy"]) {
    SCOPED_TRACE(expected["smoothing"].get<double>());
    const at::Tensor logits = (pattern(6, {5, 4}) * 6).requires_grad_();
    const auto task = make(4, expected["smoothing"]);
    const at::Tensor loss =
        task->loss(logits, labels(expected["targets"].get<std::vector<int64_t>>()));
    EXPECT_EQ(loss.dim(), 0);
    EXPECT_NEAR(loss.item<double>(), expected["loss"].get<double>(), 1e-12);
    loss.backward();
    EXPECT_TRUE(close(logits.grad(), expected["gradient"], 1e-12));
  }
}

TEST(Classification, TheHeadIsALinearLayer) {
  const auto task = make(4);
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const auto& item : task->module().named_parameters()) {
    shapes[item.key()] = item.value().sizes().vec();
  }
  EXPECT_EQ(shapes,
            (std::map<std::string, std::vector<int64_t>>{{"fc.weight", {4, 3}}, {"fc.bias", {4}}}));
  const c10::NoGradGuard no_grad;
  const auto parameters = task->module().named_parameters();
  const at::Tensor features = pattern(1, {5, 3}).to(at::kFloat);
  const at::Tensor expected = features.matmul(parameters["fc.weight"].t()) + parameters["fc.bias"];
  EXPECT_TRUE(task->forward(features).allclose(expected));
}

TEST(Classification, TheHeadMayHaveHiddenLayers) {
  const auto task = library().make<Downstream>(
      "classification", {{"hidden", std::vector<int64_t>{6, 5}}},
      {.features = 3, .targets = test::targets_of_kind(TargetKind::category, 4)});
  const auto parameters = task->module().named_parameters();
  EXPECT_EQ(parameters.size(), 6U);
  EXPECT_EQ(parameters["hidden1.weight"].sizes().vec(), (std::vector<int64_t>{5, 6}));
  EXPECT_EQ(parameters["fc.weight"].sizes().vec(), (std::vector<int64_t>{4, 5}));
  const c10::NoGradGuard no_grad;
  at::Tensor x = pattern(1, {7, 3}).to(at::kFloat);
  const at::Tensor outputs = task->forward(x);
  for (const std::string layer : {"hidden0", "hidden1", "fc"}) {
    x = x.matmul(parameters[layer + ".weight"].t()) + parameters[layer + ".bias"];
    x = layer == "fc" ? x : x.clamp_min(0);
  }
  EXPECT_TRUE(outputs.allclose(x, 1e-5, 1e-6));
}

TEST(Classification, CountsTopOneAndTopFive) {
  // The ranks of the targets are 1, 2, 5, 6 and 7.
  const at::Tensor outputs = rows({{7, 6, 5, 4, 3, 2, 1}}).repeat({5, 1});
  const auto found = scores(7, outputs, labels({0, 1, 4, 5, 6}));
  EXPECT_DOUBLE_EQ(found.at("top1"), 0.2);
  EXPECT_DOUBLE_EQ(found.at("top5"), 0.6);
  double sum = 0;
  for (int k = 1; k <= 7; ++k) {
    sum += std::exp(k);
  }
  EXPECT_NEAR(found.at("loss"), std::log(sum) - (7 + 6 + 3 + 2 + 1) / 5.0, 1e-12);
}

TEST(Classification, TiesScoreNothing) {
  const auto constant = scores(7, rows({{1, 1, 1, 1, 1, 1, 1}}), labels({0}));
  EXPECT_EQ(constant.at("top1"), 0);
  EXPECT_EQ(constant.at("top5"), 0);
  // A tie for the first place is no first place, but is among the first five.
  const auto tied = scores(7, rows({{9, 9, 1, 2, 3, 4, 5}}), labels({0}));
  EXPECT_EQ(tied.at("top1"), 0);
  EXPECT_EQ(tied.at("top5"), 1);
  // Ties among the others are no harm.
  EXPECT_EQ(scores(3, rows({{1, 1, 2}}), labels({2})).at("top1"), 1);
}

TEST(Classification, NotANumberScoresNothing) {
  const double nan = std::nan("");
  const auto all = scores(7, rows({{nan, nan, nan, nan, nan, nan, nan}}), labels({3}));
  EXPECT_EQ(all.at("top1"), 0);
  EXPECT_EQ(all.at("top5"), 0);
  EXPECT_TRUE(std::isnan(all.at("loss")));
  const auto truth = scores(7, rows({{1, nan, 0, 0, 0, 0, 0}}), labels({1}));
  EXPECT_EQ(truth.at("top1"), 0);
  EXPECT_EQ(truth.at("top5"), 0);
  EXPECT_EQ(scores(3, rows({{nan, 5, 0}}), labels({1})).at("top1"), 0)
      << "another class that is not a number might be the greatest";
}

TEST(Classification, MetricsWeighSamplesNotBatches) {
  const at::Tensor outputs = rows({{2, 0}, {0, 1}, {3, 0}, {0, 4}});
  const TargetBatch targets = labels({0, 0, 1, 1});
  const auto whole = scores(2, outputs, targets);
  const auto accumulator = make(2)->metrics();
  accumulator->add(outputs.narrow(0, 0, 3), {targets.dense.narrow(0, 0, 3)});
  accumulator->add(outputs.narrow(0, 3, 1), {targets.dense.narrow(0, 3, 1)});
  const Metrics parts = accumulator->result();
  ASSERT_EQ(parts.size(), 2U) << "no top5 with two classes";
  EXPECT_EQ(parts[0].name, "top1");
  EXPECT_DOUBLE_EQ(parts[0].value, 0.5);
  EXPECT_EQ(parts[1].name, "loss");
  EXPECT_NEAR(parts[1].value, whole.at("loss"), 1e-12);
}

TEST(Classification, TopFiveNeedsMoreThanFiveClasses) {
  const auto names = [](int64_t classes) {
    std::vector<std::string> found;
    for (const auto& [name, value] : make(classes)->metrics()->result()) {
      found.push_back(name);
      EXPECT_EQ(value, 0) << "nothing was added";
    }
    return found;
  };
  EXPECT_EQ(names(5), (std::vector<std::string>{"top1", "loss"}));
  EXPECT_EQ(names(6), (std::vector<std::string>{"top1", "top5", "loss"}));
}

TEST(Classification, MetricsKnowNoSmoothing) {
  const auto accumulator = make(2, 0.5)->metrics();
  accumulator->add(rows({{20, -20}}), labels({0}));
  EXPECT_NEAR(accumulator->result().back().value, 0.0, 1e-12);
}

TEST(Classification, RefusesLessThanTwoClasses) {
  for (const int64_t classes : {0, 1}) {
    try {
      make(classes);
      FAIL() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
      EXPECT_EQ(error.what(),
                "classification needs at least 2 classes; the data has " + std::to_string(classes));
    }
  }
  EXPECT_EQ(make(2)->forward(at::zeros({1, 3})).size(1), 2);
}

TEST(Classification, RefusesASmoothingOutOfBounds) {
  for (const double smoothing : {-0.1, 1.0}) {
    EXPECT_THROW(library().values("classification", {{"label_smoothing", smoothing}}),
                 std::invalid_argument);
  }
}

}  // namespace
}  // namespace bissl::host
