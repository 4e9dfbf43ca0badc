#include "models/optimizer_groups.h"

#include "bissl/error.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <memory>

namespace bissl::host {
namespace {

/// θ ← θ − lr·(g + wd·θ), with a count of its steps as state.
class Decaying : public Optimizer,
                 public OptimizerMomentum,
                 public OptimizerMomentumSetting,
                 public OptimizerWeightDecay {
 public:
  Decaying(NamedTensors parameters, double lr, double decay)
      : parameters_(std::move(parameters)), lr_(lr), decay_(decay) {}
  void step(double lr_scale) override {
    const c10::NoGradGuard no_grad;
    ++steps_;
    for (auto& [name, tensor] : parameters_) {
      if (tensor.grad().defined()) {
        tensor.sub_(tensor.grad() + tensor * decay_, lr_ * lr_scale);
      }
    }
  }
  double learning_rate() const override { return lr_; }
  double momentum() const override { return momentum_; }
  void set_momentum(double value) override { momentum_ = value; }
  double weight_decay() const override { return decay_; }
  void set_weight_decay(double value) override { decay_ = value; }
  void* capability(std::string_view id) override {
    return provide<OptimizerMomentum, OptimizerMomentumSetting, OptimizerWeightDecay>(*this, id);
  }
  NamedTensors state() const override { return {{"steps", at::tensor(steps_)}}; }
  void load_state(const NamedTensors& state) override {
    if (state.size() != 1 || state[0].name != "steps") {
      fail_input("no steps");
    }
    steps_ = state[0].tensor.item<int64_t>();
  }

 private:
  NamedTensors parameters_;
  double lr_;
  double decay_;
  double momentum_ = 0.5;
  int64_t steps_ = 0;
};

/// Three parameters of 1, with gradients of 1: the second one alone, at a tenth of the rate and
/// without decay.
struct Grouped {
  explicit Grouped(double rate = 1.0) {
    for (const char* name : {"a", "b", "c"}) {
      parameters.emplace_back(name, at::ones({2}, at::kDouble).requires_grad_());
      parameters.back().tensor.mutable_grad() = at::ones({2}, at::kDouble);
    }
    std::vector<OptimizerGroup> groups;
    groups.push_back({std::make_shared<Decaying>(NamedTensors{parameters[1]}, 0.5, 0.0), {1}, 0.1});
    groups.push_back(
        {std::make_shared<Decaying>(NamedTensors{parameters[0], parameters[2]}, 0.5, 0.2),
         {0, 2},
         1.0});
    optimizer = std::make_unique<OptimizerGroups>(std::move(groups), 3, rate);
  }

  double value(size_t k) const { return parameters[k].tensor[0].item<double>(); }

  NamedTensors parameters;
  std::unique_ptr<OptimizerGroups> optimizer;
};

TEST(OptimizerGroups, EachMovesAtItsOwnRate) {
  Grouped grouped;
  EXPECT_EQ(grouped.optimizer->learning_rate(), 0.5);
  grouped.optimizer->step(0.5);
  EXPECT_DOUBLE_EQ(grouped.value(0), 1 - 0.25 * 1.2);
  EXPECT_DOUBLE_EQ(grouped.value(1), 1 - 0.025);
  EXPECT_DOUBLE_EQ(grouped.value(2), 1 - 0.25 * 1.2);
}

TEST(OptimizerGroups, TheWholeRateIsScaled) {
  Grouped grouped(4.0);
  EXPECT_EQ(grouped.optimizer->learning_rate(), 2.0);
  grouped.optimizer->step(0.5);
  EXPECT_DOUBLE_EQ(grouped.value(1), 1 - 0.1);
}

TEST(OptimizerGroups, AScheduleOfWeightDecayKeepsTheGroupsProportions) {
  Grouped grouped;
  auto* decay = capability<OptimizerWeightDecay>(*grouped.optimizer);
  ASSERT_NE(decay, nullptr);
  EXPECT_EQ(decay->weight_decay(), 0.2) << "the largest of the groups'";
  decay->set_weight_decay(0.4);
  EXPECT_EQ(decay->weight_decay(), 0.4);
  grouped.optimizer->step(1);
  EXPECT_DOUBLE_EQ(grouped.value(0), 1 - 0.5 * 1.4);
  EXPECT_DOUBLE_EQ(grouped.value(1), 1 - 0.05) << "without decay";
}

TEST(OptimizerGroups, TakeOneMomentumForAll) {
  std::vector<std::shared_ptr<Decaying>> members;
  std::vector<OptimizerGroup> groups;
  for (size_t i = 0; i < 2; ++i) {
    members.push_back(std::make_shared<Decaying>(NamedTensors{}, 0.5, 0.0));
    groups.push_back({members.back(), {}, 1.0});
  }
  OptimizerGroups optimizer(std::move(groups), 0, 1.0);
  auto* momentum = capability<OptimizerMomentumSetting>(optimizer);
  ASSERT_NE(momentum, nullptr);
  EXPECT_EQ(momentum->momentum(), 0.5);
  momentum->set_momentum(0.25);
  EXPECT_EQ(momentum->momentum(), 0.25);
  EXPECT_EQ(capability<OptimizerMomentum>(optimizer)->momentum(), 0.25);
  EXPECT_EQ(members[0]->momentum(), 0.25);
  EXPECT_EQ(members[1]->momentum(), 0.25);
}

TEST(OptimizerGroups, TellTheirFactorsToWhatGoesBackThroughSteps) {
  Grouped grouped;
  EXPECT_EQ(capability<OptimizerMomentum>(*grouped.optimizer)->momentum(), 0.5);
  const at::Tensor gradient = at::full({2}, 3.0, at::kDouble);
  const TensorList factors = capability<OptimizerPreconditioner>(*grouped.optimizer)
                                 ->preconditioner({gradient, gradient, at::Tensor()});
  ASSERT_EQ(factors.size(), 3U);
  EXPECT_TRUE(factors[0].equal(at::ones({2}, at::kDouble)));
  EXPECT_TRUE(factors[1].equal(at::full({2}, 0.1, at::kDouble)));
  EXPECT_FALSE(factors[2].defined()) << "none was asked for";
}

TEST(OptimizerGroups, GoOnFromTheirState) {
  Grouped first;
  first.optimizer->step(1);
  const NamedTensors state = first.optimizer->state();
  ASSERT_EQ(state.size(), 2U);
  EXPECT_NE(state[0].name, state[1].name);
  Grouped second;
  second.optimizer->load_state(state);
  EXPECT_EQ(second.optimizer->state()[1].tensor.item<int64_t>(), 1);
  EXPECT_THROW(second.optimizer->load_state({}), Error);
}

}  // namespace
}  // namespace bissl::host
