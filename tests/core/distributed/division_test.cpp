// Trainings by two and three processes end with the weights of one: double precision, batches that
// do not divide evenly, normalisation over the batch. This program starts itself again for the
// other processes, which make the trainings that process 0 announces.

#include "distributed/team.h"
#include "models/divided.h"
#include "stages/agreement.h"
#include "stages/best_weights.h"
#include "support/paths.h"
#include "telemetry/interrupt.h"
#include "trainings.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>

namespace bissl::host::test {
namespace {

constexpr const char* noise = "noise";
constexpr const char* one_stops = "one stops";
constexpr const char* other_step = "another step";
constexpr const char* other_figures = "other figures";
constexpr const char* both_ways = "both ways";
constexpr const char* end = "end";

/// Whether all processes stop, where the last one alone is asked to.
at::Tensor stopped_by_one() {
  const ProcessGroup& group = *current_group();
  const bool before = interrupted_by_any();
  if (group.rank() == group.size() - 1) {
    request_interrupt();
  }
  const bool after = interrupted_by_any();
  reset_interrupt();
  return torch::tensor({before ? 1.0 : 0.0, after ? 1.0 : 0.0}, torch::kDouble);
}

/// 1 where it is refused that the last process begins with another step; else 0.
at::Tensor refused_steps() {
  const ProcessGroup& group = *current_group();
  require_same_step(7);
  try {
    require_same_step(group.rank() == group.size() - 1 ? 3 : 7);
  } catch (const Error& error) {
    const std::string said =
        fmt::format("process 0 with step 7, process {} with step 3", group.size() - 1);
    const bool is_said = std::string(error.what()).find(said) != std::string::npos;
    return torch::tensor({is_said ? 1.0 : 0.0}, torch::kDouble);
  }
  return torch::zeros({1}, torch::kDouble);
}

/// The value and step that are best where processes find a figure with other last digits, as other
/// processors may.
at::Tensor best_of_figures() {
  const auto module = std::make_shared<torch::nn::Module>();
  module->register_parameter("weight", torch::zeros({1}, torch::kDouble));
  BestWeights::Networks networks;
  networks.emplace_back("network", module.get());
  BestWeights best(networks, /*higher_is_better=*/true);
  best.offer(0.5, 1);
  best.offer(0.5 + 1e-12 * current_group()->rank(), 2);
  return torch::tensor({best.value(), static_cast<double>(best.step())}, torch::kDouble);
}

at::Tensor result_of(const std::string& work) {
  return work == noise           ? noisy_features()
         : work == one_stops     ? stopped_by_one()
         : work == other_step    ? refused_steps()
         : work == other_figures ? best_of_figures()
         : work == both_ways     ? gradients_both_ways()
                                 : weights_after(work);
}

/// The part of the processes that the test has started.
int work_beside() {
  const ProcessPlace place = process_place(0);
  const auto meeting = meet(place.meeting);
  if (const std::optional<int> code = meeting->decided()) {
    return *code;
  }
  const auto group = meeting->form();
  const GroupInUse in_use(*group);
  for (std::string work = group->announced(); work != end; work = group->announced()) {
    at::Tensor result = result_of(work);
    // All processes must have the same bits, of which the test sees process 0's alone.
    at::Tensor leader = result.clone();
    group->broadcast(leader);
    at::Tensor differences = torch::tensor({leader.equal(result) ? 0.0 : 1.0}, torch::kDouble);
    group->sum(differences);
  }
  return 0;
}

class DivisionTest : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    if (!has_process_groups()) {
      GTEST_SKIP() << "built without several processes";
    }
  }

  static MeetingPlace meeting(int size) { return {.rank = 0, .size = size}; }

  /// What all processes come to, process 0's; fails where another one has other bits.
  static at::Tensor by_all(const std::string& work) {
    ProcessGroup& group = *current_group();
    group.announce(work);
    at::Tensor result = result_of(work);
    at::Tensor sent = result.clone();
    group.broadcast(sent);
    at::Tensor differences = torch::zeros({1}, torch::kDouble);
    group.sum(differences);
    EXPECT_EQ(differences.item<double>(), 0) << work << ": processes have other numbers";
    return result;
  }
};

