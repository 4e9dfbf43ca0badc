#include "stages/bissl/head_fit.h"

#include "core/bilevel/small_models.h"
#include "models/module_state.h"

#include <gtest/gtest.h>
#include <torch/nn/modules/linear.h>
#include <torch/types.h>

namespace bissl::host::test {
namespace {

TargetSpec classes(int64_t number) { return {.kind = TargetKind::category, .width = number}; }

/// The same parameters as a linear head's, and other outputs.
class CurvedDownstream : public SmallDownstream {
 public:
  at::Tensor forward(const at::Tensor& features) override {
    return SmallDownstream::forward(features).tanh();
  }
};

/// More than a matrix and a vector.
class DeepDownstream : public SmallDownstream {
 public:
  DeepDownstream() { module().register_module("more", torch::nn::Linear(2, 2)); }
};

TEST(LinearHead, IsFoundAndLeftAsItWas) {
  SmallDownstream downstream;
  const TensorList parameters = tensors_of(trainable_parameters(downstream.module()));
  const TensorList before = {parameters[0].detach().clone(), parameters[1].detach().clone()};
  const auto head = linear_head(downstream, classes(2), 3);
  ASSERT_TRUE(head);
  EXPECT_TRUE(head->weight.is_same(parameters[0]));
  EXPECT_TRUE(head->bias.is_same(parameters[1]));
  EXPECT_TRUE(parameters[0].equal(before[0]));
  EXPECT_TRUE(parameters[1].equal(before[1]));
  EXPECT_TRUE(is_training(downstream.module()));
}

TEST(LinearHead, IsNotWhatHasOtherOutputsTargetsOrParameters) {
  SmallDownstream plain;
  EXPECT_FALSE(linear_head(plain, classes(3), 3)) << "another number of classes";
  EXPECT_FALSE(linear_head(plain, classes(2), 4)) << "other features";
  EXPECT_FALSE(linear_head(plain, {.kind = TargetKind::multi_label, .width = 2}, 3));
  CurvedDownstream curved;
  EXPECT_FALSE(linear_head(curved, classes(2), 3));
  DeepDownstream deep;
  EXPECT_FALSE(linear_head(deep, classes(2), 3));
}

}  // namespace
}  // namespace bissl::host::test
