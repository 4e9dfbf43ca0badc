#include "preview/marks.h"
#include "preview/sheet.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

namespace bissl::host::test {
namespace {

/// The red of all pixels that a mark has covered on white, as an area in pixels.
double covered_area(const Canvas& canvas) {
  double area = 0;
  for (int64_t row = 0; row < canvas.height(); ++row) {
    for (int64_t column = 0; column < canvas.width(); ++column) {
      area += (255.0 - canvas.pixel(row, column)[0]) / 255;
    }
  }
  return area;
}

constexpr Colour black = {0, 0, 0};

TEST(Marks, DotsHaveTheAreaOfTheirCircleWhereverTheyLie) {
  for (const double shift : {0.0, 0.25, 0.5}) {
    Canvas canvas(40, 40, 255);
    draw_dot(canvas, 20 + shift, 20 - shift, 6, black, 1);
    EXPECT_NEAR(covered_area(canvas), M_PI * 36, 1.5) << shift;
    EXPECT_EQ(canvas.pixel(20, 20)[0], 0);
  }
  Canvas half(40, 40, 255);
  draw_dot(half, 20, 20, 6, black, 0.5);
  EXPECT_NEAR(covered_area(half), M_PI * 18, 1.5);
  // Half of one at the edge is drawn, and nothing of one outside.
  Canvas edge(40, 40, 255);
  draw_dot(edge, 0, 20, 6, black, 1);
  draw_dot(edge, 60, 60, 6, black, 1);
  EXPECT_NEAR(covered_area(edge), M_PI * 18, 1.5);
}

TEST(Marks, AreasAreFilledWithinTheCanvas) {
  Canvas canvas(10, 12, 255);
  draw_area(canvas, 2, 3, 4, 5, black, 1);
  EXPECT_EQ(covered_area(canvas), 4 * 5);
  EXPECT_EQ(canvas.pixel(3, 2)[0], 0);
  EXPECT_EQ(canvas.pixel(7, 5)[0], 0);
  EXPECT_EQ(canvas.pixel(8, 5)[0], 255);
  Canvas half(10, 12, 255);
  draw_area(half, 8, -2, 40, 5, black, 0.4);
  EXPECT_EQ(half.pixel(2, 11)[0], 153);
  EXPECT_EQ(half.pixel(3, 11)[0], 255);
  EXPECT_EQ(half.pixel(2, 7)[0], 255);
  draw_area(half, 2, 2, 0, -3, black, 1);
  EXPECT_NEAR(covered_area(half), 0.4 * 4 * 3, 1e-9);
}

/// Below the image, and no wider than it.
TEST(Marks, LabelsAreBelowTheirImages) {
  const auto dark = std::make_shared<std::vector<uint8_t>>(size_t{3 * 12 * 12}, uint8_t{0});
  const Image image{.shape = {3, 12, 12}, .pixels = dark->data(), .owner = dark};
  const auto sheet = [&](const std::string& label) {
    const std::vector<std::vector<FramedImage>> rows = {{FramedImage{image, {9, 9, 9}, label}}};
    return image_sheet(rows);
  };
  const auto bright = [](const Canvas& canvas) {
    std::vector<int64_t> columns;
    for (int64_t row = 0; row < canvas.height(); ++row) {
      for (int64_t column = 0; column < canvas.width(); ++column) {
        if (canvas.pixel(row, column)[0] > 200) {
          columns.push_back(column);
        }
      }
    }
    return columns;
  };
  const Canvas plain = sheet("");
  const Canvas labelled = sheet("7 cat");
  const Canvas cut = sheet(std::string(1000, 'M'));
  EXPECT_TRUE(bright(plain).empty());
  EXPECT_GT(labelled.height(), plain.height());
  EXPECT_EQ(labelled.width(), plain.width());
  EXPECT_FALSE(bright(labelled).empty());
  EXPECT_EQ(cut.width(), plain.width());
  for (const int64_t column : bright(cut)) {
    EXPECT_LT(column, 12 + 96);  // the place at the left and the image, eight times as large
  }
}

TEST(Marks, ColoursAreThoseOfCss) {
  EXPECT_EQ(hsl_colour(0, 1, 0.5), (Colour{255, 0, 0}));
  EXPECT_EQ(hsl_colour(120, 1, 0.25), (Colour{0, 128, 0}));
  EXPECT_EQ(hsl_colour(240, 0.5, 0.5), (Colour{64, 64, 191}));
  EXPECT_EQ(hsl_colour(60, 1, 0.5), (Colour{255, 255, 0}));
  EXPECT_EQ(hsl_colour(17, 0, 0.4), (Colour{102, 102, 102}));
}

TEST(Marks, LettersAreDots) {
  Canvas canvas(9, 20, 255);
  draw_text(canvas, 1, 1, "T1", 1, black);
  // The bar and the stem of the T.
  EXPECT_EQ(covered_area(canvas), (5 + 6) + (1 + 2 + 2 + 3 + 5));
  EXPECT_EQ(canvas.pixel(1, 1)[0], 0);
  EXPECT_EQ(canvas.pixel(7, 3)[0], 0);
  EXPECT_EQ(canvas.pixel(7, 1)[0], 255);
  Canvas large(18, 40, 255);
  draw_text(large, 2, 2, "T1", 2, black);
  EXPECT_EQ(covered_area(large), 4 * 24);
  // A letter beyond ASCII is one box, whatever its bytes.
  EXPECT_EQ(letters_in("aé…"), 3);
  Canvas box(9, 20, 255);
  draw_text(box, 1, 1, "é", 1, black);
  EXPECT_EQ(covered_area(box), 2 * 5 + 2 * 5);
}

}  // namespace
}  // namespace bissl::host::test
