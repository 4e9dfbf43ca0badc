#include "bissl/crops.h"

#include <gtest/gtest.h>

#include <vector>

namespace bissl::host::test {
namespace {

/// Samples of a picture of `shape`, and the same picture with 16 bits.
struct Pictures {
  explicit Pictures(const ImageShape& of) : shape(of) {
    RandomStream stream(3, "pictures");
    for (int64_t i = 0; i < shape.elements(); ++i) {
      narrow.push_back(static_cast<uint8_t>(stream.below(256)));
      wide.push_back(static_cast<uint16_t>(257 * narrow.back()));
    }
  }
  Image image(PixelType type) const {
    return {
        shape,
        type == PixelType::uint8 ? narrow.data() : reinterpret_cast<const uint8_t*>(wide.data()),
        nullptr, type};
  }

  ImageShape shape;
  std::vector<uint8_t> narrow;
  std::vector<uint16_t> wide;
};

std::vector<float> cropped(const Image& image, const Box& box, int64_t height, int64_t width) {
  std::vector<float> values(static_cast<size_t>(image.shape.channels * height * width));
  resized_crop(image, box, {{image.shape.channels, height, width}, values.data()});
  return values;
}

TEST(Crops, SixteenBitsAreTheSameImageToTheBit) {
  for (const int64_t channels : {1, 3, 5}) {
    const Pictures pictures({channels, 9, 11});
    const Image narrow = pictures.image(PixelType::uint8);
    const Image wide = pictures.image(PixelType::uint16);
    EXPECT_EQ(wide.bytes(), 2 * narrow.bytes());
    const Box box{1, 2, 7, 8};
    EXPECT_EQ(cropped(wide, box, 7, 8), cropped(narrow, box, 7, 8)) << "copied";
    EXPECT_EQ(cropped(wide, box, 5, 13), cropped(narrow, box, 5, 13)) << "scaled";
  }
}

TEST(Crops, ValuesBetweenThoseOf8BitsAreKept) {
  const std::vector<uint16_t> samples = {0, 1, 65535, 300};
  const Image image{
      {4, 1, 1}, reinterpret_cast<const uint8_t*>(samples.data()), nullptr, PixelType::uint16};
  EXPECT_EQ(cropped(image, {0, 0, 1, 1}, 1, 1),
            (std::vector<float>{0.0F, 1.0F / 65535.0F, 1.0F, 300.0F / 65535.0F}));
}

}  // namespace
}  // namespace bissl::host::test
