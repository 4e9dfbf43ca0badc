#include "bissl/image_operations.h"

#include "bissl/error.h"
#include "colour_kernels.h"
#include "pixel_kernels.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace bissl {
namespace {

namespace kernels = colour_kernels;

kernels::Colours colours(const Planes& image) {
  if (image.shape.channels < 3) {
    fail_input(
        "a view has {} channels, and contrast, saturation, hue and grayscale are about gray images "
        "or red, green, blue; expected 1 channel or 3",
        image.shape.channels);
  }
  return {image.plane(0), image.plane(1), image.plane(2)};
}

double mean_luminance(Planes image) {
  const int64_t area = image.area();
  const double total = image.shape.channels == 1 ? kernels::sum(image.data, area)
                                                 : kernels::sum_luminance(colours(image), area);
  return total / static_cast<double>(area);
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

/// The weights of a kernel of `size`, without those at its ends that vanish: they change nothing,
/// but products with numbers below the smallest normal one take a hundred times as long as others.
void gaussian_weights(int64_t size, double sigma, std::vector<float>& weights) {
  weights.clear();
  const double middle = static_cast<double>(size - 1) / 2.0;
  double total = 0.0;
  for (int64_t i = 0; i < size; ++i) {
    const double distance = (static_cast<double>(i) - middle) / sigma;
    total += std::exp(-0.5 * distance * distance);
  }
  for (int64_t i = 0; i < size; ++i) {
    const double distance = (static_cast<double>(i) - middle) / sigma;
    const auto weight = static_cast<float>(std::exp(-0.5 * distance * distance) / total);
    if (weight >= std::numeric_limits<float>::min()) {
      weights.push_back(weight);
    }
  }
}

/// reflect(i − radius, length) for i < length + 2 · radius
void reflect_ends(int64_t length, int64_t radius, std::vector<int64_t>& places) {
  places.resize(static_cast<size_t>(length + 2 * radius));
  for (int64_t i = 0; i < length + 2 * radius; ++i) {
    const int64_t place = i - radius;
    places[static_cast<size_t>(i)] = place < 0 || place >= length ? reflect(place, length) : place;
  }
}

/// Memory of a thread for blurs; it keeps its size.
class BlurScratch {
 public:
  void blur(Planes image, int64_t kernel_size, double sigma) {
    gaussian_weights(kernel_size, sigma, weights_);
    const int64_t height = image.shape.height;
    const int64_t width = image.shape.width;
    const auto taps = static_cast<int64_t>(weights_.size());
    const int64_t radius = taps / 2;
    reflect_ends(width, radius, columns_);
    reflect_ends(height, radius, rows_);
    padded_.resize(columns_.size() * static_cast<size_t>(height));
    blurred_.resize(static_cast<size_t>(height * width));
    sources_.resize(rows_.size());
    for (size_t i = 0; i < rows_.size(); ++i) {
      sources_[i] = blurred_.data() + rows_[i] * width;
    }
    for (int64_t channel = 0; channel < image.shape.channels; ++channel) {
      pad(image.plane(channel), height, width, radius);
      pixel_kernels::blur_along_rows({padded_.data(), height, width}, weights_.data(), taps,
                                     blurred_.data());
      pixel_kernels::blur_across_rows(sources_.data(), height, width, weights_.data(), taps,
                                      image.plane(channel));
    }
  }

 private:
  void pad(const float* plane, int64_t height, int64_t width, int64_t radius) {
    float* target = padded_.data();
    for (int64_t y = 0; y < height; ++y) {
      const float* row = plane + y * width;
      const int64_t* place = columns_.data();
      for (int64_t i = 0; i < radius; ++i) {
        *target++ = row[*place++];
      }
      target = std::copy(row, row + width, target);
      place += width;
      for (int64_t i = 0; i < radius; ++i) {
        *target++ = row[*place++];
      }
    }
  }

  std::vector<float> weights_;
  std::vector<int64_t> columns_;  ///< where the pixels of a row with reflected ends are from
  std::vector<int64_t> rows_;     ///< the same of rows
  std::vector<float> padded_;
  std::vector<float> blurred_;  ///< along its rows
  std::vector<const float*> sources_;
};

}  // namespace

void flip_horizontal(Planes image) {
  pixel_kernels::mirror_rows(image.data, image.shape.channels * image.shape.height,
                             image.shape.width);
}

void adjust_brightness(Planes image, double factor) {
  kernels::scale(image.data, image.shape.elements(), static_cast<float>(factor));
}

void adjust_contrast(Planes image, double factor) {
  const auto offset = static_cast<float>((1.0 - factor) * mean_luminance(image));
  kernels::scale_and_move(image.data, image.shape.elements(), static_cast<float>(factor), offset);
}

void adjust_saturation(Planes image, double factor) {
  if (image.shape.channels == 1) {
    return;
  }
  kernels::mix_with_luminance(colours(image), image.area(), static_cast<float>(factor),
                              static_cast<float>(1.0 - factor));
}

void adjust_hue(Planes image, double shift) {
  if (image.shape.channels == 1) {
    return;
  }
  kernels::turn_hue(colours(image), image.area(), static_cast<float>(shift));
}

void convert_to_grayscale(Planes image) {
  if (image.shape.channels == 1) {
    return;
  }
  kernels::set_to_luminance(colours(image), image.area());
}

void gaussian_blur(Planes image, int64_t kernel_size, double sigma) {
  thread_local BlurScratch scratch;
  scratch.blur(image, kernel_size, sigma);
}

void solarize(Planes image, double threshold) {
  kernels::invert_bright(image.data, image.shape.elements(), static_cast<float>(threshold));
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
  for (int64_t channel = 0; channel < image.shape.channels; ++channel) {
    const auto index = static_cast<size_t>(channel);
    const auto center = static_cast<float>(mean[mean.size() == 1 ? 0 : index]);
    const auto factor = static_cast<float>(1.0 / std[std.size() == 1 ? 0 : index]);
    kernels::normalize(image.plane(channel), image.area(), center, factor);
  }
}

int64_t blur_kernel_size(int64_t side) { return std::max<int64_t>(side / 10 / 2 * 2 + 1, 3); }

}  // namespace bissl
