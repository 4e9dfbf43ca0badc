// What all pretext tasks of the families have in common: numbers of PyTorch, second derivatives,
// states that a Hessian product leaves alone, training that another instance continues.

#include "bissl/pretext.h"
#include "method_trial.h"
#include "reference/second_order.h"
#include "sdk/plugin_library.h"

#include <ATen/ops/zeros.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace bissl::host {
namespace {

using nlohmann::json;
using test::close;
using test::flat;
using test::Trial;
using test::view_shapes;

class Method : public ::testing::TestWithParam<const char*> {
 protected:
  Method() {
    const json all = test::golden("methods.json");
    for (const json& one : all["methods"]) {
      if (one["key"] == GetParam()) {
        golden_ = one;
      }
    }
  }
  void SetUp() override { ASSERT_FALSE(golden_.empty()) << "not in golden/methods.json"; }

  json golden_;
};

TEST_P(Method, TrainsAsPyTorchDoes) {
  Trial trial(golden_);
  for (int64_t step = 0; step < golden_["steps"].get<int64_t>(); ++step) {
    SCOPED_TRACE(step);
    const auto [loss, gradients] = trial.step(step);
    EXPECT_NEAR(loss, golden_["losses"][size_t(step)].get<double>(), 1e-11);
    if (step == 0) {
      EXPECT_TRUE(close(flat(gradients), golden_["gradients"], 1e-11));
    }
  }
  EXPECT_TRUE(close(flat(trial.trained()), golden_["weights"], 1e-10));
  std::vector<at::Tensor> teacher = trial.own(false);
  teacher.push_back(at::zeros({0}, at::kDouble));
  EXPECT_TRUE(close(flat(teacher), golden_["teacher"], 1e-10));
  for (const auto& [name, numbers] : golden_["state"].items()) {
    EXPECT_TRUE(close(trial.task->module().named_buffers()[name], numbers, 1e-10)) << name;
  }
}

TEST_P(Method, HessianProductsAreThoseOfPyTorchAndOfDifferences) {
  Trial trial(golden_);
  const TensorList product =
      test::hessian_product(trial.loss(0), trial.backbone->module().parameters());
  EXPECT_TRUE(close(flat(product), golden_["product"], 1e-9));
  // Differences move targets that a loss holds fixed; tests/reference/methods.py compares these.
  if (!trial.task->holds_targets_fixed()) {
    Trial other(golden_);
    test::expect_hessian_products(
        other.backbone->module().parameters(), [&] { return other.evaluated(0); }, 1e-5);
  }
}

/// Teacher, queue, centre and running statistics, by the guard that the host evaluates under.
TEST_P(Method, AHessianProductLeavesNoTrace) {
  Trial trial(golden_);
  trial.step(0);
  const TensorList before = copy(trial.everything());
  const TensorList first =
      test::hessian_product(trial.evaluated(1), trial.backbone->module().parameters());
  const TensorList after = trial.everything();
  ASSERT_EQ(before.size(), after.size());
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_TRUE(before[i].equal(after[i])) << "tensor " << i;
  }
  const TensorList again =
      test::hessian_product(trial.evaluated(1), trial.backbone->module().parameters());
  EXPECT_TRUE(flat(first).equal(flat(again)));
  // Training does move the state, so the comparison can fail.
  trial.loss(1);
  const auto state = golden_["state"].items();
  for (const auto& [name, numbers] : state) {
    const at::Tensor buffer = trial.task->module().named_buffers()[name];
    bool moved = false;
    for (size_t i = 0; i < before.size(); ++i) {
      moved = moved || (after[i].is_same(buffer) && !before[i].equal(buffer));
    }
    EXPECT_TRUE(moved) << name;
  }
}

TEST_P(Method, AnotherInstanceContinuesWithTheSameBits) {
  Trial whole(golden_);
  whole.step(0);
  whole.step(1);
  Trial resumed(golden_);
  const TensorList state = whole.everything();
  TensorList copies = resumed.everything();
  {
    const c10::NoGradGuard no_grad;
    for (size_t i = 0; i < state.size(); ++i) {
      copies[i].copy_(state[i]);
    }
  }
  EXPECT_EQ(whole.step(2).first, resumed.step(2).first);
  for (size_t i = 0; i < state.size(); ++i) {
    EXPECT_TRUE(state[i].equal(copies[i])) << "tensor " << i;
  }
}

TEST_P(Method, SaysWhatItIs) {
  const Trial trial(golden_);
  std::string coupling = to_string(trial.task->coupling());
  const std::map<std::string, BatchCoupling> kinds = {
      {"separable", BatchCoupling::separable},
      {"batch_statistics", BatchCoupling::batch_statistics},
      {"gathered", BatchCoupling::gathered}};
  EXPECT_EQ(trial.task->coupling(), kinds.at(golden_["coupling"])) << coupling;
  EXPECT_EQ(trial.task->holds_targets_fixed(), golden_["fixed_targets"].get<bool>());
  EXPECT_EQ(trial.task->views(), int64_t(view_shapes(golden_).size()));
  const auto& library = test::shared_library(golden_["library"]);
  EXPECT_FALSE(library.component(golden_["name"].get<std::string>()).text.source.empty());
  EXPECT_EQ(library.findings(golden_["name"].get<std::string>(), {}), std::vector<std::string>{});
}

INSTANTIATE_TEST_SUITE_P(Each, Method,
                         ::testing::Values("barlow-twins", "dcl", "dclw", "dino", "i-jepa",
                                           "inpainting", "jigsaw", "lejepa", "mae", "moco",
                                           "moco-v3", "msn", "nnclr", "relative-location", "ressl",
                                           "rotation", "sela", "simmim", "simmim-maps", "simsiam",
                                           "supcon", "tico", "vicreg", "vicregl", "w-mse"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace bissl::host
