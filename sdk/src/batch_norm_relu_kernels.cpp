#include "batch_norm_relu_kernels.h"

#include "vector_clones.h"

#include <algorithm>

namespace bissl::batch_norm_relu_kernels {

using batch_norm_kernels::Coefficients;
using batch_norm_kernels::Sums;

namespace {

/// Values whose sum is taken in their own precision; they stay in the first cache.
constexpr int64_t part_size = 2048;

template <class T>
[[gnu::always_inline]] inline Moments channel_moments(const T* x, const Planes& planes) {
  double count = 0;
  double mean = 0;
  double squares = 0;
  for (int64_t n = 0; n < planes.samples; ++n) {
    for (int64_t begin = 0; begin < planes.plane; begin += part_size) {
      const T* const part = x + n * planes.stride + begin;
      const int64_t size = std::min(part_size, planes.plane - begin);
      T sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t i = 0; i < size; ++i) {
        sum += part[i];
      }
      const T centre = sum / T(size);
      T spread = 0;
#pragma omp simd reduction(+ : spread)
      for (int64_t i = 0; i < size; ++i) {
        spread += (part[i] - centre) * (part[i] - centre);
      }
      const auto added = double(size);
      const double apart = double(centre) - mean;
      const double total = count + added;
      squares += double(spread) + apart * apart * count * added / total;
      mean += apart * added / total;
      count = total;
    }
  }
  return {mean, squares / count};
}

template <bool residual, class T>
[[gnu::always_inline]] inline void channel_output(const T* x, const T* z, const Planes& planes,
                                                  T mean, T scale, T shift, T* output) {
  for (int64_t n = 0; n < planes.samples; ++n) {
    const T* __restrict__ const in = x + n * planes.stride;
    const T* __restrict__ const beside = residual ? z + n * planes.stride : nullptr;
    T* __restrict__ const out = output + n * planes.stride;
#pragma omp simd
    for (int64_t i = 0; i < planes.plane; ++i) {
      T value = scale * (in[i] - mean) + shift;
      if constexpr (residual) {
        value += beside[i];
      }
      // What is not a number stays so.
      out[i] = value <= 0 ? T(0) : value;
    }
  }
}

template <class T>
[[gnu::always_inline]] inline void any_output(const T* x, const T* z, const Planes& planes, T mean,
                                              T scale, T shift, T* output) {
  if (z == nullptr) {
    channel_output<false>(x, z, planes, mean, scale, shift, output);
  } else {
    channel_output<true>(x, z, planes, mean, scale, shift, output);
  }
}

template <class T>
[[gnu::always_inline]] inline GradientSums channel_sums(const T* x, const T* g, const T* y,
                                                        const Planes& planes, T mean,
                                                        double inverse_deviation) {
  GradientSums sums;
  for (int64_t n = 0; n < planes.samples; ++n) {
    for (int64_t begin = 0; begin < planes.plane; begin += part_size) {
      const int64_t start = n * planes.stride + begin;
      const int64_t size = std::min(part_size, planes.plane - begin);
      const T* const in = x + start;
      const T* const gradient = g + start;
      const T* const out = y + start;
      T sum = 0;
      T product = 0;
#pragma omp simd reduction(+ : sum, product)
      for (int64_t i = 0; i < size; ++i) {
        const T value = out[i] <= 0 ? T(0) : gradient[i];
        sum += value;
        product += value * (in[i] - mean);
      }
      sums.g += double(sum);
      sums.gx += double(product) * inverse_deviation;
    }
  }
  return sums;
}

template <bool residual, class T>
[[gnu::always_inline]] inline void channel_gradient(const T* x, const T* g, const T* y,
                                                    const Planes& planes, T mean, T cg, T cx, T c1,
                                                    T* in_x, T* in_z) {
  for (int64_t n = 0; n < planes.samples; ++n) {
    const int64_t start = n * planes.stride;
    const T* __restrict__ const in = x + start;
    const T* __restrict__ const gradient = g + start;
    const T* __restrict__ const out = y + start;
    T* __restrict__ const to_x = in_x + start;
    T* __restrict__ const to_z = residual ? in_z + start : nullptr;
#pragma omp simd
    for (int64_t i = 0; i < planes.plane; ++i) {
      const T value = out[i] <= 0 ? T(0) : gradient[i];
      to_x[i] = cg * value + cx * (in[i] - mean) + c1;
      if constexpr (residual) {
        to_z[i] = value;
      }
    }
  }
}

template <class T>
[[gnu::always_inline]] inline void any_gradient(const T* x, const T* g, const T* y,
                                                const Planes& planes, double mean,
                                                double inverse_deviation,
                                                const GradientCoefficients& c, T* in_x, T* in_z) {
  const T cx = T(c.cx * inverse_deviation);
  if (in_z == nullptr) {
    channel_gradient<false>(x, g, y, planes, T(mean), T(c.cg), cx, T(c.c1), in_x, in_z);
  } else {
    channel_gradient<true>(x, g, y, planes, T(mean), T(c.cg), cx, T(c.c1), in_x, in_z);
  }
}

template <class T>
[[gnu::always_inline]] inline Sums any_second_sums(const SecondOrderRun<T>& run,
                                                   const Planes& planes, T mean,
                                                   double inverse_deviation) {
  Sums sums;
  for (int64_t n = 0; n < planes.samples; ++n) {
    for (int64_t begin = 0; begin < planes.plane; begin += part_size) {
      const int64_t start = n * planes.stride + begin;
      const int64_t size = std::min(part_size, planes.plane - begin);
      const T* const x = run.x + start;
      const T* const g = run.g + start;
      const T* const y = run.y + start;
      const T* const a = run.a + start;
      T sum_a = 0;
      T sum_g = 0;
      T sum_ax = 0;
      T sum_gx = 0;
      T sum_ag = 0;
#pragma omp simd reduction(+ : sum_a, sum_g, sum_ax, sum_gx, sum_ag)
      for (int64_t i = 0; i < size; ++i) {
        const T gradient = y[i] <= 0 ? T(0) : g[i];
        const T centred = x[i] - mean;
        sum_a += a[i];
        sum_g += gradient;
        sum_ax += a[i] * centred;
        sum_gx += gradient * centred;
        sum_ag += a[i] * gradient;
      }
      sums.a += double(sum_a);
      sums.g += double(sum_g);
      sums.ax += double(sum_ax) * inverse_deviation;
      sums.gx += double(sum_gx) * inverse_deviation;
      sums.ag += double(sum_ag);
    }
  }
  return sums;
}

template <bool residual, class T>
[[gnu::always_inline]] inline void channel_second_order(const SecondOrderRun<T>& run,
                                                        const Planes& planes, T mean,
                                                        double inverse_deviation,
                                                        const Coefficients& c, T* in_g, T* in_x) {
  const T oa = T(c.oa);
  const T ox = T(c.ox * inverse_deviation);
  const T o1 = T(c.o1);
  const T ia = T(c.ia);
  const T ig = T(c.ig);
  const T ix = T(c.ix * inverse_deviation);
  const T i1 = T(c.i1);
  for (int64_t n = 0; n < planes.samples; ++n) {
    const int64_t start = n * planes.stride;
    const T* __restrict__ const x = run.x + start;
    const T* __restrict__ const g = run.g + start;
    const T* __restrict__ const y = run.y + start;
    const T* __restrict__ const a = run.a + start;
    const T* __restrict__ const d = residual ? run.d + start : nullptr;
    T* __restrict__ const to_g = in_g + start;
    T* __restrict__ const to_x = in_x + start;
#pragma omp simd
    for (int64_t i = 0; i < planes.plane; ++i) {
      const T gradient = y[i] <= 0 ? T(0) : g[i];
      const T centred = x[i] - mean;
      T value = oa * a[i] + ox * centred + o1;
      if constexpr (residual) {
        value += d[i];
      }
      to_g[i] = y[i] <= 0 ? T(0) : value;
      to_x[i] = ia * a[i] + ig * gradient + ix * centred + i1;
    }
  }
}

template <class T>
[[gnu::always_inline]] inline void any_second_order(const SecondOrderRun<T>& run,
                                                    const Planes& planes, T mean,
                                                    double inverse_deviation, const Coefficients& c,
                                                    T* in_g, T* in_x) {
  if (run.d == nullptr) {
    channel_second_order<false>(run, planes, mean, inverse_deviation, c, in_g, in_x);
  } else {
    channel_second_order<true>(run, planes, mean, inverse_deviation, c, in_g, in_x);
  }
}

}  // namespace

