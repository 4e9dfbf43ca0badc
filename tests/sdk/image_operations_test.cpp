#include "bissl/image_operations.h"

#include "bissl/crops.h"
#include "bissl/error.h"
#include "support/paths.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <functional>
#include <map>
#include <numeric>
#include <string>
#include <vector>

namespace bissl::host {
namespace {

using nlohmann::json;

// torchvision computes weights and means in single precision, we in double: a few units of 1e-7 a
// step, amplified by up to 6 / saturation where hues are turned. Everything else would be a mistake
// in a formula, and those show in the second digit.
constexpr double tolerance = 1e-5;

const json& golden() {
  static const json content = json::parse(test::read_file(
      std::string(test::source_folder) + "/tests/reference/golden/augmentations.json"));
  return content;
}

struct StoredImage {
  std::vector<uint8_t> pixels;
  Image image;

  explicit StoredImage(const json& entry) : pixels(entry["pixels"].get<std::vector<uint8_t>>()) {
    const auto shape = entry["shape"].get<std::vector<int64_t>>();
    image.shape = {shape[2], shape[0], shape[1]};
    image.pixels = pixels.data();
  }
};

/// A float image that owns its values.
struct View {
  std::vector<float> values;
  Planes planes;

  explicit View(const ImageShape& shape) : values(static_cast<size_t>(shape.elements())) {
    planes = {shape, values.data()};
  }
  View(const ImageShape& shape, std::vector<float> content) : values(std::move(content)) {
    planes = {shape, values.data()};
  }
  // A moved vector keeps its memory, so `planes` stays right.
  View(View&&) = default;
};

View loaded(const Image& image) {
  View view(image.shape);
  resized_crop(image, {0, 0, image.shape.height, image.shape.width}, view.planes);
  return view;
}

View computed(const json& entry) {
  const StoredImage source(golden()["images"][entry["image"].get<std::string>()]);
  const auto operation = entry["operation"].get<std::string>();
  const auto a = entry["arguments"].get<std::vector<double>>();
  const auto whole = [&a](size_t i) { return static_cast<int64_t>(a[i]); };
  if (operation == "resized_crop") {
    View view({source.image.shape.channels, whole(4), whole(5)});
    resized_crop(source.image, {whole(0), whole(1), whole(2), whole(3)}, view.planes);
    return view;
  }
  if (operation == "resize_and_center_crop") {
    View view({source.image.shape.channels, whole(0), whole(0)});
    resize_and_center_crop(source.image, view.planes);
    return view;
  }
  View view = loaded(source.image);
  const std::map<std::string, std::function<void()>> in_place{
      {"flip_horizontal", [&] { flip_horizontal(view.planes); }},
      {"adjust_brightness", [&] { adjust_brightness(view.planes, a[0]); }},
      {"adjust_contrast", [&] { adjust_contrast(view.planes, a[0]); }},
      {"adjust_saturation", [&] { adjust_saturation(view.planes, a[0]); }},
      {"adjust_hue", [&] { adjust_hue(view.planes, a[0]); }},
      {"convert_to_grayscale", [&] { convert_to_grayscale(view.planes); }},
      {"gaussian_blur", [&] { gaussian_blur(view.planes, whole(0), a[1]); }},
      {"solarize", [&] { solarize(view.planes, a[0]); }},
      {"normalize", [&] { normalize(view.planes, {a[0]}, {a[1]}); }},
  };
  in_place.at(operation)();
  return view;
}

std::string label(const json& entry) {
  return entry["operation"].get<std::string>() + entry["arguments"].dump() + " of " +
         entry["image"].get<std::string>();
}

class AgainstTorchvision : public testing::TestWithParam<std::string> {};

TEST_P(AgainstTorchvision, SameValues) {
  int compared = 0;
  for (const json& entry : golden()["cases"]) {
    if (entry["operation"] != GetParam()) {
      continue;
    }
    ++compared;
    SCOPED_TRACE(label(entry));
    const View view = computed(entry);
    const auto shape = entry["shape"].get<std::vector<int64_t>>();
    ASSERT_EQ(view.planes.shape, (ImageShape{shape[0], shape[1], shape[2]}));
    const auto expected = entry["values"].get<std::vector<double>>();
    ASSERT_EQ(view.values.size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_NEAR(view.values[i], expected[i], tolerance) << "element " << i;
    }
  }
  EXPECT_GE(compared, 2) << "the golden file holds too few cases";
}

INSTANTIATE_TEST_SUITE_P(Operations, AgainstTorchvision,
                         testing::Values("flip_horizontal", "adjust_brightness", "adjust_contrast",
                                         "adjust_saturation", "adjust_hue", "convert_to_grayscale",
                                         "gaussian_blur", "solarize", "normalize", "resized_crop",
                                         "resize_and_center_crop"),
                         [](const auto& info) { return info.param; });

/// There is no third plane to read.
TEST(Colours, AreRefusedOfTwoChannels) {
  View view({2, 3, 4});
  EXPECT_THROW(adjust_contrast(view.planes, 0.5), Error);
  EXPECT_THROW(adjust_saturation(view.planes, 0.5), Error);
  EXPECT_THROW(adjust_hue(view.planes, 0.1), Error);
  EXPECT_THROW(convert_to_grayscale(view.planes), Error);
  adjust_brightness(view.planes, 0.5);  // of any number of channels
}

TEST(Resampling, EnlargesAndReducesConstantsToThemselves) {
  const std::vector<uint8_t> pixels(3 * 17 * 5, 51);
  const Image image{{3, 17, 5}, pixels.data(), nullptr};
  for (const int64_t size : {1, 3, 40}) {
    View view({3, size, size});
    resized_crop(image, {2, 1, 14, 3}, view.planes);
    for (const float value : view.values) {
      ASSERT_NEAR(value, 0.2, 1e-6);
    }
  }
}

TEST(Resampling, KeepsTheMeanOfAReductionByAWholeFactor) {
  std::vector<uint8_t> pixels(16 * 16);
  std::iota(pixels.begin(), pixels.end(), uint8_t{0});
  const Image image{{1, 16, 16}, pixels.data(), nullptr};
  View view({1, 4, 4});
  resized_crop(image, {0, 0, 16, 16}, view.planes);
  const double mean = std::accumulate(view.values.begin(), view.values.end(), 0.0) / 16.0;
  EXPECT_NEAR(mean, 127.5 / 255.0, 1e-6);
}

TEST(Resampling, TakesTheMiddleOfAVeryLongImage) {
  // A whole resized image would take 20 GB here.
  std::vector<uint8_t> pixels(100001, 0);
  pixels[50000] = 255;
  const Image image{{1, 1, 100001}, pixels.data(), nullptr};
  View view({1, 224, 224});
  resize_and_center_crop(image, view.planes);
  // size · width is even, so the middle pixel's centre falls between the two middle samples.
  EXPECT_GT(view.values[111], 0.9F);
  EXPECT_FLOAT_EQ(view.values[111], view.values[112]);
  EXPECT_FLOAT_EQ(view.values[111], view.values[223 * 224 + 111]);
}

TEST(Blur, LeavesConstantsAloneAndHandlesImagesSmallerThanTheKernel) {
  for (const ImageShape& shape : {ImageShape{1, 1, 1}, {3, 2, 1}, {1, 3, 7}}) {
    View view(shape, std::vector<float>(static_cast<size_t>(shape.elements()), 0.25F));
    gaussian_blur(view.planes, 9, 2.0);
    for (const float value : view.values) {
      ASSERT_NEAR(value, 0.25, 1e-6);
    }
  }
}

TEST(Blur, KernelIsATenthOfTheSideAndOdd) {
  const std::map<int64_t, int64_t> expected{{1, 3},  {8, 3},  {28, 3}, {32, 3},
                                            {40, 5}, {64, 7}, {96, 9}, {224, 23}};
  for (const auto& [side, size] : expected) {
    EXPECT_EQ(blur_kernel_size(side), size) << side;
  }
}

TEST(Shift, MovesAndFillsWithBlack) {
  const ImageShape shape{1, 3, 3};
  const std::vector<float> content{1, 2, 3, 4, 5, 6, 7, 8, 9};
  const auto moved = [&](int64_t down, int64_t right) {
    View view(shape, content);
    shift(view.planes, down, right);
    return view.values;
  };
  EXPECT_EQ(moved(0, 0), content);
  EXPECT_EQ(moved(1, 0), (std::vector<float>{0, 0, 0, 1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(moved(-1, 1), (std::vector<float>{0, 4, 5, 0, 7, 8, 0, 0, 0}));
  EXPECT_EQ(moved(2, -2), (std::vector<float>{0, 0, 0, 0, 0, 0, 3, 0, 0}));
  EXPECT_EQ(moved(3, 0), std::vector<float>(9, 0.0F));
  EXPECT_EQ(moved(0, -7), std::vector<float>(9, 0.0F));
}

TEST(Normalize, TakesOneValuePerChannelOrOneForAll) {
  const std::vector<float> content{0.5F, 1.0F, 0.0F};
  View each({3, 1, 1}, content);
  normalize(each.planes, {0.5, 0.25, 0.5}, {1.0, 0.25, 0.5});
  EXPECT_EQ(each.values, (std::vector<float>{0.0F, 3.0F, -1.0F}));
  View all({3, 1, 1}, content);
  normalize(all.planes, {0.5}, {0.5});
  EXPECT_EQ(all.values, (std::vector<float>{0.0F, 1.0F, -1.0F}));
}

}  // namespace
}  // namespace bissl::host
