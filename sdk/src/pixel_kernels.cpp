#include "pixel_kernels.h"

#include "vector_clones.h"

#include <algorithm>
#include <cstring>
#include <utility>

// The functions below are inlined into those with BISSL_VECTOR_CLONES, so each of these has them in
// the instructions of its processor. Vectors wider than the processor's are several of them.
#define BISSL_KERNEL [[gnu::always_inline]] inline

namespace bissl::pixel_kernels {
namespace {

using Bytes16 = uint8_t __attribute__((vector_size(16)));
using Floats4 = float __attribute__((vector_size(16)));
using Floats8 = float __attribute__((vector_size(32)));

/// Vectors in memory, at any address.
template <class Vector, class Element>
BISSL_KERNEL void load(const Element* from, Vector& vector) {
  std::memcpy(&vector, from, sizeof vector);
}
template <class Vector, class Element>
BISSL_KERNEL void store(const Vector& vector, Element* to) {
  std::memcpy(to, &vector, sizeof vector);
}

/// sample / 255 to the bit without a division, which takes several times as long: the first factor
/// is exact, and the second is what it lacks of 1/255.
BISSL_KERNEL constexpr float unit_value(uint8_t sample) {
  constexpr float most = 0x101p-16F;
  constexpr float rest = static_cast<float>(0x1p-16 / 255.0);
  const auto value = static_cast<float>(sample);
  return value * most + value * rest;
}
constexpr bool unit_values_are_quotients() {
  for (int i = 0; i < 256; ++i) {
    if (unit_value(static_cast<uint8_t>(i)) != static_cast<float>(i) / 255.0F) {
      return false;
    }
  }
  return true;
}
static_assert(unit_values_are_quotients());

BISSL_KERNEL constexpr float unit_value(uint16_t sample) {
  return static_cast<float>(sample) / 65535.0F;
}

template <class Sample>
BISSL_KERNEL void convert(const Sample* __restrict samples, int64_t count,
                          float* __restrict values) {
  for (int64_t i = 0; i < count; ++i) {
    values[i] = unit_value(samples[i]);
  }
}

/// samples[e · strip + r] = rows[r][e]
BISSL_KERNEL void transpose(const uint8_t* const* rows, int64_t elements, uint8_t* samples) {
  static_assert(strip == 8);
  int64_t e = 0;
  for (; e + 16 <= elements; e += 16) {
    Bytes16 from[strip];
    Bytes16 to[strip];
    for (int64_t r = 0; r < strip; ++r) {
      load(rows[r] + e, from[r]);
    }
    // Three times row r between row r + 4: the bits of a byte's place turn by one each time.
    for (int turn = 0; turn < 3; ++turn) {
      for (int64_t r = 0; r < strip / 2; ++r) {
        to[2 * r] = __builtin_shufflevector(from[r], from[r + 4], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20,
                                            5, 21, 6, 22, 7, 23);
        to[2 * r + 1] = __builtin_shufflevector(from[r], from[r + 4], 8, 24, 9, 25, 10, 26, 11, 27,
                                                12, 28, 13, 29, 14, 30, 15, 31);
      }
      for (int64_t r = 0; r < strip; ++r) {
        from[r] = to[r];
      }
    }
    for (int64_t r = 0; r < strip; ++r) {
      store(from[r], samples + e * strip + r * 16);
    }
  }
  for (; e < elements; ++e) {
    for (int64_t r = 0; r < strip; ++r) {
      samples[e * strip + r] = rows[r][e];
    }
  }
}

BISSL_KERNEL void transpose(const uint16_t* const* rows, int64_t elements, uint16_t* samples) {
  for (int64_t e = 0; e < elements; ++e) {
    for (int64_t r = 0; r < strip; ++r) {
      samples[e * strip + r] = rows[r][e];
    }
  }
}

/// Four rows of four, exchanged with columns.
BISSL_KERNEL void transpose(Floats4& a, Floats4& b, Floats4& c, Floats4& d) {
  const Floats4 ac_low = __builtin_shufflevector(a, c, 0, 4, 1, 5);
  const Floats4 ac_high = __builtin_shufflevector(a, c, 2, 6, 3, 7);
  const Floats4 bd_low = __builtin_shufflevector(b, d, 0, 4, 1, 5);
  const Floats4 bd_high = __builtin_shufflevector(b, d, 2, 6, 3, 7);
  a = __builtin_shufflevector(ac_low, bd_low, 0, 4, 1, 5);
  b = __builtin_shufflevector(ac_low, bd_low, 2, 6, 3, 7);
  c = __builtin_shufflevector(ac_high, bd_high, 0, 4, 1, 5);
  d = __builtin_shufflevector(ac_high, bd_high, 2, 6, 3, 7);
}

/// block[x · strip + r] → output[r · row_stride + x], x < 8, for the first `wanted` rows.
BISSL_KERNEL void write_block(const float* block, int64_t wanted, float* output,
                              int64_t row_stride) {
  for (int64_t x = 0; x < 8; x += 4) {
    for (int64_t r = 0; r < wanted; r += 4) {
      Floats4 part[4];
      for (int64_t i = 0; i < 4; ++i) {
        load(block + (x + i) * strip + r, part[i]);
      }
      transpose(part[0], part[1], part[2], part[3]);
      for (int64_t i = 0; i < 4 && r + i < wanted; ++i) {
        store(part[i], output + (r + i) * row_stride + x);
      }
    }
  }
}

/// The same for the last, fewer than 8, places of a row.
BISSL_KERNEL void write_rest(const float* block, int64_t places, int64_t wanted, float* output,
                             int64_t row_stride) {
  for (int64_t x = 0; x < places; ++x) {
    for (int64_t r = 0; r < wanted; ++r) {
      output[r * row_stride + x] = block[x * strip + r];
    }
  }
}

/// sum[r] = Σⱼ weights[j] · values[j · step + r], r < strip
BISSL_KERNEL void sum_pixels(const float* values, int64_t step, const float* weights, int64_t count,
                             float* sum) {
  Floats8 value;
  load(values, value);
  Floats8 total = weights[0] * value;
  for (int64_t j = 1; j < count; ++j) {
    load(values + j * step, value);
    total += weights[j] * value;
  }
  store(total, sum);
}

/// The same for three channels beside each other; their sums lie `distance` apart.
BISSL_KERNEL void sum_colours(const float* values, const float* weights, int64_t count, float* sums,
                              int64_t distance) {
  Floats8 value;
  load(values, value);
  Floats8 red = weights[0] * value;
  load(values + strip, value);
  Floats8 green = weights[0] * value;
  load(values + 2 * strip, value);
  Floats8 blue = weights[0] * value;
  for (int64_t j = 1; j < count; ++j) {
    values += 3 * strip;
    load(values, value);
    red += weights[j] * value;
    load(values + strip, value);
    green += weights[j] * value;
    load(values + 2 * strip, value);
    blue += weights[j] * value;
  }
  store(red, sums);
  store(green, sums + distance);
  store(blue, sums + 2 * distance);
}

template <int together, class Sample>
BISSL_KERNEL void narrow_strip(const Strip<Sample>& input, const Taps& taps, Sample* samples,
                               float* values, int64_t wanted, float* output, int64_t row_stride) {
  constexpr int64_t places = 16;  // of a block
  const int64_t channels = input.channels;
  transpose(input.rows, input.columns * channels, samples);
  for (int64_t x = 0; x < taps.outputs; x += places) {
    const int64_t wide = std::min(places, taps.outputs - x);
    // Converted when it is needed, what two blocks share twice, so that it is in the nearest cache.
    const int64_t begin = taps.first[x];
    const int64_t end = taps.first[x + wide - 1] + taps.count[x + wide - 1];
    convert(samples + begin * channels * strip, (end - begin) * channels * strip, values);
    for (int64_t c = 0; c < channels; c += together) {
      float blocks[together * places * strip];
      for (int64_t i = 0; i < wide; ++i) {
        const float* first = values + ((taps.first[x + i] - begin) * channels + c) * strip;
        const float* weights = taps.weights + (x + i) * taps.stride;
        if (together == 3) {
          sum_colours(first, weights, taps.count[x + i], blocks + i * strip, places * strip);
        } else {
          sum_pixels(first, channels * strip, weights, taps.count[x + i], blocks + i * strip);
        }
      }
      for (int64_t k = 0; k < together; ++k) {
        const float* block = blocks + k * places * strip;
        float* target = output + (c + k) * taps.outputs + x;
        int64_t i = 0;
        for (; i + 8 <= wide; i += 8)
          write_block(block + i * strip, wanted, target + i, row_stride);
        if (i < wide) write_rest(block + i * strip, wide - i, wanted, target + i, row_stride);
      }
    }
  }
}

template <class Sample>
BISSL_KERNEL void narrow_any(const Strip<Sample>& input, const Taps& taps, Sample* samples,
                             float* values, int64_t wanted, float* output, int64_t row_stride) {
  if (input.channels == 3) {
    narrow_strip<3>(input, taps, samples, values, wanted, output, row_stride);
  } else {
    narrow_strip<1>(input, taps, samples, values, wanted, output, row_stride);
  }
}

/// output[x] = Σⱼ weights[j] · row_at(j)[x]; sums stay in registers.
template <class RowAt>
BISSL_KERNEL void weighted_sum(const RowAt& row_at, const float* weights, int64_t count,
                               int64_t length, float* output) {
  constexpr int64_t wide = 4;
  int64_t x = 0;
  for (; x + wide * 8 <= length; x += wide * 8) {
    Floats8 sums[wide];
    for (int64_t i = 0; i < wide; ++i) {
      Floats8 value;
      load(row_at(0) + x + i * 8, value);
      sums[i] = weights[0] * value;
    }
    for (int64_t j = 1; j < count; ++j) {
      const float* row = row_at(j) + x;
      for (int64_t i = 0; i < wide; ++i) {
        Floats8 value;
        load(row + i * 8, value);
        sums[i] += weights[j] * value;
      }
    }
    for (int64_t i = 0; i < wide; ++i) {
      store(sums[i], output + x + i * 8);
    }
  }
  for (; x + 4 <= length; x += 4) {
    Floats4 sum;
    load(row_at(0) + x, sum);
    sum = weights[0] * sum;
    for (int64_t j = 1; j < count; ++j) {
      Floats4 value;
      load(row_at(j) + x, value);
      sum += weights[j] * value;
    }
    store(sum, output + x);
  }
  for (; x < length; ++x) {
    float sum = weights[0] * row_at(0)[x];
    for (int64_t j = 1; j < count; ++j) {
      sum += weights[j] * row_at(j)[x];
    }
    output[x] = sum;
  }
}

}  // namespace

BISSL_VECTOR_CLONES
void to_unit(const uint8_t* samples, int64_t count, float* values) {
  convert(samples, count, values);
}

BISSL_VECTOR_CLONES
void to_unit(const uint16_t* samples, int64_t count, float* values) {
  convert(samples, count, values);
}

BISSL_VECTOR_CLONES
void split_colours(const float* __restrict values, int64_t count, float* __restrict red,
                   float* __restrict green, float* __restrict blue) {
  for (int64_t i = 0; i < count; ++i) {
    red[i] = values[3 * i];
    green[i] = values[3 * i + 1];
    blue[i] = values[3 * i + 2];
  }
}

BISSL_VECTOR_CLONES
void narrow(const Strip<uint8_t>& input, const Taps& taps, uint8_t* samples, float* values,
            int64_t wanted, float* output, int64_t row_stride) {
  narrow_any(input, taps, samples, values, wanted, output, row_stride);
}

BISSL_VECTOR_CLONES
void narrow(const Strip<uint16_t>& input, const Taps& taps, uint16_t* samples, float* values,
            int64_t wanted, float* output, int64_t row_stride) {
  narrow_any(input, taps, samples, values, wanted, output, row_stride);
}

BISSL_VECTOR_CLONES
void sum_rows(const float* input, int64_t stride, const float* weights, int64_t count,
              int64_t length, float* output) {
  weighted_sum([=](int64_t j) { return input + j * stride; }, weights, count, length, output);
}

BISSL_VECTOR_CLONES
void blur_along_rows(const PaddedPlane& plane, const float* weights, int64_t count, float* output) {
  const int64_t stride = plane.width + count - 1;
  for (int64_t y = 0; y < plane.height; ++y) {
    const float* row = plane.rows + y * stride;
    weighted_sum([=](int64_t k) { return row + k; }, weights, count, plane.width,
                 output + y * plane.width);
  }
}

BISSL_VECTOR_CLONES
void blur_across_rows(const float* const* rows, int64_t height, int64_t width, const float* weights,
                      int64_t count, float* output) {
  for (int64_t y = 0; y < height; ++y) {
    const float* const* from = rows + y;
    weighted_sum([=](int64_t k) { return from[k]; }, weights, count, width, output + y * width);
  }
}

BISSL_VECTOR_CLONES
void mirror_rows(float* rows, int64_t height, int64_t width) {
  for (int64_t y = 0; y < height; ++y) {
    float* left = rows + y * width;
    float* right = left + width;
    for (; right - left >= 8; left += 4) {
      right -= 4;
      Floats4 a;
      Floats4 b;
      load(left, a);
      load(right, b);
      store(Floats4(__builtin_shufflevector(b, b, 3, 2, 1, 0)), left);
      store(Floats4(__builtin_shufflevector(a, a, 3, 2, 1, 0)), right);
    }
    std::reverse(left, right);
  }
}

}  // namespace bissl::pixel_kernels
