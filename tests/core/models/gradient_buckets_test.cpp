#include "models/gradient_buckets.h"

#include "bissl/divided_batch.h"
#include "distributed/process_group.h"
#include "distributed/started_sum.h"
#include "models/divided.h"
#include "models/gradients.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace bissl::host {
namespace {

class DoubledSum final : public StartedSum {
 public:
  explicit DoubledSum(at::Tensor values) : values_(std::move(values)) {}
  void wait() override { values_.mul_(2.0); }

 private:
  at::Tensor values_;
};

/// Process 0 of two that do the same: a sum is twice what this one adds. Notes what it is asked
/// for.
class TwoAlike final : public ProcessGroup, public StartsSums {
 public:
  int rank() const override { return 0; }
  int size() const override { return 2; }
  void sum(at::Tensor& values) override {
    if (fails_) {
      throw ProcessLost("the other one is gone");
    }
    calls_.emplace_back("sum");
    values.mul_(2.0);
  }
  std::unique_ptr<StartedSum> start_sum(const at::Tensor& values) override {
    calls_.push_back(fmt::format("start {}", values.numel()));
    return std::make_unique<DoubledSum>(values);
  }
  void broadcast(at::Tensor& /*values*/) override {}
  void wait_for_all() override {}
  void announce(const std::string& /*text*/) override {}
  std::string announced() override { return ""; }
  bool leave_reason(const std::string& /*text*/) noexcept override { return true; }
  std::string reason_of(int /*rank*/) noexcept override { return ""; }
  bool is_lost() const override { return fails_; }

  void fail() { fails_ = true; }
  /// Since it was asked last.
  std::vector<std::string> calls() { return std::exchange(calls_, {}); }

 private:
  std::vector<std::string> calls_;
  bool fails_ = false;
};

at::Tensor weights(int64_t rows, int64_t columns) {
  const at::Tensor places = torch::arange(rows * columns, torch::kDouble);
  return torch::sin(places * 1.3).view({rows, columns}).requires_grad_(true);
}

/// Two layers with a sum over the processes between them, as a normalisation has one.
class GradientBucketsTest : public ::testing::Test {
 protected:
  at::Tensor loss() {
    at::Tensor hidden = torch::tanh(torch::ones({5, 2}, torch::kDouble).mm(first_));
    {
      const DividedBatch scope(std::make_shared<const DividedBatch::Sum>(
          [this](at::Tensor& values) { group_.sum(values); }));
      hidden = sum_over_parts(hidden);
    }
    const at::Tensor value = hidden.mm(second_).square().sum();
    group_.calls();
    return value;
  }

  void expect_means_of(const TensorList& parameters, const std::vector<std::string>& calls) {
    const TensorList after = gradients_of(loss(), parameters);
    EXPECT_EQ(group_.calls(), (std::vector<std::string>{"sum", "sum"}))
        << "in one sum after the backward pass, which has one";
    const std::vector<GradientBucket> buckets = buckets_of(parameters, /*bytes=*/1);
    ASSERT_EQ(buckets.size(), parameters.size());
    const TensorList during = mean_gradients(loss(), parameters, buckets);
    EXPECT_EQ(group_.calls(), calls);
    for (size_t i = 0; i < parameters.size(); ++i) {
      EXPECT_TRUE(during[i].equal(after[i])) << i;
    }
  }

  TwoAlike group_;
  GroupInUse in_use_{group_};
  at::Tensor first_ = weights(2, 3);
  at::Tensor second_ = weights(3, 4);
};

TEST_F(GradientBucketsTest, BeginWhileTheBackwardPassRuns) {
  expect_means_of({first_, second_}, {"start 12", "sum", "start 6"});
}

TEST_F(GradientBucketsTest, BeginInTheirOrderWhicheverIsThereFirst) {
  expect_means_of({second_, first_}, {"sum", "start 6", "start 12"});
}

TEST_F(GradientBucketsTest, AParameterWithoutGradientHoldsUpThoseBehindIt) {
  const at::Tensor unused = weights(1, 5);
  expect_means_of({first_, unused, second_}, {"start 12", "sum", "start 5", "start 6"});
}

TEST_F(GradientBucketsTest, LeaveTheParametersAsTheyWere) {
  const at::Tensor before = torch::ones({2, 3}, torch::kDouble);
  first_.mutable_grad() = before;
  const TensorList parameters{first_, second_};
  const std::vector<GradientBucket> buckets = buckets_of(parameters, 1);
  const TensorList means = mean_gradients(loss(), parameters, buckets);
  const auto expect_as_before = [&] {
    EXPECT_TRUE(first_.grad().is_same(before));
    EXPECT_TRUE(before.equal(torch::ones({2, 3}, torch::kDouble)));
    EXPECT_FALSE(second_.grad().defined());
    for (const at::Tensor& parameter : parameters) {
      EXPECT_TRUE(torch::autograd::impl::grad_accumulator(parameter)->post_hooks().empty());
    }
  };
  expect_as_before();
  const at::Tensor value = loss();
  group_.fail();
  EXPECT_THROW(mean_gradients(value, parameters, buckets), std::exception);
  expect_as_before();
}

TEST_F(GradientBucketsTest, EachHasMemoryOfItsOwn) {
  const at::Tensor a = torch::ones({6}, torch::kDouble).requires_grad_(true);
  const at::Tensor b = torch::ones({2, 3}, torch::kDouble).requires_grad_(true);
  const TensorList parameters{a, b};
  const at::Tensor value = (a + b.view({6})).square().sum();
  TensorList means = mean_gradients(value, parameters, buckets_of(parameters, 1));
  means[0].mul_(3.0);
  EXPECT_TRUE(means[0].equal(torch::full({6}, 12.0, torch::kDouble)));
  EXPECT_TRUE(means[1].equal(torch::full({2, 3}, 4.0, torch::kDouble)));
}

TEST_F(GradientBucketsTest, HoldParametersOfOneTypeFromTheLastToTheFirst) {
  const at::Tensor small = torch::ones({2}, torch::kFloat).requires_grad_(true);
  constexpr int64_t two_layers = 8 * (6 + 12);
  EXPECT_EQ(buckets_of({small, first_, second_}, two_layers),
            (std::vector<GradientBucket>{{2, 1}, {0}}));
  EXPECT_EQ(buckets_of({small, first_, second_}, two_layers - 1),
            (std::vector<GradientBucket>{{2}, {1}, {0}}));
}

TEST_F(GradientBucketsTest, AreNotForOthers) {
  EXPECT_TRUE(buckets_of({first_, second_}).empty()) << "one bucket has room for both";
  EXPECT_TRUE(buckets_of({first_, first_}, 1).empty()) << "one parameter twice";
  EXPECT_TRUE(buckets_of({first_, second_ * 2}, 1).empty()) << "the result of an operation";
  EXPECT_TRUE(buckets_of({first_, second_.detach()}, 1).empty()) << "without a gradient";
  const at::Tensor half = torch::ones({2}, torch::kBFloat16).requires_grad_(true);
  EXPECT_TRUE(buckets_of({first_, half}, 1).empty()) << "which Gloo does not add up";
  const Undivided alone;
  EXPECT_TRUE(buckets_of({first_, second_}, 1).empty()) << "whole batches";
}

}  // namespace
}  // namespace bissl::host
