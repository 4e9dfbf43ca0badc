#pragma once

#include "batch_norm_kernels.h"

#include <cstdint>

namespace bissl::batch_norm_relu_kernels {

// The loops of relu(γ·x̂ + β + z), with x̂ the input x normalised over batch and pixels and z a
// residual, and of its first and second derivatives, on the CPU: over one channel of contiguous
// images, `samples` planes of `plane` values, `stride` values from the start of one to that of the
// next. g is the gradient in the output y; g' is g, or 0 where y ≤ 0.

/// Where the planes of a channel lie.
struct Planes {
  int64_t samples = 0;
  int64_t plane = 0;
  int64_t stride = 0;
};

/// Mean and the mean of squared differences from it, of a channel.
struct Moments {
  double mean = 0;
  double variance = 0;
};

/// Sums over a channel.
struct GradientSums {
  double g = 0;   ///< Σ g'
  double gx = 0;  ///< Σ g'·x̂
};

/// The gradient in the input is cg·g' + cx·x̂ + c1.
struct GradientCoefficients {
  double cg = 0, cx = 0, c1 = 0;
};

/// Computed in parts whose sums are of the values' precision, joined in double precision by the
/// formula of Chan, Golub and LeVeque 1983, equation 1.4.
Moments moments(const float* x, const Planes& planes);
Moments moments(const double* x, const Planes& planes);

/// output = relu(scale·(x − mean) + shift + z); z may be null.
void write_output(const float* x, const float* z, const Planes& planes, double mean, double scale,
                  double shift, float* output);
void write_output(const double* x, const double* z, const Planes& planes, double mean, double scale,
                  double shift, double* output);

GradientSums gradient_sums(const float* x, const float* g, const float* y, const Planes& planes,
                           double mean, double inverse_deviation);
GradientSums gradient_sums(const double* x, const double* g, const double* y, const Planes& planes,
                           double mean, double inverse_deviation);

/// Writes the gradient in the input, and in z, which is g', if `in_z` is not null.
void write_gradient(const float* x, const float* g, const float* y, const Planes& planes,
                    double mean, double inverse_deviation, const GradientCoefficients& coefficients,
                    float* in_x, float* in_z);
void write_gradient(const double* x, const double* g, const double* y, const Planes& planes,
                    double mean, double inverse_deviation, const GradientCoefficients& coefficients,
                    double* in_x, double* in_z);

/// What the second derivatives are made of: with a and d the cotangents of the gradients in x and
/// z; d may be null.
template <class T>
struct SecondOrderRun {
  const T* x = nullptr;
  const T* g = nullptr;
  const T* y = nullptr;
  const T* a = nullptr;
  const T* d = nullptr;
};

/// The sums of batch normalisation's second derivatives, with g' for g.
batch_norm_kernels::Sums second_order_sums(const SecondOrderRun<float>& run, const Planes& planes,
                                           double mean, double inverse_deviation);
batch_norm_kernels::Sums second_order_sums(const SecondOrderRun<double>& run, const Planes& planes,
                                           double mean, double inverse_deviation);

/// Batch normalisation's two results, of which that in g has d added, and is 0 where y ≤ 0.
void write_second_order(const SecondOrderRun<float>& run, const Planes& planes, double mean,
                        double inverse_deviation,
                        const batch_norm_kernels::Coefficients& coefficients, float* in_g,
                        float* in_x);
void write_second_order(const SecondOrderRun<double>& run, const Planes& planes, double mean,
                        double inverse_deviation,
                        const batch_norm_kernels::Coefficients& coefficients, double* in_g,
                        double* in_x);

}  // namespace bissl::batch_norm_relu_kernels
