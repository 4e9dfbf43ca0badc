#include "bissl/crops.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace bissl {
namespace {

/// One direction of a resampling: `length` samples become `resized`, of which those from `first`
/// on, `count` of them, are wanted.
struct Axis {
  int64_t length = 0;
  int64_t resized = 0;
  int64_t first = 0;
  int64_t count = 0;
};

/// For each wanted sample of an axis, which input samples it is made of and with what weights.
struct Taps {
  std::vector<int64_t> first;
  std::vector<int64_t> count;
  std::vector<float> weights;  ///< `stride` per wanted sample
  int64_t stride = 0;

  void plan(const Axis& axis);
};

// The formula of Pillow (Resample.c, precompute_coeffs) and of ATen's antialiased upsampling.
void Taps::plan(const Axis& axis) {
  const double scale = static_cast<double>(axis.length) / static_cast<double>(axis.resized);
  const double support = std::max(scale, 1.0);
  const double inverse = 1.0 / support;
  stride = static_cast<int64_t>(std::ceil(support)) * 2 + 1;
  first.resize(static_cast<size_t>(axis.count));
  count.resize(static_cast<size_t>(axis.count));
  weights.resize(static_cast<size_t>(axis.count * stride));
  for (int64_t i = 0; i < axis.count; ++i) {
    const double center = scale * (static_cast<double>(axis.first + i) + 0.5);
    const int64_t begin = std::max<int64_t>(static_cast<int64_t>(center - support + 0.5), 0);
    const int64_t end = std::min(static_cast<int64_t>(center + support + 0.5), axis.length);
    float* row = weights.data() + i * stride;
    double total = 0.0;
    for (int64_t j = begin; j < end; ++j) {
      const double distance = std::abs((static_cast<double>(j) - center + 0.5) * inverse);
      const double weight = std::max(0.0, 1.0 - distance);
      row[j - begin] = static_cast<float>(weight);
      total += weight;
    }
    const auto normalizer = static_cast<float>(1.0 / total);
    for (int64_t j = 0; j < end - begin; ++j) {
      row[j] *= normalizer;
    }
    first[static_cast<size_t>(i)] = begin;
    count[static_cast<size_t>(i)] = end - begin;
  }
}

/// Each output row is a weighted sum of input rows; the inner loops run along the rows.
void combine_rows(const float* input, int64_t length, const Taps& taps, float* output) {
  for (size_t i = 0; i < taps.first.size(); ++i) {
    const float* weights = taps.weights.data() + static_cast<int64_t>(i) * taps.stride;
    const float* __restrict source = input + taps.first[i] * length;
    float* __restrict target = output + static_cast<int64_t>(i) * length;
    for (int64_t x = 0; x < length; ++x) {
      target[x] = weights[0] * source[x];
    }
    for (int64_t j = 1; j < taps.count[i]; ++j) {
      const float weight = weights[j];
      const float* __restrict row = source + j * length;
      for (int64_t x = 0; x < length; ++x) {
        target[x] += weight * row[x];
      }
    }
  }
}

void transpose(const float* __restrict input, int64_t rows, int64_t columns,
               float* __restrict output) {
  for (int64_t y = 0; y < rows; ++y) {
    for (int64_t x = 0; x < columns; ++x) {
      output[x * rows + y] = input[y * columns + x];
    }
  }
}

/// sample / 255, rounded as a division in single precision.
const std::array<float, 256>& unit_values() {
  static const std::array<float, 256> values = [] {
    std::array<float, 256> table{};
    for (size_t i = 0; i < table.size(); ++i) {
      table[i] = static_cast<float>(i) / 255.0F;
    }
    return table;
  }();
  return values;
}

/// One channel of the box as floats, row by row, or transposed: box.width rows of box.height
/// values.
template <bool transposed, class Sample, class Value>
void load(const Image& image, const Sample* pixels, const Box& box, int64_t channel,
          const Value& value, float* output) {
  const int64_t step = image.shape.channels;
  for (int64_t y = 0; y < box.height; ++y) {
    const Sample* source = pixels + ((box.top + y) * image.shape.width + box.left) * step + channel;
    for (int64_t x = 0; x < box.width; ++x) {
      output[transposed ? x * box.height + y : y * box.width + x] = value(source[x * step]);
    }
  }
}

template <bool transposed>
void load(const Image& image, const Box& box, int64_t channel, float* output) {
  if (image.type == PixelType::uint16) {
    const auto value = [](uint16_t sample) { return static_cast<float>(sample) / 65535.0F; };
    load<transposed>(image, image.pixels16(), box, channel, value, output);
    return;
  }
  const std::array<float, 256>& values = unit_values();
  const auto value = [&values](uint8_t sample) { return values[sample]; };
  load<transposed>(image, image.pixels, box, channel, value, output);
}

struct Scratch {
  Taps horizontal;
  Taps vertical;
  std::vector<float> columns;
  std::vector<float> narrowed;
  std::vector<float> rows;
};

// The box is loaded transposed, so that the horizontal direction too is a sum of whole rows:
// columns (w × h) → narrowed (W × h) → rows (h × W) → output (H × W).
void resample(const Image& image, const Box& box, const Axis& vertical, const Axis& horizontal,
              Planes output) {
  thread_local Scratch scratch;
  scratch.horizontal.plan(horizontal);
  scratch.vertical.plan(vertical);
  scratch.columns.resize(static_cast<size_t>(box.width * box.height));
  scratch.narrowed.resize(static_cast<size_t>(horizontal.count * box.height));
  scratch.rows.resize(scratch.narrowed.size());
  for (int64_t channel = 0; channel < image.shape.channels; ++channel) {
    load</*transposed=*/true>(image, box, channel, scratch.columns.data());
    combine_rows(scratch.columns.data(), box.height, scratch.horizontal, scratch.narrowed.data());
    transpose(scratch.narrowed.data(), horizontal.count, box.height, scratch.rows.data());
    combine_rows(scratch.rows.data(), horizontal.count, scratch.vertical, output.plane(channel));
  }
}

/// Where the wanted samples of both axes lie in the image that the box is cut from.
ViewGeometry geometry_of(const Box& box, const Axis& vertical, const Axis& horizontal) {
  const auto scale = [](const Axis& axis) {
    return static_cast<double>(axis.length) / static_cast<double>(axis.resized);
  };
  ViewGeometry geometry;
  geometry.xx = scale(horizontal);
  geometry.x0 = static_cast<double>(box.left) + geometry.xx * static_cast<double>(horizontal.first);
  geometry.yy = scale(vertical);
  geometry.y0 = static_cast<double>(box.top) + geometry.yy * static_cast<double>(vertical.first);
  return geometry;
}

}  // namespace

