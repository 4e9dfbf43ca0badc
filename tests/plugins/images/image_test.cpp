#include "image_cases.h"

#include "bissl/error.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace bissl::host {
namespace {

using nlohmann::json;
using test::image_cases;
using test::image_folder;

std::vector<uint8_t> bytes_of(const Image& image) {
  return {image.pixels, image.pixels + image.shape.elements()};
}

ImageShape shape_of(const json& image) {
  const auto sides = image["shape"].get<std::vector<int64_t>>();
  return {sides[0], sides[1], sides[2]};
}

/// The largest and the mean distance of two images' values.
struct Distance {
  int most = 0;
  double mean = 0;
};

Distance distance(const std::vector<uint8_t>& left, const std::vector<uint8_t>& right) {
  Distance result;
  for (size_t i = 0; i < left.size(); ++i) {
    const int difference = std::abs(int{left[i]} - int{right[i]});
    result.most = std::max(result.most, difference);
    result.mean += static_cast<double>(difference) / static_cast<double>(left.size());
  }
  return result;
}

/// JPEG and lossy WebP leave the last bit to the decoder; another version of its library may round
/// otherwise. Everything else is exact.
int tolerance_of(const std::string& name) {
  const bool lossy = name.ends_with(".jpg") || name.starts_with("lossy") || name == "jpeg.tif";
  return lossy ? 2 : 0;
}

TEST(ImageFiles, HaveThePixelsThatPillowMakesOfThem) {
  ASSERT_GE(image_cases()["images"].size(), 100U);
  for (const auto& [name, image] : image_cases()["images"].items()) {
    SCOPED_TRACE(name);
    const Image found = read_image((image_folder() / name).string(), test::options_of(image));
    ASSERT_EQ(found.shape, shape_of(image));
    if (image.contains("pixels")) {
      const auto expected = test::from_hex(image["pixels"]);
      ASSERT_EQ(expected.size(), static_cast<size_t>(found.shape.elements()));
      EXPECT_LE(distance(bytes_of(found), expected).most, tolerance_of(name));
    }
  }
}

TEST(ImageFiles, AreOfAllFormatsWhateverTheirNames) {
  std::set<std::string> endings;
  for (const auto& [name, image] : image_cases()["images"].items()) {
    endings.insert(name.substr(name.find('.')));
    const std::string bytes = test::read_file(image_folder() / name);
    const Image found = decode_image(bytes, "shard.tar: sample.data", test::options_of(image));
    EXPECT_EQ(found.shape, shape_of(image)) << name;
  }
  EXPECT_EQ(endings, (std::set<std::string>{".bmp", ".gif", ".jpg", ".pbm", ".pgm", ".png", ".ppm",
                                            ".tif", ".webp"}));
}

TEST(ImageFiles, BecomeGrayOrColoured) {
  for (const auto& [name, digits] : image_cases()["gray"].items()) {
    SCOPED_TRACE(name);
    const Image gray = read_image((image_folder() / name).string(), {.channels = "gray"});
    ASSERT_EQ(gray.shape, (ImageShape{1, 11, 13}));
    EXPECT_LE(distance(bytes_of(gray), test::from_hex(digits)).most, tolerance_of(name));
  }
  const std::string path = (image_folder() / "gray-8.png").string();
  const Image gray = read_image(path, {.channels = "as-file"});
  const Image coloured = read_image(path);
  ASSERT_EQ(coloured.shape, (ImageShape{3, 11, 13}));
  for (int64_t i = 0; i < gray.shape.elements(); ++i) {
    for (int64_t c = 0; c < 3; ++c) {
      ASSERT_EQ(coloured.pixels[3 * i + c], gray.pixels[i]);
    }
  }
}

TEST(ImageFiles, BandsAreChosenAndNotTakenForColours) {
  const std::string path = (image_folder() / "bands-16.tif").string();
  const auto refusal = [&](const ImageOptions& options) -> std::string {
    try {
      read_image(path, options);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(refusal({}),
            path +
                ": has 7 bands, which are neither gray nor red, green and blue: choose "
                "with `bands`, or take all by channels = \"as-file\"");
  EXPECT_EQ(refusal({.bands = {1, 2, 8}}), path + ": has 7 bands; `bands` asks for number 8");
  EXPECT_EQ(read_image(path, {.channels = "gray", .bands = {5}}).shape, (ImageShape{1, 11, 13}));
  EXPECT_EQ(read_image(path, {.channels = "as-file", .bands = {7, 5}}).shape,
            (ImageShape{2, 11, 13}));
}

TEST(ImageFiles, KeepSixteenBitsWhereTheyAreAskedFor) {
  const auto bytes = test::from_hex(image_cases()["wide"]);
  const size_t samples = bytes.size() / 2;
  const auto expected = [&](size_t i) {
    return static_cast<uint16_t>(bytes[2 * i] | bytes[2 * i + 1] << 8);
  };
  for (const char* name :
       {"rgb-16.png", "rgba-16.png", "wide.ppm", "rgb-16-little.tif", "rgb-16-big.tif"}) {
    const Image found =
        read_image((image_folder() / name).string(), {.channels = "as-file", .depth = 16});
    ASSERT_EQ(found.type, PixelType::uint16) << name;
    ASSERT_EQ(static_cast<size_t>(found.shape.elements()), samples) << name;
    for (size_t i = 0; i < samples; ++i) {
      ASSERT_EQ(found.pixels16()[i], expected(i)) << name << " sample " << i;
    }
  }
  for (const char* name : {"gray-16.png", "wide.pgm", "gray-16-big.tif", "signed-16.tif"}) {
    const Image found =
        read_image((image_folder() / name).string(), {.channels = "as-file", .depth = 16});
    ASSERT_EQ(found.shape, (ImageShape{1, 11, 13})) << name;
    for (size_t i = 0; i < samples / 3; ++i) {
      ASSERT_EQ(found.pixels16()[i], expected(3 * i)) << name << " sample " << i;
    }
  }
  const auto [channels, height, width] =
      read_image((image_folder() / "bands-16-tiles-planes.tif").string(),
                 {.channels = "as-file", .depth = 16, .bands = {2, 7}})
          .shape;
  EXPECT_EQ(channels * height * width, 2 * 11 * 13);
}

TEST(ImageFiles, OfEightBitsAreWidened) {
  const std::string path = (image_folder() / "rgb-8.png").string();
  const Image narrow = read_image(path);
  const Image wide = read_image(path, {.depth = 16});
  ASSERT_EQ(narrow.type, PixelType::uint8);
  ASSERT_EQ(wide.type, PixelType::uint16);
  for (int64_t i = 0; i < narrow.shape.elements(); ++i) {
    ASSERT_EQ(wide.pixels16()[i], narrow.pixels[i] * 257);
  }
  // Scaled, the two differ by no more than rounding does.
  const Image small = read_image(path, {.size = 5});
  const Image wide_small = read_image(path, {.size = 5, .depth = 16});
  for (int64_t i = 0; i < small.shape.elements(); ++i) {
    ASSERT_NEAR(wide_small.pixels16()[i] / 257.0, small.pixels[i], 0.51);
  }
}

/// The shorter side is at most `size`; the values are those of Pillow's bilinear resampling, which
/// rounds between its two passes, and of JPEG within what decoding at a smaller scale changes.
TEST(ImageFiles, AreScaledDownToASize) {
  for (const auto& [name, scaled] : image_cases()["scaled"].items()) {
    SCOPED_TRACE(name);
    const std::string path = (image_folder() / name).string();
    const Image found = read_image(path, {.size = scaled["size"]});
    const auto expected = test::from_hex(scaled["pixels"]);
    ASSERT_EQ(std::min(found.shape.height, found.shape.width), scaled["size"].get<int64_t>());
    ASSERT_EQ(expected.size(), static_cast<size_t>(found.shape.elements()));
    const Distance from_pillow = distance(bytes_of(found), expected);
    EXPECT_LE(from_pillow.most, name.ends_with(".jpg") ? 24 : 1);
    EXPECT_LE(from_pillow.mean, name.ends_with(".jpg") ? 1.5 : 0.5);
    EXPECT_EQ(read_image(path, {.size = 1000}).shape, read_image(path).shape);
  }
}

TEST(ImageFiles, ATurnedFileIsScaledAsItLies) {
  const std::string path = (image_folder() / "orientation-6.jpg").string();
  EXPECT_EQ(read_image(path).shape, (ImageShape{3, 13, 11}));
  EXPECT_EQ(read_image(path, {.size = 5}).shape, (ImageShape{3, 5, 5}));
  EXPECT_EQ(read_image(path, {.size = 9}).shape, (ImageShape{3, 10, 9}));
}

/// The means of blocks of `block` × `block` pixels.
std::vector<uint8_t> block_means(const Image& image, int64_t block) {
  const ImageShape& shape = image.shape;
  std::vector<uint8_t> means;
  for (int64_t y = 0; y < shape.height / block; ++y) {
    for (int64_t x = 0; x < shape.width / block; ++x) {
      for (int64_t c = 0; c < shape.channels; ++c) {
        int64_t sum = block * block / 2;
        for (int64_t i = 0; i < block * block; ++i) {
          const int64_t row = y * block + i / block;
          const int64_t column = x * block + i % block;
          sum += image.pixels[(row * shape.width + column) * shape.channels + c];
        }
        means.push_back(static_cast<uint8_t>(sum / (block * block)));
      }
    }
  }
  return means;
}

/// What is decoded at a part of the size is what the whole image looks like from afar.
TEST(ImageFiles, OfJpegAreDecodedAtAPartOfTheirSize) {
  const std::string path = (image_folder() / "large.jpg").string();
  const Image full = read_image(path);
  ASSERT_EQ(full.shape, (ImageShape{3, 88, 104}));
  for (const auto& [least, block] : {std::pair(44, 2), std::pair(22, 4), std::pair(11, 8)}) {
    SCOPED_TRACE(least);
    const Image part = read_image(path, {.scaled_decoding = least});
    ASSERT_EQ(part.shape, (ImageShape{3, 88 / block, 104 / block}));
    EXPECT_LE(distance(bytes_of(part), block_means(full, block)).mean, 2.0);
    EXPECT_EQ(bytes_of(part), bytes_of(read_image(path, {.scaled_decoding = least - 5})));
    EXPECT_EQ(bytes_of(part), bytes_of(read_image(path, {.scaled_decoding = least})));
  }
  EXPECT_EQ(bytes_of(read_image(path, {.scaled_decoding = 45})), bytes_of(full));
  const std::string png = (image_folder() / "rgb-8.png").string();
  EXPECT_EQ(bytes_of(read_image(png, {.scaled_decoding = 2})), bytes_of(read_image(png)));
}

TEST(ImageFiles, ArePartlyDecodedAsTheyLieAndNeverEnlarged) {
  const std::string path = (image_folder() / "orientation-6.jpg").string();
  EXPECT_EQ(read_image(path, {.scaled_decoding = 7}).shape, (ImageShape{3, 13, 11}));
  EXPECT_EQ(read_image(path, {.scaled_decoding = 6}).shape, (ImageShape{3, 7, 6}));
  EXPECT_EQ(read_image(path, {.scaled_decoding = 3}).shape, (ImageShape{3, 4, 3}));
  const Image sized = read_image(path, {.size = 5});
  EXPECT_EQ(bytes_of(read_image(path, {.size = 5, .scaled_decoding = 2})), bytes_of(sized));
  EXPECT_EQ(read_image(path, {.size = 5, .scaled_decoding = 9}).shape, sized.shape);
}

TEST(ImageFiles, AreKnownByTheEndOfTheirNames) {
  for (const char* name : {"a.jpg", "b.JPEG", "c.Png", "d.webp", "e.tif", "f.TIFF", "g.bmp",
                           "h.gif", "i.ppm", "j.pgm", "k.pbm", "l.pnm", "m.jfif"}) {
    EXPECT_TRUE(is_image_name(name)) << name;
  }
  for (const char* name : {".jpg", "jpg", "a.jpg.txt", "a.txt", "a", "", "Thumbs.db", "a.jp"}) {
    EXPECT_FALSE(is_image_name(name)) << name;
  }
}

}  // namespace
}  // namespace bissl::host
