#pragma once

#include <cstdint>

/// The inner loops of resampling and blur. Each result is worked out by the same operations in the
/// same order on every processor, so views are the same to the bit. Memory that is read and memory
/// that is written must not overlap.
namespace bissl::pixel_kernels {

/// Samples as floats, divided by the largest value of their type: 255 or 65535.
void to_unit(const uint8_t* samples, int64_t count, float* values);
void to_unit(const uint16_t* samples, int64_t count, float* values);

/// The channels of `count` pixels, `values`[i · 3 + channel], each into a row of its own.
void split_colours(const float* values, int64_t count, float* red, float* green, float* blue);

/// Of which samples each of `outputs` new ones is made: Σⱼ weights[j] · input[first + j], j <
/// count.
struct Taps {
  const int64_t* first = nullptr;  ///< of each output; ascends, as does first + count
  const int64_t* count = nullptr;  ///< of each output, at least 1
  const float* weights = nullptr;  ///< `stride` of each output
  int64_t stride = 0;
  int64_t outputs = 0;
};

/// How many rows narrow() works on at once.
constexpr int64_t strip = 8;

/// Rows of pixels, their channels beside each other.
template <class Sample>
struct Strip {
  const Sample* rows[strip];  ///< each of `columns` pixels
  int64_t columns = 0;
  int64_t channels = 0;
};

/// Resamples rows along their length. Output X of channel c of row r becomes
/// output[r · row_stride + c · taps.outputs + X], for the first `wanted` rows. `samples` and
/// `values` are room for columns · channels · strip numbers each.
void narrow(const Strip<uint8_t>& input, const Taps& taps, uint8_t* samples, float* values,
            int64_t wanted, float* output, int64_t row_stride);
void narrow(const Strip<uint16_t>& input, const Taps& taps, uint16_t* samples, float* values,
            int64_t wanted, float* output, int64_t row_stride);

/// output[x] = Σⱼ weights[j] · input[j · stride + x], j < count, x < length
void sum_rows(const float* input, int64_t stride, const float* weights, int64_t count,
              int64_t length, float* output);

/// A plane, each of its rows with the reflected pixels on both sides that a kernel needs.
struct PaddedPlane {
  const float* rows = nullptr;
  int64_t height = 0;
  int64_t width = 0;  ///< without what was added
};

/// output[y · width + x] = Σₖ weights[k] · row y [x + k], k < count; the plane's rows are
/// width + count − 1 long.
void blur_along_rows(const PaddedPlane& plane, const float* weights, int64_t count, float* output);

/// output[y · width + x] = Σₖ weights[k] · rows[y + k][x], k < count
void blur_across_rows(const float* const* rows, int64_t height, int64_t width, const float* weights,
                      int64_t count, float* output);

/// Exchanges left and right in each row.
void mirror_rows(float* rows, int64_t height, int64_t width);

}  // namespace bissl::pixel_kernels
