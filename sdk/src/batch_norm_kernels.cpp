#include "batch_norm_kernels.h"

#include "vector_clones.h"

namespace bissl::batch_norm_kernels {
namespace {

template <class T>
[[gnu::always_inline]] inline void sum_values(const T* x, const T* g, const T* a, int64_t count,
                                              T mean, T inverse_deviation, Sums& sums) {
  T sum_a = 0;
  T sum_g = 0;
  T sum_ax = 0;
  T sum_gx = 0;
  T sum_ag = 0;
#pragma omp simd reduction(+ : sum_a, sum_g, sum_ax, sum_gx, sum_ag)
  for (int64_t i = 0; i < count; ++i) {
    const T normalised = (x[i] - mean) * inverse_deviation;
    sum_a += a[i];
    sum_g += g[i];
    sum_ax += a[i] * normalised;
    sum_gx += g[i] * normalised;
    sum_ag += a[i] * g[i];
  }
  sums.a += double(sum_a);
  sums.g += double(sum_g);
  sums.ax += double(sum_ax);
  sums.gx += double(sum_gx);
  sums.ag += double(sum_ag);
}

template <class T>
[[gnu::always_inline]] inline void write_values(const T* __restrict__ x, const T* __restrict__ g,
                                                const T* __restrict__ a, int64_t count, T mean,
                                                T inverse_deviation, const Coefficients& c,
                                                T* __restrict__ in_output,
                                                T* __restrict__ in_input) {
  const T oa = T(c.oa);
  const T ox = T(c.ox);
  const T o1 = T(c.o1);
  const T ia = T(c.ia);
  const T ig = T(c.ig);
  const T ix = T(c.ix);
  const T i1 = T(c.i1);
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    const T normalised = (x[i] - mean) * inverse_deviation;
    in_output[i] = oa * a[i] + ox * normalised + o1;
    in_input[i] = ia * a[i] + ig * g[i] + ix * normalised + i1;
  }
}

}  // namespace

Coefficients coefficients_of(const Sums& s, double weight, double r, double b, double c,
                             double count, bool training) {
  const double scale = weight * r;
  if (!training) {
    return {.oa = scale, .ox = b, .o1 = c, .ia = 0, .ig = b * r, .ix = 0, .i1 = 0};
  }
  const double k = s.ag - (s.a * s.g + s.ax * s.gx) / count;
  const double mean_q = -scale * (s.a * s.gx + s.g * s.ax) / (count * count) + b * s.g / count;
  const double mean_qx = -scale * 2 * s.ax * s.gx / (count * count) + b * s.gx / count;
  return {.oa = scale,
          .ox = b - scale * s.ax / count,
          .o1 = c - scale * s.a / count,
          .ia = -r * scale * s.gx / count,
          .ig = r * (b - scale * s.ax / count),
          .ix = -r * mean_qx - scale * r * k / count,
          .i1 = -r * mean_q};
}

BISSL_VECTOR_CLONES void add_run(const float* x, const float* g, const float* a, int64_t count,
                                 double mean, double inverse_deviation, Sums& sums) {
  sum_values(x, g, a, count, float(mean), float(inverse_deviation), sums);
}

BISSL_VECTOR_CLONES void add_run(const double* x, const double* g, const double* a, int64_t count,
                                 double mean, double inverse_deviation, Sums& sums) {
  sum_values(x, g, a, count, mean, inverse_deviation, sums);
}

BISSL_VECTOR_CLONES void write_run(const float* x, const float* g, const float* a, int64_t count,
                                   double mean, double inverse_deviation,
                                   const Coefficients& coefficients, float* in_output,
                                   float* in_input) {
  write_values(x, g, a, count, float(mean), float(inverse_deviation), coefficients, in_output,
               in_input);
}

BISSL_VECTOR_CLONES void write_run(const double* x, const double* g, const double* a, int64_t count,
                                   double mean, double inverse_deviation,
                                   const Coefficients& coefficients, double* in_output,
                                   double* in_input) {
  write_values(x, g, a, count, mean, inverse_deviation, coefficients, in_output, in_input);
}

}  // namespace bissl::batch_norm_kernels
