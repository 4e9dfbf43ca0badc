#include "preview/canvas.h"

#include <gtest/gtest.h>

#include <spng.h>

#include <memory>

namespace bissl::host::test {
namespace {

TEST(Canvas, APngFileHasItsPixels) {
  Canvas canvas(3, 2, 7);
  canvas.pixel(2, 1)[0] = 255;
  canvas.pixel(2, 1)[2] = 9;
  const std::string file = canvas.png();

  const std::unique_ptr<spng_ctx, void (*)(spng_ctx*)> decoder(spng_ctx_new(0), spng_ctx_free);
  ASSERT_EQ(spng_set_png_buffer(decoder.get(), file.data(), file.size()), 0);
  spng_ihdr header{};
  ASSERT_EQ(spng_get_ihdr(decoder.get(), &header), 0);
  EXPECT_EQ(header.width, 2U);
  EXPECT_EQ(header.height, 3U);
  std::vector<uint8_t> pixels(3 * 2 * 3);
  ASSERT_EQ(spng_decode_image(decoder.get(), pixels.data(), pixels.size(), SPNG_FMT_RGB8, 0), 0);
  std::vector<uint8_t> expected(3 * 2 * 3, 7);
  expected[15] = 255;
  expected[17] = 9;
  EXPECT_EQ(pixels, expected);
}

}  // namespace
}  // namespace bissl::host::test
