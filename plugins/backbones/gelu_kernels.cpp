#include "gelu_kernels.h"

#include "vector_clones.h"

#include <bit>
#include <cmath>

namespace bissl::gelu_kernels {
namespace {

constexpr double root_of_two_pi = 2.5066282746310002;

/// exp(x) for x ≤ 0 to single precision, in operations that become vector code: 2ⁿ times the
/// Taylor polynomial of degree 7 at x − n·ln 2, which is at most 0.35 away from 0 (Cody and Waite
/// 1980). Below −87 it stays at the value there, 2e-38.
[[gnu::always_inline]] inline float exponential(float x) {
  const float bounded = x < -87.0F ? -87.0F : x;
  constexpr float rounding = 12582912.0F;  // 1.5·2²³: adding it rounds to a whole number
  const float whole = (bounded * 1.44269504F + rounding) - rounding;
  const float rest = (bounded - whole * 0.693359375F) + whole * 2.12194440e-4F;
  float sum = 1.0F / 5040;
  sum = sum * rest + 1.0F / 720;
  sum = sum * rest + 1.0F / 120;
  sum = sum * rest + 1.0F / 24;
  sum = sum * rest + 1.0F / 6;
  sum = sum * rest + 0.5F;
  sum = sum * rest + 1.0F;
  sum = sum * rest + 1.0F;
  return sum * std::bit_cast<float>((int32_t(whole) + 127) << 23);
}

}  // namespace

BISSL_VECTOR_CLONES void curvature(const float* __restrict__ x, const float* __restrict__ g,
                                   const float* __restrict__ a, int64_t count,
                                   float* __restrict__ result) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    const float square = x[i] * x[i];
    result[i] =
        a[i] * g[i] * (2.0F - square) * exponential(-0.5F * square) * float(1 / root_of_two_pi);
  }
}

void curvature(const double* x, const double* g, const double* a, int64_t count, double* result) {
  for (int64_t i = 0; i < count; ++i) {
    const double square = x[i] * x[i];
    result[i] = a[i] * g[i] * (2 - square) * std::exp(-0.5 * square) / root_of_two_pi;
  }
}

}  // namespace bissl::gelu_kernels
