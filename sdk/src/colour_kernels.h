#pragma once

#include <cstdint>

/// The loops over the values of an image that stay where they are. Each result is worked out by the
/// same operations in the same order on every processor, so views are the same to the bit.
namespace bissl::colour_kernels {

/// The planes of a colour image, none of which overlap.
struct Colours {
  float* red = nullptr;
  float* green = nullptr;
  float* blue = nullptr;
};

/// Σ values[i]
double sum(const float* values, int64_t count);
/// Σ luminance
double sum_luminance(const Colours& image, int64_t count);

/// ratio · x, clamped to [0, 1]
void scale(float* values, int64_t count, float ratio);
/// ratio · x + offset, clamped to [0, 1]
void scale_and_move(float* values, int64_t count, float ratio, float offset);
/// ratio · x + rest · luminance, clamped to [0, 1]
void mix_with_luminance(const Colours& image, int64_t count, float ratio, float rest);
/// The hue turned by `turn` of the full circle, −0.5 … 0.5.
void turn_hue(const Colours& image, int64_t count, float turn);
/// All three planes become the luminance.
void set_to_luminance(const Colours& image, int64_t count);
/// 1 − x where x ≥ limit
void invert_bright(float* values, int64_t count, float limit);
/// (x − center) · factor
void normalize(float* values, int64_t count, float center, float factor);

}  // namespace bissl::colour_kernels
