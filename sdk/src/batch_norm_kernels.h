#pragma once

#include <cstdint>

namespace bissl::batch_norm_kernels {

// The loops of batch normalisation's second derivatives on the CPU, over one run of values of one
// channel (planes of contiguous images) or over rows of all channels (channels last). x is the
// layer's input, g the gradient in its output, a the cotangent of the gradient in its input.

/// Sums over a channel; x̂ is the normalised input.
struct Sums {
  double a = 0;
  double g = 0;
  double ax = 0;  ///< Σ a·x̂
  double gx = 0;  ///< Σ g·x̂
  double ag = 0;  ///< Σ a·g
};

/// The two results are linear in a, g and x̂, with these coefficients for a channel:
///   in gO: oa·a + ox·x̂ + o1;   in x: ia·a + ig·g + ix·x̂ + i1
struct Coefficients {
  double oa = 0, ox = 0, o1 = 0;
  double ia = 0, ig = 0, ix = 0, i1 = 0;
};

/// The coefficients of a channel of `count` values that these sums are of: with the layer's weight
/// and inverse deviation r, the cotangents b of the weight's gradient and c of the bias's, and
/// whether the layer normalises by the batch's statistics. sdk/src/batch_norm.cpp has the formulas.
Coefficients coefficients_of(const Sums& sums, double weight, double r, double b, double c,
                             double count, bool training);

/// Adds the sums over `count` values of one channel with this mean and inverse deviation. Within a
/// run sums are taken in the values' precision.
void add_run(const float* x, const float* g, const float* a, int64_t count, double mean,
             double inverse_deviation, Sums& sums);
void add_run(const double* x, const double* g, const double* a, int64_t count, double mean,
             double inverse_deviation, Sums& sums);

/// Writes both results for `count` values of one channel.
void write_run(const float* x, const float* g, const float* a, int64_t count, double mean,
               double inverse_deviation, const Coefficients& coefficients, float* in_output,
               float* in_input);
void write_run(const double* x, const double* g, const double* a, int64_t count, double mean,
               double inverse_deviation, const Coefficients& coefficients, double* in_output,
               double* in_input);

}  // namespace bissl::batch_norm_kernels
