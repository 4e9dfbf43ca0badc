#include "bissl/crops.h"
#include "bissl/image_operations.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

namespace bissl::host::test {

std::vector<float> kernel_results_baseline();
std::vector<float> kernel_results_avx2();

namespace {

bool same_bits(const std::vector<float>& left, const std::vector<float>& right) {
  return left.size() == right.size() &&
         std::memcmp(left.data(), right.data(), left.size() * sizeof(float)) == 0;
}

TEST(Kernels, GiveTheSameBitsOnEveryProcessor) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") == 0) {
    GTEST_SKIP() << "this processor has no AVX2";
  }
#endif
  const std::vector<float> baseline = kernel_results_baseline();
  const std::vector<float> avx2 = kernel_results_avx2();
  ASSERT_EQ(baseline.size(), avx2.size());
  for (size_t i = 0; i < baseline.size(); ++i) {
    ASSERT_EQ(baseline[i], avx2[i]) << "result " << i;
  }
  EXPECT_TRUE(same_bits(baseline, avx2)) << "signs of zero";
}

TEST(Kernels, SamplesAreQuotients) {
  const std::vector<float> results = kernel_results_baseline();
  for (int i = 0; i < 256; ++i) {
    ASSERT_EQ(results[static_cast<size_t>(i)], static_cast<float>(i) / 255.0F);
  }
  for (int i = 0; i < 65536; ++i) {
    ASSERT_EQ(results[static_cast<size_t>(256 + i)], static_cast<float>(i) / 65535.0F);
  }
}

/// An image of random samples.
struct Picture {
  Picture(const ImageShape& of, RandomStream& stream) : shape(of) {
    for (int64_t i = 0; i < shape.elements(); ++i) {
      samples.push_back(static_cast<uint8_t>(stream.below(256)));
    }
  }
  ImageShape shape;
  std::vector<uint8_t> samples;
};

/// The taps of one sample of a resampled axis, by Pillow's formula.
struct Taps {
  Taps(int64_t length, int64_t resized, int64_t index) {
    const double scale = static_cast<double>(length) / static_cast<double>(resized);
    const double support = std::max(scale, 1.0);
    const double center = scale * (static_cast<double>(index) + 0.5);
    first = std::max<int64_t>(static_cast<int64_t>(center - support + 0.5), 0);
    const int64_t end = std::min(static_cast<int64_t>(center + support + 0.5), length);
    double total = 0.0;
    for (int64_t j = first; j < end; ++j) {
      const double distance = std::abs((static_cast<double>(j) - center + 0.5) * (1.0 / support));
      weights.push_back(static_cast<float>(std::max(0.0, 1.0 - distance)));
      total += std::max(0.0, 1.0 - distance);
    }
    for (float& weight : weights) {
      weight *= static_cast<float>(1.0 / total);
    }
  }
  template <class ValueAt>
  float sum(const ValueAt& value_at) const {
    float sum = weights[0] * value_at(first);
    for (size_t j = 1; j < weights.size(); ++j) {
      const float product = weights[j] * value_at(first + static_cast<int64_t>(j));
      sum = sum + product;
    }
    return sum;
  }
  int64_t first = 0;
  std::vector<float> weights;
};

/// First along the rows, then across them, each sum from the first tap to the last.
std::vector<float> resampled(const Picture& picture, const Box& box, int64_t height,
                             int64_t width) {
  const int64_t channels = picture.shape.channels;
  std::vector<float> narrowed;  // c, y of the box, x
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t y = 0; y < box.height; ++y) {
      for (int64_t x = 0; x < width; ++x) {
        narrowed.push_back(Taps(box.width, width, x).sum([&](int64_t from) {
          const int64_t pixel = (box.top + y) * picture.shape.width + box.left + from;
          return static_cast<float>(picture.samples[static_cast<size_t>(pixel * channels + c)]) /
                 255.0F;
        }));
      }
    }
  }
  std::vector<float> result;
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t y = 0; y < height; ++y) {
      for (int64_t x = 0; x < width; ++x) {
        result.push_back(Taps(box.height, height, y).sum([&](int64_t from) {
          return narrowed[static_cast<size_t>((c * box.height + from) * width + x)];
        }));
      }
    }
  }
  return result;
}

TEST(Kernels, ResamplingIsItsFormulaToTheBit) {
  RandomStream stream(11, "resampling");
  for (int number = 0; number < 60; ++number) {
    const auto side = [&](uint64_t most) { return 1 + static_cast<int64_t>(stream.below(most)); };
    const int64_t channels = number % 3 == 0 ? 3 : 1 + number % 5;
    const Picture picture({channels, side(60), side(60)}, stream);
    const Box box = random_box(picture.shape, {0.1, 1.0, 0.5, 2.0}, stream);
    const ImageShape shape{channels, side(30), side(30)};
    if (shape.height == box.height && shape.width == box.width) {
      continue;
    }
    std::vector<float> output(static_cast<size_t>(shape.elements()));
    resized_crop({picture.shape, picture.samples.data(), nullptr}, box, {shape, output.data()});
    ASSERT_TRUE(same_bits(output, resampled(picture, box, shape.height, shape.width)))
        << channels << " channels, " << box.height << "x" << box.width << " to " << shape.height
        << "x" << shape.width;
  }
}

TEST(Kernels, TheMiddleOfAResizedImageIsThatOfTheWholeOne) {
  RandomStream stream(12, "middle");
  for (const auto& [height, width] : {std::pair(40, 90), {90, 40}, {10, 31}, {64, 64}}) {
    const Picture picture({3, height, width}, stream);
    const Image image{picture.shape, picture.samples.data(), nullptr};
    constexpr int64_t size = 20;
    const int64_t tall = height <= width ? size : size * height / width;
    const int64_t wide = width <= height ? size : size * width / height;
    const std::vector<float> whole = resampled(picture, {0, 0, height, width}, tall, wide);
    std::vector<float> middle(3 * size * size);
    resize_and_center_crop(image, {{3, size, size}, middle.data()});
    const auto top = static_cast<int64_t>(std::nearbyint(double(tall - size) / 2));
    const auto left = static_cast<int64_t>(std::nearbyint(double(wide - size) / 2));
    for (int64_t c = 0; c < 3; ++c) {
      for (int64_t y = 0; y < size; ++y) {
        for (int64_t x = 0; x < size; ++x) {
          ASSERT_EQ(middle[static_cast<size_t>((c * size + y) * size + x)],
                    whole[static_cast<size_t>((c * tall + top + y) * wide + left + x)]);
        }
      }
    }
  }
}

TEST(Kernels, FlipsReverseEachRow) {
  for (int64_t width = 1; width < 40; ++width) {
    std::vector<float> values(static_cast<size_t>(2 * width));
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<float>(i);
    }
    flip_horizontal({{1, 2, width}, values.data()});
    for (int64_t x = 0; x < width; ++x) {
      ASSERT_EQ(values[static_cast<size_t>(x)], static_cast<float>(width - 1 - x)) << width;
      ASSERT_EQ(values[static_cast<size_t>(width + x)], static_cast<float>(2 * width - 1 - x));
    }
  }
}

}  // namespace
}  // namespace bissl::host::test
