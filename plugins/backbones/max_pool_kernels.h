#pragma once

#include <cstdint>

namespace bissl::max_pool_kernels {

// The loops of the largest of 3x3 pixels in steps of 2 with a padding of 1, over one plane of
// height × width values; there are ⌈height/2⌉ × ⌈width/2⌉ windows. The place of a window's largest
// value is 3·row + column, both from the window's corner, which may lie in the padding.

/// Of equal values the first counts, and what is no number counts as the largest.
void largest(const float* x, int64_t height, int64_t width, float* output, uint8_t* places);
void largest(const double* x, int64_t height, int64_t width, double* output, uint8_t* places);

/// output ← the values of x at the windows' places.
void gather(const float* x, const uint8_t* places, int64_t height, int64_t width, float* output);
void gather(const double* x, const uint8_t* places, int64_t height, int64_t width, double* output);

/// output ← 0, plus the windows' values at their places.
void spread(const float* values, const uint8_t* places, int64_t height, int64_t width,
            float* output);
void spread(const double* values, const uint8_t* places, int64_t height, int64_t width,
            double* output);

}  // namespace bissl::max_pool_kernels
