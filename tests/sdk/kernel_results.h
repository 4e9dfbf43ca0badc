// Not guarded: included once by each file that has the kernels in a variant of its own, behind
// definitions of BISSL_VECTOR_CLONES, of new names for the two namespaces, and of KERNEL_RESULTS.

#include "../../sdk/src/colour_kernels.cpp"
#include "../../sdk/src/pixel_kernels.cpp"

#include <cmath>
#include <vector>

namespace bissl::host::test {
namespace {

/// Numbers in 0 … 1 that look random and are the same everywhere, among them 0 and 1.
class Numbers {
 public:
  float next() {
    state_ = state_ * 1664525U + 1013904223U;
    return std::min(static_cast<float>(state_ >> 8) * 0x1.1p-24F, 1.0F);
  }
  std::vector<float> some(int64_t count) {
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) {
      value = next() < 0.1F ? std::round(next()) : next();
    }
    return values;
  }

 private:
  uint32_t state_ = 7;
};

void append(std::vector<float>& all, const std::vector<float>& some) {
  all.insert(all.end(), some.begin(), some.end());
}

template <class Sample>
void narrow_some(int64_t columns, int64_t channels, int64_t outputs, Numbers& numbers,
                 std::vector<float>& all) {
  constexpr int64_t rows = pixel_kernels::strip;
  constexpr int64_t count = 3;
  std::vector<std::vector<Sample>> pixels(rows);
  pixel_kernels::Strip<Sample> strip{};
  strip.columns = columns;
  strip.channels = channels;
  for (int64_t r = 0; r < rows; ++r) {
    for (const float value : numbers.some(columns * channels)) {
      pixels[r].push_back(static_cast<Sample>(value * float(Sample(~Sample{0}))));
    }
    strip.rows[r] = pixels[r].data();
  }
  std::vector<int64_t> first;
  for (int64_t x = 0; x < outputs; ++x) {
    first.push_back(x * (columns - count) / std::max<int64_t>(outputs - 1, 1));
  }
  const std::vector<int64_t> counts(first.size(), count);
  const std::vector<float> weights = numbers.some(outputs * count);
  std::vector<Sample> samples(static_cast<size_t>(columns * channels * rows));
  std::vector<float> values(samples.size());
  for (const int64_t wanted : {rows, int64_t{3}}) {
    std::vector<float> output(static_cast<size_t>(rows * channels * outputs), -1.0F);
    pixel_kernels::narrow(strip, {first.data(), counts.data(), weights.data(), count, outputs},
                          samples.data(), values.data(), wanted, output.data(), channels * outputs);
    append(all, output);
  }
}

void sum_and_blur(int64_t height, int64_t width, Numbers& numbers, std::vector<float>& all) {
  constexpr int64_t count = 5;
  const std::vector<float> weights = numbers.some(count);
  const std::vector<float> rows = numbers.some((height + count) * (width + count - 1));
  std::vector<float> output(static_cast<size_t>(height * width));
  pixel_kernels::sum_rows(rows.data(), width, weights.data(), count, width, output.data());
  append(all, output);
  pixel_kernels::blur_along_rows({rows.data(), height, width}, weights.data(), count,
                                 output.data());
  append(all, output);
  std::vector<const float*> places;
  for (int64_t y = 0; y < height + count - 1; ++y) {
    places.push_back(rows.data() + y * width);
  }
  pixel_kernels::blur_across_rows(places.data(), height, width, weights.data(), count,
                                  output.data());
  append(all, output);
  pixel_kernels::mirror_rows(output.data(), height, width);
  append(all, output);
}

void change_colours(int64_t count, Numbers& numbers, std::vector<float>& all) {
  namespace kernels = colour_kernels;
  std::vector<float> planes = numbers.some(3 * count);
  const auto colours = [&] {
    float* values = planes.data();
    return kernels::Colours{values, values + count, values + 2 * count};
  };
  all.push_back(static_cast<float>(kernels::sum(planes.data(), count)));
  all.push_back(static_cast<float>(kernels::sum_luminance(colours(), count)));
  const auto changed = [&](const auto& change) {
    const std::vector<float> before = planes;
    change();
    append(all, planes);
    planes = before;
  };
  changed([&] { kernels::scale(planes.data(), 3 * count, 1.3F); });
  changed([&] { kernels::scale_and_move(planes.data(), 3 * count, 1.3F, -0.2F); });
  changed([&] { kernels::mix_with_luminance(colours(), count, 1.3F, -0.3F); });
  changed([&] { kernels::turn_hue(colours(), count, 0.17F); });
  changed([&] { kernels::turn_hue(colours(), count, -0.5F); });
  changed([&] { kernels::set_to_luminance(colours(), count); });
  changed([&] { kernels::invert_bright(planes.data(), 3 * count, 0.4F); });
  changed([&] { kernels::normalize(planes.data(), 3 * count, 0.4F, 3.1F); });
  changed([&] {
    std::vector<float> values(planes);
    pixel_kernels::split_colours(values.data(), count, planes.data(), planes.data() + count,
                                 planes.data() + 2 * count);
  });
}

}  // namespace

std::vector<float> KERNEL_RESULTS() {
  Numbers numbers;
  std::vector<float> all(256 + 65536);
  for (int i = 0; i < 65536; ++i) {
    const auto narrow = static_cast<uint8_t>(i);
    const auto wide = static_cast<uint16_t>(i);
    pixel_kernels::to_unit(&narrow, 1, &all[static_cast<size_t>(i % 256)]);
    pixel_kernels::to_unit(&wide, 1, &all[static_cast<size_t>(256 + i)]);
  }
  for (const int64_t channels : {1, 3, 4}) {
    for (const auto& [columns, outputs] : {std::pair(3, 1), {5, 20}, {16, 8}, {61, 13}, {40, 32}}) {
      narrow_some<uint8_t>(columns, channels, outputs, numbers, all);
      narrow_some<uint16_t>(columns, channels, outputs, numbers, all);
    }
  }
  for (int64_t width = 1; width < 80; ++width) {
    sum_and_blur(1 + width % 4, width, numbers, all);
    change_colours(width, numbers, all);
  }
  return all;
}

}  // namespace bissl::host::test
