#include "sums_test.h"

#include "bissl/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace bissl::host::test {
namespace {

template <class T>
Run<T> random_run(int64_t count, RandomStream& stream) {
  Run<T> run{.mean = 0.3, .inverse_deviation = 1.7};
  for (int64_t i = 0; i < count; ++i) {
    run.x.push_back(static_cast<T>(stream.uniform(-2, 2)));
    run.g.push_back(static_cast<T>(stream.uniform(-1, 1)));
    run.a.push_back(static_cast<T>(stream.uniform(-1, 1)));
  }
  return run;
}

/// The sums in double precision, and those of the terms' sizes: what rounding is measured by.
template <class T>
std::pair<std::vector<double>, std::vector<double>> exact_sums(const Run<T>& run) {
  std::vector<double> sums(5);
  std::vector<double> sizes(5);
  for (size_t i = 0; i < run.x.size(); ++i) {
    const double normalised = (double(run.x[i]) - run.mean) * run.inverse_deviation;
    const double a = run.a[i];
    const double g = run.g[i];
    const double terms[] = {a, g, a * normalised, g * normalised, a * g};
    for (size_t k = 0; k < 5; ++k) {
      sums[k] += terms[k];
      sizes[k] += std::abs(terms[k]);
    }
  }
  return {sums, sizes};
}

/// Written values are the same to the bit on every processor. Sums are taken in an order that
/// depends on the length of its vectors, so they differ by rounding: a few of the type's last
/// digits of the sum of the terms' sizes.
template <class T>
void compare_variants() {
  constexpr double tolerance = 8 * double(std::numeric_limits<T>::epsilon());
  RandomStream stream(3, "runs");
  for (const int64_t count : {1, 3, 4, 7, 8, 9, 16, 31, 49, 64, 196, 1000, 3136}) {
    SCOPED_TRACE(count);
    const Run<T> run = random_run<T>(count, stream);
    const RunResults<T> baseline = sum_results_baseline(run);
    const RunResults<T> avx2 = sum_results_avx2(run);
    EXPECT_EQ(baseline.in_output, avx2.in_output);
    EXPECT_EQ(baseline.in_input, avx2.in_input);
    const auto [exact, sizes] = exact_sums(run);
    for (size_t k = 0; k < exact.size(); ++k) {
      EXPECT_NEAR(baseline.sums[k], exact[k], tolerance * sizes[k]) << "sum " << k;
      EXPECT_NEAR(avx2.sums[k], exact[k], tolerance * sizes[k]) << "sum " << k;
    }
  }
}

class SumKernels : public testing::Test {
 protected:
  void SetUp() override {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") == 0) {
      GTEST_SKIP() << "this processor has no AVX2";
    }
#endif
  }
};

TEST_F(SumKernels, InSinglePrecisionDifferByRoundingOnly) { compare_variants<float>(); }
TEST_F(SumKernels, InDoublePrecisionDifferByRoundingOnly) { compare_variants<double>(); }

}  // namespace
}  // namespace bissl::host::test
