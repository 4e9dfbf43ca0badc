#include "max_pool_kernels.h"

#include "vector_clones.h"

#include <algorithm>
#include <cstddef>
#include <vector>

namespace bissl::max_pool_kernels {
namespace {

/// The rows or columns of a window that lie in the image, counted from the window's corner.
struct Extent {
  int64_t begin = 0;
  int64_t end = 3;
};

Extent extent_of(int64_t window, int64_t size) {
  const int64_t corner = 2 * window - 1;
  return {std::max<int64_t>(0, -corner), std::min<int64_t>(3, size - corner)};
}

/// For each column the largest of the rows, and its number as T, so that the loop is of one type.
template <class T>
[[gnu::always_inline]] inline void largest_of_rows(const T* x, int64_t width, int64_t window,
                                                   const Extent& rows, T* __restrict__ values,
                                                   T* __restrict__ numbers) {
  const T* const first = x + (2 * window - 1 + rows.begin) * width;
  for (int64_t i = 0; i < width; ++i) {
    values[i] = first[i];
    numbers[i] = T(rows.begin);
  }
  for (int64_t row = rows.begin + 1; row < rows.end; ++row) {
    const T* __restrict__ const next = x + (2 * window - 1 + row) * width;
    const T number = T(row);
#pragma omp simd
    for (int64_t i = 0; i < width; ++i) {
      const bool larger = next[i] > values[i] || next[i] != next[i];
      values[i] = larger ? next[i] : values[i];
      numbers[i] = larger ? number : numbers[i];
    }
  }
}

template <class T>
[[gnu::always_inline]] inline void plane_largest(const T* x, int64_t height, int64_t width,
                                                 T* output, uint8_t* places) {
  std::vector<T> values(static_cast<size_t>(width));
  std::vector<T> numbers(static_cast<size_t>(width));
  const int64_t across = (width + 1) / 2;
  for (int64_t i = 0; i < (height + 1) / 2; ++i) {
    largest_of_rows(x, width, i, extent_of(i, height), values.data(), numbers.data());
    for (int64_t j = 0; j < across; ++j) {
      const Extent columns = extent_of(j, width);
      const int64_t corner = 2 * j - 1;
      T best = values[size_t(corner + columns.begin)];
      T row = numbers[size_t(corner + columns.begin)];
      int64_t column = columns.begin;
      for (int64_t k = columns.begin + 1; k < columns.end; ++k) {
        const T value = values[size_t(corner + k)];
        const T number = numbers[size_t(corner + k)];
        // Of equal values the one in the upper row is the first.
        const bool better = value > best || value != value || (value == best && number < row);
        best = better ? value : best;
        row = better ? number : row;
        column = better ? k : column;
      }
      output[i * across + j] = best;
      places[i * across + j] = uint8_t(3 * int64_t(row) + column);
    }
  }
}

/// Calls `work(window, place in the plane)`.
template <class Work>
[[gnu::always_inline]] inline void for_places(const uint8_t* places, int64_t height, int64_t width,
                                              const Work& work) {
  const int64_t across = (width + 1) / 2;
  for (int64_t i = 0; i < (height + 1) / 2; ++i) {
    for (int64_t j = 0; j < across; ++j) {
      const int64_t window = i * across + j;
      const int64_t place = places[window];
      work(window, (2 * i - 1 + place / 3) * width + 2 * j - 1 + place % 3);
    }
  }
}

template <class T>
[[gnu::always_inline]] inline void plane_gather(const T* x, const uint8_t* places, int64_t height,
                                                int64_t width, T* output) {
  for_places(places, height, width, [&](int64_t window, int64_t at) { output[window] = x[at]; });
}

template <class T>
[[gnu::always_inline]] inline void plane_spread(const T* values, const uint8_t* places,
                                                int64_t height, int64_t width, T* output) {
  std::fill_n(output, height * width, T(0));
  for_places(places, height, width,
             [&](int64_t window, int64_t at) { output[at] += values[window]; });
}

}  // namespace

BISSL_VECTOR_CLONES void largest(const float* x, int64_t height, int64_t width, float* output,
                                 uint8_t* places) {
  plane_largest(x, height, width, output, places);
}

BISSL_VECTOR_CLONES void largest(const double* x, int64_t height, int64_t width, double* output,
                                 uint8_t* places) {
  plane_largest(x, height, width, output, places);
}

void gather(const float* x, const uint8_t* places, int64_t height, int64_t width, float* output) {
  plane_gather(x, places, height, width, output);
}

void gather(const double* x, const uint8_t* places, int64_t height, int64_t width, double* output) {
  plane_gather(x, places, height, width, output);
}

void spread(const float* values, const uint8_t* places, int64_t height, int64_t width,
            float* output) {
  plane_spread(values, places, height, width, output);
}

void spread(const double* values, const uint8_t* places, int64_t height, int64_t width,
            double* output) {
  plane_spread(values, places, height, width, output);
}

}  // namespace bissl::max_pool_kernels
