// What a GPU computes beside what the processor computes; `tests/gpu/run` calls it. Each test
// prints rows of a table. Without a GPU all are skipped.

#include "core/data/fake_data.h"
#include "core/device/coloured_images.h"
#include "core/device/trainings.h"
#include "data/prefetcher.h"
#include "models/evaluation_guard.h"
#include "models/memory_format.h"

#include <ATen/Context.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <string>

namespace bissl::host::test {
namespace {

/// Of losses, as a share of 1 + |loss|, between a GPU and the processor.
constexpr double tolerance = 1e-3;

const c10::Device gpu(c10::kCUDA, 0);

/// Products of matrices have one order with it; cuBLAS reads it when it starts.
[[maybe_unused]] const int workspace = setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 0);

void print_row(const std::string& what, const std::string& found, const std::string& bound) {
  std::cout << fmt::format("| {:<44} | {:>14} | {:>10} |\n", what, found, bound);
}

class GpuTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!at::globalContext().hasCUDA()) {
      GTEST_SKIP() << "there is no GPU here, or this LibTorch cannot use it";
    }
    at::globalContext().setAllowTF32CuBLAS(false);
    at::globalContext().setAllowTF32CuDNN(false);
    set_generator_device(gpu);
  }
  void TearDown() override {
    at::globalContext().setDeterministicAlgorithms(false, false);
    at::globalContext().setDeterministicCuDNN(false);
    set_generator_device(c10::kCPU);
  }
};

/// The largest difference of losses, as `tolerance` is.
double difference(const Trained& left, const Trained& right) {
  double largest = left.losses.size() == right.losses.size() ? 0 : 1;
  for (size_t i = 0; i < std::min(left.losses.size(), right.losses.size()); ++i) {
    largest = std::max(
        largest, std::abs(left.losses[i] - right.losses[i]) / (1 + std::abs(right.losses[i])));
  }
  return largest;
}

void expect_alike(const std::string& what, const Trained& there, const Trained& here) {
  const double found = difference(there, here);
  print_row(what, fmt::format("{:.1e}", found), fmt::format("{:.0e}", tolerance));
  EXPECT_LE(found, tolerance) << what;
  EXPECT_TRUE(there.strayed.empty()) << fmt::format("{}", there.strayed.size());
}

TEST_F(GpuTest, LossesOfPretextTasksAreThoseOfTheProcessor) {
  for (const char* task : {"barlow-twins", "byol", "dino", "jigsaw", "moco", "rotation", "simclr",
                           "supcon", "swav", "vicreg"}) {
    expect_alike(fmt::format("losses of 3 steps, {}", task), pretrained(task, "sgd", gpu, 3),
                 pretrained(task, "sgd", c10::kCPU, 3));
  }
  for (const char* optimizer : {"lars", "lamb"}) {
    expect_alike(fmt::format("losses of 3 steps, simclr, {}", optimizer),
                 pretrained("simclr", optimizer, gpu, 3),
                 pretrained("simclr", optimizer, c10::kCPU, 3));
  }
}

TEST_F(GpuTest, LossesOfRoundsAndFineTuningAreThoseOfTheProcessor) {
  for (const char* approximator : {"cg", "identity"}) {
    expect_alike(fmt::format("losses of 2 rounds, {}", approximator),
                 after_rounds(approximator, gpu, 2), after_rounds(approximator, c10::kCPU, 2));
  }
  expect_alike("losses of 3 steps, fine-tuning", finetuned(gpu, 3), finetuned(c10::kCPU, 3));
}

TEST_F(GpuTest, LossesWithChannelsLastAreThoseOfTheProcessor) {
  const Trained steps = pretrained("simclr", "sgd", c10::kCPU, 3);
  const Trained rounds = after_rounds("cg", c10::kCPU, 2);
  set_channels_last(true);
  const Trained steps_there = pretrained("simclr", "sgd", gpu, 3);
  const Trained rounds_there = after_rounds("cg", gpu, 2);
  set_channels_last(false);
  expect_alike("losses of 3 steps, channels last", steps_there, steps);
  expect_alike("losses of 2 rounds, channels last", rounds_there, rounds);
}

