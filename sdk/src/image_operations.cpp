#include "bissl/image_operations.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace bissl {
namespace {

constexpr float red_weight = 0.2989F;
constexpr float green_weight = 0.587F;
constexpr float blue_weight = 0.114F;

float luminance(float red, float green, float blue) {
  return red_weight * red + green_weight * green + blue_weight * blue;
}

float clamp_unit(float value) { return std::min(std::max(value, 0.0F), 1.0F); }

/// The part of the chroma that a channel lacks: max(0, min(k, 4 − k, 1)) with k = position mod 6,
/// for a position of 0 … 12 sixths of the colour circle.
float missing_chroma(float position) {
  const float k = position >= 6.0F ? position - 6.0F : position;
  return clamp_unit(std::min(k, 4.0F - k));
}

/// Eight sums side by side, so that the additions need not wait for each other.
template <class ValueAt>
double sum(int64_t count, ValueAt value_at) {
  constexpr int64_t lanes = 8;
  float partial[lanes] = {};
  const int64_t whole = count / lanes * lanes;
  for (int64_t i = 0; i < whole; i += lanes) {
    for (int64_t lane = 0; lane < lanes; ++lane) {
      partial[lane] += value_at(i + lane);
    }
  }
  double total = 0.0;
  for (const float part : partial) {
    total += part;
  }
  for (int64_t i = whole; i < count; ++i) {
    total += value_at(i);
  }
  return total;
}

double mean_luminance(Planes image) {
  const int64_t area = image.area();
  const float* red = image.plane(0);
  if (image.shape.channels == 1) {
    return sum(area, [=](int64_t i) { return red[i]; }) / static_cast<double>(area);
  }
  const float* green = image.plane(1);
  const float* blue = image.plane(2);
  return sum(area, [=](int64_t i) { return luminance(red[i], green[i], blue[i]); }) /
         static_cast<double>(area);
}

/// Where the index of a pixel outside 0 … length − 1 lands when the image is mirrored at its outer
/// pixels, as often as needed.
int64_t reflect(int64_t index, int64_t length) {
  if (length == 1) {
    return 0;
  }
  const int64_t period = 2 * (length - 1);
  const int64_t folded = ((index % period) + period) % period;
  return folded < length ? folded : period - folded;
}

void gaussian_weights(int64_t size, double sigma, std::vector<float>& weights) {
  weights.resize(static_cast<size_t>(size));
  const double middle = static_cast<double>(size - 1) / 2.0;
  double total = 0.0;
  for (int64_t i = 0; i < size; ++i) {
    const double distance = (static_cast<double>(i) - middle) / sigma;
    total += std::exp(-0.5 * distance * distance);
  }
  for (int64_t i = 0; i < size; ++i) {
    const double distance = (static_cast<double>(i) - middle) / sigma;
    weights[static_cast<size_t>(i)] =
        static_cast<float>(std::exp(-0.5 * distance * distance) / total);
  }
}

/// output[x] = Σₖ weights[k] · rows[k][x]
template <class RowAt>
void weighted_sum(const std::vector<float>& weights, RowAt row_at, int64_t length,
                  float* __restrict output) {
  const float* __restrict first = row_at(0);
  const float first_weight = weights[0];
  for (int64_t x = 0; x < length; ++x) {
    output[x] = first_weight * first[x];
  }
  for (size_t k = 1; k < weights.size(); ++k) {
    const float* __restrict row = row_at(static_cast<int64_t>(k));
    const float weight = weights[k];
    for (int64_t x = 0; x < length; ++x) {
      output[x] += weight * row[x];
    }
  }
}

}  // namespace

void flip_horizontal(Planes image) {
  const int64_t rows = image.shape.channels * image.shape.height;
  for (int64_t y = 0; y < rows; ++y) {
    float* row = image.data + y * image.shape.width;
    std::reverse(row, row + image.shape.width);
  }
}

void adjust_brightness(Planes image, double factor) {
  const auto ratio = static_cast<float>(factor);
  const int64_t count = image.shape.elements();
  float* data = image.data;
  for (int64_t i = 0; i < count; ++i) {
    data[i] = clamp_unit(ratio * data[i]);
  }
}

void adjust_contrast(Planes image, double factor) {
  const auto ratio = static_cast<float>(factor);
  const auto offset = static_cast<float>((1.0 - factor) * mean_luminance(image));
  const int64_t count = image.shape.elements();
  float* data = image.data;
  for (int64_t i = 0; i < count; ++i) {
    data[i] = clamp_unit(ratio * data[i] + offset);
  }
}

void adjust_saturation(Planes image, double factor) {
  if (image.shape.channels == 1) {
    return;
  }
  const auto ratio = static_cast<float>(factor);
  const auto rest = static_cast<float>(1.0 - factor);
  const int64_t area = image.area();
  float* __restrict red = image.plane(0);
  float* __restrict green = image.plane(1);
  float* __restrict blue = image.plane(2);
  for (int64_t i = 0; i < area; ++i) {
    const float gray = rest * luminance(red[i], green[i], blue[i]);
    red[i] = clamp_unit(ratio * red[i] + gray);
    green[i] = clamp_unit(ratio * green[i] + gray);
    blue[i] = clamp_unit(ratio * blue[i] + gray);
  }
}

