#pragma once

#include <cstdint>

namespace bissl::layer_norm_kernels {

/// What the second derivatives of a layer normalisation are made of, on the CPU: rows of `width`
/// values, one behind the other.
template <class T>
struct Rows {
  int64_t width = 0;
  const T* input = nullptr;              ///< x
  const T* grad_output = nullptr;        ///< g, the gradient in the output
  const T* for_input = nullptr;          ///< a, the cotangent of the gradient in x
  const T* mean = nullptr;               ///< one for each row
  const T* inverse_deviation = nullptr;  ///< r, one for each row
  const T* weight = nullptr;             ///< γ, (width)
  const T* for_weight = nullptr;         ///< b, the cotangent of the gradient in γ, (width)
  const T* for_bias = nullptr;           ///< c, the cotangent of the gradient in β, (width)
  T* in_grad_output = nullptr;
  T* in_input = nullptr;
};

/// Writes the results of rows `begin` to `end`, and adds their part of the derivative in γ to
/// `in_weight`, (width).
void second_order(const Rows<float>& rows, int64_t begin, int64_t end, float* in_weight);
void second_order(const Rows<double>& rows, int64_t begin, int64_t end, double* in_weight);

}  // namespace bissl::layer_norm_kernels