TEST_F(GpuTest, DeterministicTrainingsEndWithTheSameBits) {
  at::globalContext().setDeterministicCuDNN(true);
  at::globalContext().setDeterministicAlgorithms(true, false);
  const bool pretraining = pretrained("simclr", "lars", gpu, 5)
                               .weights.equal(pretrained("simclr", "lars", gpu, 5).weights);
  const bool rounds = after_rounds("cg", gpu, 2).weights.equal(after_rounds("cg", gpu, 2).weights);
  print_row("bits of two deterministic trainings", pretraining && rounds ? "same" : "differ",
            "same");
  EXPECT_TRUE(pretraining);
  EXPECT_TRUE(rounds);
}

/// The device works on something else meanwhile, so a transfer that is not waited for shows.
TEST_F(GpuTest, ViewsAreThoseOfTheProcessor) {
  constexpr int64_t batches = 50;
  const auto source = [](c10::Device device) {
    return source_of(unlabelled(200),
                     {.batch = 64, .views = 2, .seed = 5, .purpose = "test", .device = device});
  };
  const auto expected = source(c10::kCPU);
  const at::Tensor load = torch::rand({2048, 2048}, torch::TensorOptions(gpu));
  double largest = 0;
  for (const int threads : {0, 1, 3}) {
    Prefetcher prefetcher(source(gpu), 0, batches, threads);
    for (int64_t number = 0; number < batches; ++number) {
      const at::Tensor busy = load.matmul(load);
      const Batch batch = prefetcher.next();
      const Batch here = expected->make(number);
      for (size_t view = 0; view < here.views.size(); ++view) {
        const at::Tensor away = batch.views[view].to(torch::kCPU).sub(here.views[view]);
        largest = std::max(largest, away.abs().max().item<double>());
      }
    }
  }
  print_row("views of 150 batches", fmt::format("{:.1e}", largest), "0");
  EXPECT_EQ(largest, 0);
}

/// With TF32 too, which would round what is multiplied to 10 bits.
TEST_F(GpuTest, ViewsThatItMakesAreThoseOfTheProcessor) {
  constexpr int64_t batches = 6;
  const auto expected = simclr_batches(c10::kCPU);
  for (const bool tf32 : {false, true}) {
    at::globalContext().setAllowTF32CuBLAS(tf32);
    double largest = 0;
    Prefetcher prefetcher(simclr_batches(gpu), 0, batches, 2);
    for (int64_t number = 0; number < batches; ++number) {
      const Batch batch = prefetcher.next();
      const Batch here = expected->make(number);
      for (size_t view = 0; view < here.views.size(); ++view) {
        const at::Tensor away = batch.views[view].to(torch::kCPU).sub(here.views[view]);
        largest = std::max(largest, away.abs().max().item<double>());
      }
    }
    print_row(tf32 ? "SimCLR's views, made there with --tf32" : "SimCLR's views, made there",
              fmt::format("{:.1e}", largest), fmt::format("{:.0e}", tolerance));
    EXPECT_LE(largest, tolerance);
  }
  at::globalContext().setAllowTF32CuBLAS(false);
}

TEST_F(GpuTest, ItsGeneratorIsSavedAndPutBack) {
  const auto draw = [] { return torch::rand({8}, torch::TensorOptions(gpu)).to(torch::kCPU); };
  seed_generator(3);
  draw();
  const at::Tensor state = generator_state();
  const at::Tensor expected = draw();
  {
    const EvaluationGuard guard({}, 7);
    draw();
  }
  const at::Tensor next = draw();
  set_generator_state(state);
  const bool same = draw().equal(expected) && draw().equal(next);
  print_row("numbers after a checkpoint's generator", same ? "same" : "differ", "same");
  EXPECT_TRUE(same);
}

}  // namespace
}  // namespace bissl::host::test