ViewGeometry resized_crop(const Image& image, const Box& box, Planes output) {
  const ImageShape& shape = output.shape;
  const Axis vertical{box.height, shape.height, 0, shape.height};
  const Axis horizontal{box.width, shape.width, 0, shape.width};
  if (box.height == shape.height && box.width == shape.width) {
    for (int64_t channel = 0; channel < shape.channels; ++channel) {
      load</*transposed=*/false>(image, box, channel, output.plane(channel));
    }
  } else {
    resample(image, box, vertical, horizontal, output);
  }
  return geometry_of(box, vertical, horizontal);
}

ViewGeometry resize_and_center_crop(const Image& image, Planes output) {
  const int64_t height = image.shape.height;
  const int64_t width = image.shape.width;
  const int64_t size = output.shape.height;
  if (height == size && width == size) {
    return resized_crop(image, {0, 0, height, width}, output);
  }
  const auto axis = [&](int64_t length, int64_t other) {
    const int64_t resized = length <= other ? size : size * length / other;
    // As Python rounds: halves to the even neighbour.
    const auto first =
        static_cast<int64_t>(std::nearbyint(static_cast<double>(resized - size) / 2.0));
    return Axis{length, resized, first, size};
  };
  const Axis vertical = axis(height, width);
  const Axis horizontal = axis(width, height);
  const Box whole{0, 0, height, width};
  resample(image, whole, vertical, horizontal, output);
  return geometry_of(whole, vertical, horizontal);
}

}  // namespace bissl
