#include "stages/step_memory.h"

#include "bissl/error.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace bissl::host::test
