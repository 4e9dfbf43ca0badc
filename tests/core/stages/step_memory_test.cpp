#include "stages/step_memory.h"

#include "bissl/error.h"
#include "stages/held_tensors.h"
#include "support/sanitizers.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace bissl::host::test {
namespace {

constexpr int64_t step_batch = 100;

/// The sizes that are tried, and what comes of them.
struct Extrapolation {
  std::vector<int64_t> tried;
  double bytes = 0;
};

Extrapolation extrapolation(double enough, double constant, double linear, double square) {
  Extrapolation found;
  found.bytes = extrapolated_bytes(step_batch, enough, [&](int64_t samples) {
    found.tried.push_back(samples);
    const auto n = static_cast<double>(samples);
    return constant + linear * n + square * n * n;
  });
  return found;
}

TEST(HeldTensors, AreThoseInTheMemoryOfTheProcessor) {
  const at::Tensor elsewhere = at::empty({100}, at::TensorOptions(c10::kMeta));
  EXPECT_EQ(bytes_of_tensors({at::ones({5}), at::Tensor(), at::ones({3}, at::kDouble), elsewhere}),
            5 * 4 + 3 * 8);
  const at::Tensor trained = at::ones({7}).requires_grad_();
  NamedTensors parameters;
  parameters.emplace_back("trained", trained);
  parameters.emplace_back("not reached", at::ones({9}).requires_grad_());
  EXPECT_EQ(bytes_of_gradients(parameters), 0);
  trained.mutable_grad() = at::ones({7});
  EXPECT_EQ(bytes_of_gradients(parameters), 7 * 4);
}

TEST(StepMemory, IsContinuedByItsPolynomial) {
  const Extrapolation found = extrapolation(0, 7, 3, 0.5);
  EXPECT_DOUBLE_EQ(found.bytes, 7 + 3 * 100 + 0.5 * 100 * 100);
  EXPECT_EQ(found.tried, (std::vector<int64_t>{4, 16, 8}));
}

TEST(StepMemory, IsTriedNoFurtherThanItMatters) {
  const Extrapolation one = extrapolation(1e6, 7, 3, 0.5);
  EXPECT_EQ(one.tried, std::vector<int64_t>{4});
  EXPECT_GE(one.bytes, 7 + 3 * 100 + 0.5 * 100 * 100) << "the most that it can be";
  EXPECT_LE(one.bytes, 1e6);
  const Extrapolation two = extrapolation(10000, 7, 3, 0.5);
  EXPECT_EQ(two.tried, (std::vector<int64_t>{4, 16}));
  EXPECT_LE(two.bytes, 10000);
}

TEST(StepMemory, OfSmallBatchesAndRefusalsIsUnknown) {
  EXPECT_EQ(extrapolated_bytes(31, 0, [](int64_t) { return 1.0; }), 0);
  EXPECT_EQ(extrapolated_bytes(step_batch, 0,
                               [](int64_t) -> double { fail_input("wants a batch of 32"); }),
            0);
}

/// Takes memory for no tensor, and writes to each of its pages.
void take_memory(int64_t bytes) {
  constexpr int64_t page = 4096;
  std::vector<char> taken(static_cast<size_t>(bytes));
  volatile char* const to = taken.data();
  for (int64_t i = 0; i < bytes; i += page) {
    to[i] = 1;
  }
}

/// Each sample takes `each` bytes of tensors and as many outside of them, and 4 bytes of a batch.
StepOnBatch step_that_takes(int64_t each, std::vector<int64_t>& tried) {
  return {.key = "batch",
          .batch = 64000,
          .held = 3,
          .make =
              [&tried](int64_t samples) {
                tried.push_back(samples);
                Batch batch;
                batch.views = {at::ones({samples, 1, 1, 1}, at::kFloat)};
                return batch;
              },
          .work =
              [each](const Batch& batch) {
                const int64_t bytes = each * batch.views[0].size(0);
                const at::Tensor counted = at::ones({bytes}, at::kByte);
                take_memory(counted.size(0));
              }};
}

constexpr int64_t bytes_each = 8192;
constexpr double tensors_of_step = 64000.0 * (bytes_each + 3 * 4);

TEST(StepMemory, NearTheLimitCountsWhatIsTakenBesideTensors) {
  if (sanitized) {
    GTEST_SKIP() << "a sanitizer keeps what is freed";
  }
  if (process_growth([] { take_memory(int64_t{32} << 20); }) == 0) {
    GTEST_SKIP() << "the system does not forget the highest resident memory";
  }
  std::vector<int64_t> tried;
  const StepOnBatch step = step_that_takes(bytes_each, tried);
  const double found = step_bytes(step, 1.5 * tensors_of_step);
  const double all = tensors_of_step + 64000.0 * bytes_each;
  EXPECT_NEAR(found, all, 0.1 * all);
  EXPECT_EQ(tried.back(), 4000);
}

TEST(StepMemory, FarFromTheLimitIsThatOfTensorsAndHeldBatches) {
  for (const double enough : {0.5 * tensors_of_step, 8 * tensors_of_step}) {
    std::vector<int64_t> tried;
    EXPECT_NEAR(step_bytes(step_that_takes(bytes_each, tried), enough), tensors_of_step,
                1e-3 * tensors_of_step);
    EXPECT_EQ(tried, (std::vector<int64_t>{4, 16, 8}));
  }
}

TEST(StepMemory, BesideOthersIsRefusedWithTheKey) {
  std::vector<int64_t> tried;
  StepOnBatch step = step_that_takes(bytes_each, tried);
  step.beside = 1e18;
  try {
    refuse_step_beyond_memory(step);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_EQ(std::string(error.what()).rfind("batch = 64000: a step on such a batch takes", 0), 0U)
        << error.what();
  }
  step.batch = 31;
  EXPECT_NO_THROW(refuse_step_beyond_memory(step));
}

}  // namespace
}  // namespace bissl::host::test
