#pragma once

#include <cstdint>

namespace bissl::gelu_kernels {

/// Writes a·g·φ(x)·(2 − x²), the second derivative of x·Φ(x) times two cotangents, for `count`
/// values on the CPU. φ and Φ: the normal distribution's density and distribution function.
void curvature(const float* x, const float* g, const float* a, int64_t count, float* result);
void curvature(const double* x, const double* g, const double* a, int64_t count, double* result);

}  // namespace bissl::gelu_kernels
