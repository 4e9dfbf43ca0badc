#include "colour_kernels.h"

#include "vector_clones.h"

#include <algorithm>

namespace bissl::colour_kernels {
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
[[gnu::always_inline]] inline double sum_of(int64_t count, const ValueAt& value_at) {
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

}  // namespace

BISSL_VECTOR_CLONES
double sum(const float* values, int64_t count) {
  return sum_of(count, [=](int64_t i) { return values[i]; });
}

BISSL_VECTOR_CLONES
double sum_luminance(const Colours& image, int64_t count) {
  const float* red = image.red;
  const float* green = image.green;
  const float* blue = image.blue;
  return sum_of(count, [=](int64_t i) { return luminance(red[i], green[i], blue[i]); });
}

BISSL_VECTOR_CLONES
void scale(float* values, int64_t count, float ratio) {
  for (int64_t i = 0; i < count; ++i) {
    values[i] = clamp_unit(ratio * values[i]);
  }
}

BISSL_VECTOR_CLONES
void scale_and_move(float* values, int64_t count, float ratio, float offset) {
  for (int64_t i = 0; i < count; ++i) {
    values[i] = clamp_unit(ratio * values[i] + offset);
  }
}

BISSL_VECTOR_CLONES
void mix_with_luminance(const Colours& image, int64_t count, float ratio, float rest) {
  float* __restrict red = image.red;
  float* __restrict green = image.green;
  float* __restrict blue = image.blue;
  for (int64_t i = 0; i < count; ++i) {
    const float gray = rest * luminance(red[i], green[i], blue[i]);
    red[i] = clamp_unit(ratio * red[i] + gray);
    green[i] = clamp_unit(ratio * green[i] + gray);
    blue[i] = clamp_unit(ratio * blue[i] + gray);
  }
}

// Through hue, saturation and value as torchvision's _rgb2hsv does it, and back by the closed form
// of the six cases of its _hsv2rgb. Selections instead of branches make the loop vector code.
BISSL_VECTOR_CLONES
void turn_hue(const Colours& image, int64_t count, float turn) {
  float* __restrict red = image.red;
  float* __restrict green = image.green;
  float* __restrict blue = image.blue;
  for (int64_t i = 0; i < count; ++i) {
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

BISSL_VECTOR_CLONES
void set_to_luminance(const Colours& image, int64_t count) {
  float* __restrict red = image.red;
  float* __restrict green = image.green;
  float* __restrict blue = image.blue;
  for (int64_t i = 0; i < count; ++i) {
    const float gray = luminance(red[i], green[i], blue[i]);
    red[i] = gray;
    green[i] = gray;
    blue[i] = gray;
  }
}

BISSL_VECTOR_CLONES
void invert_bright(float* values, int64_t count, float limit) {
  for (int64_t i = 0; i < count; ++i) {
    const float inverted = 1.0F - values[i];
    values[i] = values[i] >= limit ? inverted : values[i];
  }
}

BISSL_VECTOR_CLONES
void normalize(float* values, int64_t count, float center, float factor) {
  for (int64_t i = 0; i < count; ++i) {
    values[i] = (values[i] - center) * factor;
  }
}

}  // namespace bissl::colour_kernels
