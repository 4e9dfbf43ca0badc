#include "layer_norm_kernels.h"

#include "vector_clones.h"

namespace bissl::layer_norm_kernels {
namespace {

/// One row. With M values in it, h = γ·g and q = ∂S/∂x̂ = −(r/M)·(a·Σ h·x̂ + h·Σ a·x̂) + b·g, all
/// of batch normalisation's formulas (sdk/src/batch_norm.cpp) hold with a row in the place of a
/// channel, but that γ, b and c differ from value to value.
template <class T>
[[gnu::always_inline]] inline void one_row(const Rows<T>& rows, int64_t row,
                                           T* __restrict__ in_weight) {
  const int64_t width = rows.width;
  const T* __restrict__ x = rows.input + row * width;
  const T* __restrict__ g = rows.grad_output + row * width;
  const T* __restrict__ a = rows.for_input + row * width;
  const T* __restrict__ weight = rows.weight;
  const T* __restrict__ b = rows.for_weight;
  const T* __restrict__ c = rows.for_bias;
  T* __restrict__ in_output = rows.in_grad_output + row * width;
  T* __restrict__ in_input = rows.in_input + row * width;
  const T mean = rows.mean[row];
  const T r = rows.inverse_deviation[row];
  T sum_a = 0;
  T sum_h = 0;
  T sum_ax = 0;
  T sum_hx = 0;
  T sum_ah = 0;
  T sum_bg = 0;
  T sum_bgx = 0;
#pragma omp simd reduction(+ : sum_a, sum_h, sum_ax, sum_hx, sum_ah, sum_bg, sum_bgx)
  for (int64_t i = 0; i < width; ++i) {
    const T normalised = (x[i] - mean) * r;
    const T h = weight[i] * g[i];
    const T bg = b[i] * g[i];
    sum_a += a[i];
    sum_h += h;
    sum_ax += a[i] * normalised;
    sum_hx += h * normalised;
    sum_ah += a[i] * h;
    sum_bg += bg;
    sum_bgx += bg * normalised;
  }
  const T share = T(1) / T(width);
  const T k = sum_ah - (sum_a * sum_h + sum_ax * sum_hx) * share;
  const T mean_q = sum_bg * share - r * share * share * (sum_a * sum_hx + sum_h * sum_ax);
  const T mean_qx = sum_bgx * share - r * share * share * 2 * sum_ax * sum_hx;
  const T mean_a = sum_a * share;
  const T mean_ax = sum_ax * share;
  const T qa = -r * share * sum_hx;
  const T qh = -r * share * sum_ax;
  const T along = r * mean_qx + k * r * r * share;
#pragma omp simd
  for (int64_t i = 0; i < width; ++i) {
    const T normalised = (x[i] - mean) * r;
    const T in_h = r * (a[i] - mean_a - normalised * mean_ax);
    in_weight[i] += g[i] * in_h;
    in_output[i] = weight[i] * in_h + b[i] * normalised + c[i];
    const T q = qa * a[i] + (qh * weight[i] + b[i]) * g[i];
    in_input[i] = r * (q - mean_q) - along * normalised;
  }
}

}  // namespace

BISSL_VECTOR_CLONES void second_order(const Rows<float>& rows, int64_t begin, int64_t end,
                                      float* in_weight) {
  for (int64_t row = begin; row < end; ++row) {
    one_row(rows, row, in_weight);
  }
}

BISSL_VECTOR_CLONES void second_order(const Rows<double>& rows, int64_t begin, int64_t end,
                                      double* in_weight) {
  for (int64_t row = begin; row < end; ++row) {
    one_row(rows, row, in_weight);
  }
}

}  // namespace bissl::layer_norm_kernels