BISSL_VECTOR_CLONES Moments moments(const float* x, const Planes& planes) {
  return channel_moments(x, planes);
}

BISSL_VECTOR_CLONES Moments moments(const double* x, const Planes& planes) {
  return channel_moments(x, planes);
}

BISSL_VECTOR_CLONES void write_output(const float* x, const float* z, const Planes& planes,
                                      double mean, double scale, double shift, float* output) {
  any_output(x, z, planes, float(mean), float(scale), float(shift), output);
}

BISSL_VECTOR_CLONES void write_output(const double* x, const double* z, const Planes& planes,
                                      double mean, double scale, double shift, double* output) {
  any_output(x, z, planes, double(mean), double(scale), double(shift), output);
}

BISSL_VECTOR_CLONES GradientSums gradient_sums(const float* x, const float* g, const float* y,
                                               const Planes& planes, double mean,
                                               double inverse_deviation) {
  return channel_sums(x, g, y, planes, float(mean), inverse_deviation);
}

BISSL_VECTOR_CLONES GradientSums gradient_sums(const double* x, const double* g, const double* y,
                                               const Planes& planes, double mean,
                                               double inverse_deviation) {
  return channel_sums(x, g, y, planes, double(mean), inverse_deviation);
}

BISSL_VECTOR_CLONES void write_gradient(const float* x, const float* g, const float* y,
                                        const Planes& planes, double mean, double inverse_deviation,
                                        const GradientCoefficients& coefficients, float* in_x,
                                        float* in_z) {
  any_gradient(x, g, y, planes, mean, inverse_deviation, coefficients, in_x, in_z);
}

