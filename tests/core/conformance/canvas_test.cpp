#include "conformance/canvas.h"

#include <gtest/gtest.h>

#include <cmath>

namespace bissl::host::test {
namespace {

constexpr ImageShape small_shape{2, 3, 4};

TEST(Picture, NoticesAChangeOfItselfAndBesideIt) {
  for (const int64_t place : {int64_t{0}, int64_t{23}, int64_t{-1}, int64_t{24}}) {
    const Picture picture(small_shape);
    EXPECT_TRUE(picture.unchanged());
    auto* pixels = const_cast<uint8_t*>(picture.image().pixels);
    pixels[place] = static_cast<uint8_t>(pixels[place] ^ 1);
    EXPECT_FALSE(picture.unchanged()) << "byte " << place;
  }
}

TEST(Picture, HasTheSamePixelsWithOtherSurroundings) {
  Picture picture(small_shape);
  const std::vector<uint8_t> before(picture.image().pixels, picture.image().pixels + 24);
  const uint8_t beside = picture.image().pixels[-1];
  picture.surround(90);
  EXPECT_EQ(std::vector<uint8_t>(picture.image().pixels, picture.image().pixels + 24), before);
  EXPECT_NE(picture.image().pixels[-1], beside);
  EXPECT_TRUE(picture.unchanged());
  picture.paint(Picture::Content::other_noise);
  EXPECT_NE(std::vector<uint8_t>(picture.image().pixels, picture.image().pixels + 24), before);
}

TEST(Picture, PaintsStripes) {
  const Picture rows(small_shape, Picture::Content::rows);
  const Picture columns(small_shape, Picture::Content::columns);
  const auto at = [](const Picture& picture, int y, int x) {
    return picture.image().pixels[(y * 4 + x) * 2];
  };
  for (int y = 0; y < 3; ++y) {
    for (int x = 0; x < 4; ++x) {
      EXPECT_EQ(at(rows, y, x), at(rows, y, 0));
      EXPECT_EQ(at(columns, y, x), at(columns, 0, x));
    }
  }
}

TEST(Canvas, TellsTheFirstFloatBesideTheViewThatWasWritten) {
  for (const int64_t place : {int64_t{24}, int64_t{30}, int64_t{-1}, int64_t{-7}}) {
    Canvas canvas(small_shape, 1, true);
    EXPECT_TRUE(std::isnan(canvas.view()[0]));
    std::fill(canvas.view().begin(), canvas.view().end(), 0.5F);
    EXPECT_EQ(canvas.written_beside(), 0);
    canvas.view().data()[place] += 1;
    EXPECT_EQ(canvas.written_beside(), place);
    EXPECT_EQ(canvas.copy(), std::vector<float>(24, 0.5F));
  }
}

TEST(Canvas, HasTwoPatterns) {
  EXPECT_NE(Canvas(small_shape, 0, false).copy(), Canvas(small_shape, 1, false).copy());
}

}  // namespace
}  // namespace bissl::host::test