/// With statistics of each process's part the training is another one: that of one process which
/// normalises the parts by themselves.
void expect_trainings_of_parts(int processes,
                               const std::function<at::Tensor(const std::string&)>& by_all) {
  for (const char* training :
       {"simclr", "finetune", "bissl/cg", "bissl/identity", "library/bissl/cg"}) {
    const at::Tensor found = by_all(fmt::format("local/{}", training));
    const Undivided alone;
    const at::Tensor from_whole = found - weights_after(training);
    EXPECT_GT(from_whole.abs().max().item<double>(), 1e-3) << training;
    const at::Tensor from_parts = found - weights_after_parts(training, processes);
    EXPECT_LT(from_parts.abs().max().item<double>(), 1e-6) << training;
  }
}

TEST_P(DivisionTest, EndsWithTheWeightsOfOneProcess) {
  std::vector<std::string> trainings = {"byol", "bissl/minres", "library/bissl/cg"};
  if (GetParam() == 2) {
    trainings.insert(trainings.end(),
                     {"simclr", "swav", "vicreg", "barlow-twins", "finetune", "bissl/cg",
                      "bissl/identity", "dcl", "dino", "lejepa", "moco", "moco-v3", "nnclr",
                      "ressl", "rotation", "simsiam", "tico", "w-mse"});
    trainings.insert(trainings.end(), {"library/simclr", "library/finetune"});
  }
  const at::Tensor before = weights_before();
  std::vector<at::Tensor> alone;
  for (const std::string& training : trainings) {
    alone.push_back(weights_after(training));
    const at::Tensor moved = alone.back().narrow(0, 0, before.numel()) - before;
    EXPECT_GT(moved.abs().max().item<double>(), 1e-2) << training << " must train";
  }
  const MeetingPlace place = meeting(GetParam());
  Team team({.meeting = place,
             .starts_others = true,
             .is_started = false,
             .on_this_machine = place.size});
  team.gather();
  for (size_t i = 0; i < trainings.size(); ++i) {
    const at::Tensor difference = by_all(trainings[i]) - alone[i];
    EXPECT_LT(difference.abs().max().item<double>(), 1e-6) << trainings[i];
  }
  expect_trainings_of_parts(GetParam(), by_all);
  // That all draw the same number after the noise is part of what by_all compares.
  const at::Tensor rows = by_all(noise).narrow(0, 0, 7 * 3).view({7, 3});
  for (int64_t i = 0; i < 7; ++i) {
    for (int64_t k = 0; k < i; ++k) {
      EXPECT_FALSE(rows[i].equal(rows[k])) << "noise of samples " << i << " and " << k;
    }
  }
  EXPECT_TRUE(by_all(one_stops).equal(torch::tensor({0.0, 1.0}, torch::kDouble)))
      << "a signal to one process stops all, at the same place";
  EXPECT_EQ(by_all(other_step).item<double>(), 1) << "one continues from another step";
  EXPECT_TRUE(by_all(other_figures).equal(torch::tensor({0.5, 1.0}, torch::kDouble)))
      << "process 0 finds no better one";
  const at::Tensor gradients = by_all(both_ways);
  EXPECT_GT(gradients[0].abs().max().item<double>(), 1e-6);
  const double apart = (gradients[0] - gradients[1]).abs().max().item<double>();
  // The order of three numbers' sum depends on their place in what is added up.
  EXPECT_LE(apart, GetParam() == 2 ? 0.0 : 1e-12) << "averaged while the backward pass runs";
  current_group()->announce(end);
  team.wait();
}

INSTANTIATE_TEST_SUITE_P(Processes, DivisionTest, ::testing::Values(2, 3));

TEST(PartTest, PartsAreEvenAndWhole) {
  for (const int size : {1, 2, 3, 5}) {
    for (const int64_t samples : {5, 6, 7, 128}) {
      int64_t next = 0;
      for (int rank = 0; rank < size; ++rank) {
        const BatchPart part = part_of(samples, rank, size);
        EXPECT_EQ(part.first, next);
        EXPECT_GE(part.count, samples / size);
        EXPECT_LE(part.count, (samples + size - 1) / size);
        next += part.count;
      }
      EXPECT_EQ(next, samples);
    }
  }
}

}  // namespace
}  // namespace bissl::host::test

int main(int count, char** arguments) {
  at::set_num_threads(1);
  ::testing::InitGoogleTest(&count, arguments);
  if (std::getenv(bissl::host::started_variable) != nullptr) {
    return bissl::host::test::work_beside();
  }
  return RUN_ALL_TESTS();
}