// Through hue, saturation and value as torchvision's _rgb2hsv does it, and back by the closed form
// of the six cases of its _hsv2rgb. Selections instead of branches make the loop vector code.
void adjust_hue(Planes image, double shift) {
  if (image.shape.channels == 1) {
    return;
  }
  const auto turn = static_cast<float>(shift);
  const int64_t area = image.area();
  float* __restrict red = image.plane(0);
  float* __restrict green = image.plane(1);
  float* __restrict blue = image.plane(2);
  for (int64_t i = 0; i < area; ++i) {
    const float r = red[i];
    const float g = green[i];
    const float b = blue[i];
    const float value = std::max(r, std::max(g, b));
    const float range = value - std::min(r, std::min(g, b));
    const float saturation = range / (range == 0.0F ? 1.0F : value);
    const float divisor = range == 0.0F ? 1.0F : range;
    const float rc = (value - r) / divisor;
    const float gc = (value - g) / divisor;
    const float bc = (value - b) / divisor;
    const float from_green = 2.0F + rc - bc;
    const float from_blue = 4.0F + gc - rc;
    const float from_red = bc - gc;
    const float sector = value == r ? from_red : (value == g ? from_green : from_blue);
    float hue = sector / 6.0F + 1.0F;
    hue = hue >= 1.0F ? hue - 1.0F : hue;
    hue += turn;
    hue = hue < 0.0F ? hue + 1.0F : hue;
    hue = hue >= 1.0F ? hue - 1.0F : hue;
    const float sextant = hue * 6.0F;
    const float chroma = value * saturation;
    red[i] = clamp_unit(value - chroma * missing_chroma(sextant + 5.0F));
    green[i] = clamp_unit(value - chroma * missing_chroma(sextant + 3.0F));
    blue[i] = clamp_unit(value - chroma * missing_chroma(sextant + 1.0F));
  }
}

void convert_to_grayscale(Planes image) {
  if (image.shape.channels == 1) {
    return;
  }
  const int64_t area = image.area();
  float* __restrict red = image.plane(0);
  float* __restrict green = image.plane(1);
  float* __restrict blue = image.plane(2);
  for (int64_t i = 0; i < area; ++i) {
    const float gray = luminance(red[i], green[i], blue[i]);
    red[i] = gray;
    green[i] = gray;
    blue[i] = gray;
  }
}

void gaussian_blur(Planes image, int64_t kernel_size, double sigma) {
  struct Scratch {
    std::vector<float> weights;
    std::vector<float> padded;   // one row and its reflected ends
    std::vector<float> blurred;  // a plane, blurred along its rows
  };
  thread_local Scratch scratch;
  gaussian_weights(kernel_size, sigma, scratch.weights);
  const int64_t height = image.shape.height;
  const int64_t width = image.shape.width;
  const int64_t radius = kernel_size / 2;
  scratch.padded.resize(static_cast<size_t>(width + 2 * radius));
  scratch.blurred.resize(static_cast<size_t>(height * width));
  float* padded = scratch.padded.data();
  float* blurred = scratch.blurred.data();
  for (int64_t channel = 0; channel < image.shape.channels; ++channel) {
    float* plane = image.plane(channel);
    for (int64_t y = 0; y < height; ++y) {
      const float* row = plane + y * width;
      std::copy(row, row + width, padded + radius);
      for (int64_t i = 1; i <= radius; ++i) {
        padded[radius - i] = row[reflect(-i, width)];
        padded[radius + width - 1 + i] = row[reflect(width - 1 + i, width)];
      }
      weighted_sum(
          scratch.weights, [=](int64_t k) { return padded + k; }, width, blurred + y * width);
    }
    for (int64_t y = 0; y < height; ++y) {
      weighted_sum(
          scratch.weights,
          [=](int64_t k) { return blurred + reflect(y + k - radius, height) * width; }, width,
          plane + y * width);
    }
  }
}

void solarize(Planes image, double threshold) {
  const auto limit = static_cast<float>(threshold);
  const int64_t count = image.shape.elements();
  float* data = image.data;
  for (int64_t i = 0; i < count; ++i) {
    const float inverted = 1.0F - data[i];
    data[i] = data[i] >= limit ? inverted : data[i];
  }
}

void shift(Planes image, int64_t down, int64_t right) {
  const int64_t height = image.shape.height;
  const int64_t width = image.shape.width;
  const int64_t kept = std::max<int64_t>(width - std::abs(right), 0);
  const int64_t source = std::clamp<int64_t>(-right, 0, width);
  const int64_t target = std::clamp<int64_t>(right, 0, width);
  for (int64_t channel = 0; channel < image.shape.channels; ++channel) {
    float* plane = image.plane(channel);
    for (int64_t step = 0; step < height; ++step) {
      // Against the direction of the move, so that no row is overwritten before it is read.
      const int64_t y = down > 0 ? height - 1 - step : step;
      float* row = plane + y * width;
      if (y - down < 0 || y - down >= height) {
        std::fill(row, row + width, 0.0F);
        continue;
      }
      const float* from = plane + (y - down) * width + source;
      std::memmove(row + target, from, static_cast<size_t>(kept) * sizeof(float));
      std::fill(row, row + target, 0.0F);
      std::fill(row + target + kept, row + width, 0.0F);
    }
  }
}

void normalize(Planes image, const std::vector<double>& mean, const std::vector<double>& std) {
  const int64_t area = image.area();
  for (int64_t channel = 0; channel < image.shape.channels; ++channel) {
    const auto index = static_cast<size_t>(channel);
    const auto center = static_cast<float>(mean[mean.size() == 1 ? 0 : index]);
    const auto factor = static_cast<float>(1.0 / std[std.size() == 1 ? 0 : index]);
    float* plane = image.plane(channel);
    for (int64_t i = 0; i < area; ++i) {
      plane[i] = (plane[i] - center) * factor;
    }
  }
}

int64_t blur_kernel_size(int64_t side) { return std::max<int64_t>(side / 10 / 2 * 2 + 1, 3); }

}  // namespace bissl
