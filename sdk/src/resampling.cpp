#include "bissl/crops.h"
#include "pixel_kernels.h"
#include "resampling_axes.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace bissl {
namespace {

namespace kernels = pixel_kernels;

/// For each wanted sample of an axis, which input samples it is made of and with what weights.
struct Taps {
  int64_t begin = 0;           ///< the first input sample of all
  int64_t end = 0;             ///< the one behind the last
  std::vector<int64_t> first;  ///< counted from `begin`
  std::vector<int64_t> count;
  std::vector<float> weights;  ///< `stride` per wanted sample
  int64_t stride = 0;

  void plan(const Axis& axis);
  kernels::Taps kernel() const {
    return {first.data(), count.data(), weights.data(), stride, static_cast<int64_t>(first.size())};
  }
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
    const int64_t from = std::max<int64_t>(static_cast<int64_t>(center - support + 0.5), 0);
    const int64_t to = std::min(static_cast<int64_t>(center + support + 0.5), axis.length);
    float* row = weights.data() + i * stride;
    double total = 0.0;
    for (int64_t j = from; j < to; ++j) {
      const double distance = std::abs((static_cast<double>(j) - center + 0.5) * inverse);
      const double weight = std::max(0.0, 1.0 - distance);
      row[j - from] = static_cast<float>(weight);
      total += weight;
    }
    const auto normalizer = static_cast<float>(1.0 / total);
    for (int64_t j = 0; j < to - from; ++j) {
      row[j] *= normalizer;
    }
    begin = i == 0 ? from : begin;
    end = to;
    first[static_cast<size_t>(i)] = from - begin;
    count[static_cast<size_t>(i)] = to - from;
  }
}

/// The row `y` of the box.
const uint8_t* row_of(const Image& image, const Box& box, int64_t y, uint8_t /*type*/) {
  return image.pixels + ((box.top + y) * image.shape.width + box.left) * image.shape.channels;
}
const uint16_t* row_of(const Image& image, const Box& box, int64_t y, uint16_t /*type*/) {
  return image.pixels16() + ((box.top + y) * image.shape.width + box.left) * image.shape.channels;
}

/// The box as it is.
template <class Sample>
void copy(const Image& image, const Box& box, Planes output) {
  thread_local std::vector<float> values;
  const int64_t channels = image.shape.channels;
  values.resize(static_cast<size_t>(box.width * channels));
  for (int64_t y = 0; y < box.height; ++y) {
    const Sample* row = row_of(image, box, y, Sample{});
    const auto target = [&](int64_t channel) { return output.plane(channel) + y * box.width; };
    if (channels == 1) {
      kernels::to_unit(row, box.width, target(0));
      continue;
    }
    kernels::to_unit(row, box.width * channels, values.data());
    if (channels == 3) {
      kernels::split_colours(values.data(), box.width, target(0), target(1), target(2));
      continue;
    }
    for (int64_t channel = 0; channel < channels; ++channel) {
      for (int64_t x = 0; x < box.width; ++x) {
        target(channel)[x] = values[static_cast<size_t>(x * channels + channel)];
      }
    }
  }
}

/// Makes room for `count` numbers. Memory that is there is not cleared again.
template <class Number>
void grow(std::vector<Number>& room, int64_t count) {
  if (static_cast<int64_t>(room.size()) < count) {
    room.resize(static_cast<size_t>(count));
  }
}

/// A resampling and its memory, which is kept for the next one.
template <class Sample>
class Resampler {
 public:
  /// Makes the box as wide as the output, strip by strip, and each row of the output as soon as
  /// those that it is made of are there.
  void run(const Image& image, const Box& box, const Axis& vertical, const Axis& horizontal,
           Planes output) {
    prepare(vertical, horizontal, image.shape.channels);
    const int64_t rows = vertical_.end - vertical_.begin;
    size_t made = 0;
    for (int64_t y = 0; y < rows; y += kernels::strip) {
      const int64_t wanted = std::min(kernels::strip, rows - y);
      for (int64_t r = 0; r < kernels::strip; ++r) {
        const int64_t row = vertical_.begin + y + std::min(r, wanted - 1);
        strip_.rows[r] = row_of(image, box, row, Sample{}) + horizontal_.begin * strip_.channels;
      }
      kernels::narrow(strip_, horizontal_.kernel(), samples_.data(), values_.data(), wanted,
                      narrowed_.data() + y * length_, length_);
      for (; made < vertical_.first.size() &&
             vertical_.first[made] + vertical_.count[made] <= y + wanted;
           ++made) {
        write_row(made, output);
      }
    }
  }

 private:
  void prepare(const Axis& vertical, const Axis& horizontal, int64_t channels) {
    horizontal_.plan(horizontal);
    vertical_.plan(vertical);
    strip_.columns = horizontal_.end - horizontal_.begin;
    strip_.channels = channels;
    length_ = horizontal.count * channels;
    const int64_t room = strip_.columns * channels * kernels::strip;
    grow(samples_, room);
    grow(values_, room);
    grow(narrowed_, length_ * (vertical_.end - vertical_.begin));
  }

  void write_row(size_t y, Planes output) const {
    const int64_t width = output.shape.width;
    for (int64_t channel = 0; channel < output.shape.channels; ++channel) {
      kernels::sum_rows(narrowed_.data() + vertical_.first[y] * length_ + channel * width, length_,
                        vertical_.weights.data() + static_cast<int64_t>(y) * vertical_.stride,
                        vertical_.count[y], width,
                        output.plane(channel) + static_cast<int64_t>(y) * width);
    }
  }

  Taps horizontal_;
  Taps vertical_;
  kernels::Strip<Sample> strip_{};
  std::vector<Sample> samples_;
  std::vector<float> values_;
  std::vector<float> narrowed_;  ///< of each row the channels one after the other
  int64_t length_ = 0;           ///< of these rows
};

template <class Sample>
void resample_samples(const Image& image, const Box& box, const Axis& vertical,
                      const Axis& horizontal, Planes output) {
  thread_local Resampler<Sample> kept;
  Resampler<Sample>& resampler = kept;  // so that its address is worked out once
  resampler.run(image, box, vertical, horizontal, output);
}

void resample(const Image& image, const Box& box, const Axis& vertical, const Axis& horizontal,
              Planes output) {
  if (image.type == PixelType::uint16) {
    resample_samples<uint16_t>(image, box, vertical, horizontal, output);
  } else {
    resample_samples<uint8_t>(image, box, vertical, horizontal, output);
  }
}

}  // namespace

ViewGeometry resized_crop(const Image& image, const Box& box, Planes output) {
  const ImageShape& shape = output.shape;
  const Axis vertical{box.height, shape.height, 0, shape.height};
  const Axis horizontal{box.width, shape.width, 0, shape.width};
  if (box.height == shape.height && box.width == shape.width) {
    if (image.type == PixelType::uint16) {
      copy<uint16_t>(image, box, output);
    } else {
      copy<uint8_t>(image, box, output);
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
  const Axis vertical = centered_axis(height, width, size);
  const Axis horizontal = centered_axis(width, height, size);
  const Box whole{0, 0, height, width};
  resample(image, whole, vertical, horizontal, output);
  return geometry_of(whole, vertical, horizontal);
}

}  // namespace bissl