BISSL_VECTOR_CLONES void write_gradient(const double* x, const double* g, const double* y,
                                        const Planes& planes, double mean, double inverse_deviation,
                                        const GradientCoefficients& coefficients, double* in_x,
                                        double* in_z) {
  any_gradient(x, g, y, planes, mean, inverse_deviation, coefficients, in_x, in_z);
}

BISSL_VECTOR_CLONES Sums second_order_sums(const SecondOrderRun<float>& run, const Planes& planes,
                                           double mean, double inverse_deviation) {
  return any_second_sums(run, planes, float(mean), inverse_deviation);
}

BISSL_VECTOR_CLONES Sums second_order_sums(const SecondOrderRun<double>& run, const Planes& planes,
                                           double mean, double inverse_deviation) {
  return any_second_sums(run, planes, double(mean), inverse_deviation);
}

BISSL_VECTOR_CLONES void write_second_order(const SecondOrderRun<float>& run, const Planes& planes,
                                            double mean, double inverse_deviation,
                                            const Coefficients& coefficients, float* in_g,
                                            float* in_x) {
  any_second_order(run, planes, float(mean), inverse_deviation, coefficients, in_g, in_x);
}

BISSL_VECTOR_CLONES void write_second_order(const SecondOrderRun<double>& run, const Planes& planes,
                                            double mean, double inverse_deviation,
                                            const Coefficients& coefficients, double* in_g,
                                            double* in_x) {
  any_second_order(run, planes, double(mean), inverse_deviation, coefficients, in_g, in_x);
}

}  // namespace bissl::batch_norm_relu_kernels
