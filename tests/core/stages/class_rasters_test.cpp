#include "stages/analyse/class_rasters.h"

#include "preview/marks.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host::test {
namespace {

constexpr Colour paper = {255, 255, 255};

/// The colour at a place in the units of the SVG, two pixels to a side.
Colour colour_at(const Canvas& canvas, double x, double y) {
  const uint8_t* pixel = canvas.pixel(std::lround(2 * y), std::lround(2 * x));
  return {pixel[0], pixel[1], pixel[2]};
}

/// Of a colour with this opacity on white.
Colour on_paper(const Colour& colour, double opacity) {
  Colour mixed{};
  for (size_t i = 0; i < colour.size(); ++i) {
    mixed[i] = static_cast<uint8_t>(std::lround(255 * (1 - opacity) + opacity * colour[i]));
  }
  return mixed;
}

/// How many pixels of a part of a canvas are as dark as letters.
int64_t dark_pixels(const Canvas& canvas, int64_t top, int64_t left, int64_t height,
                    int64_t width) {
  int64_t found = 0;
  for (int64_t row = top; row < top + height; ++row) {
    for (int64_t column = left; column < left + width; ++column) {
      found += canvas.pixel(row, column)[0] < 40 && canvas.pixel(row, column)[1] < 40 ? 1 : 0;
    }
  }
  return found;
}

constexpr Colour blue = {42, 127, 158};
constexpr Colour orange = {217, 130, 43};
constexpr Colour green = {0, 158, 115};

/// Cells of 38 units behind names of three letters.
TEST(ClassRasters, CellsOfConfusionHaveTheShareOfTheirRow) {
  const std::optional<Canvas> drawn = confusion_raster({{4, 1}, {0, 0}}, {"cat", "dog"}, "title");
  ASSERT_TRUE(drawn);
  constexpr double left = 24 + 3 * 6;
  constexpr double top = 66;
  EXPECT_EQ(drawn->width(), 2 * 540);
  EXPECT_EQ(drawn->height(), 2 * (66 + 2 * 38 + 16));
  EXPECT_EQ(colour_at(*drawn, left + 3, top + 3), on_paper(blue, 0.8));
  EXPECT_EQ(colour_at(*drawn, left + 38 + 3, top + 3), on_paper(orange, 0.2));
  EXPECT_EQ(colour_at(*drawn, left + 3, top + 38 + 3), paper);        // without images
  EXPECT_EQ(colour_at(*drawn, left + 2 * 38 + 3, top + 3), paper);    // beside the cells
  EXPECT_GT(dark_pixels(*drawn, 2 * 66, 0, 2 * 38, 2 * 42), 0);       // "cat"
  EXPECT_GT(dark_pixels(*drawn, 2 * 66, 2 * 42, 2 * 38, 2 * 37), 0);  // "4"
  EXPECT_GT(dark_pixels(*drawn, 0, 0, 2 * 30, 2 * 200), 0);           // the title
}

/// Many classes have smaller cells, then no names, then no picture.
TEST(ClassRasters, AreNoLargerThanCanBeLookedAt) {
  const auto width = [](size_t classes) {
    const std::vector<std::vector<int64_t>> counts(classes, std::vector<int64_t>(classes, 1));
    const std::optional<Canvas> drawn =
        confusion_raster(counts, std::vector<std::string>(classes, std::string(99, 'n')), "");
    return drawn ? drawn->width() : 0;
  };
  EXPECT_EQ(width(30), 2 * (24 + 40 * 6 + 30 * 12 + 16));
  EXPECT_EQ(width(120), 24 + 40 * 6 + 120 * 12 + 16);
  EXPECT_EQ(width(301), 16 + 301 * 4 + 16);
  EXPECT_EQ(width(1001), 0);
  const std::vector<std::string> names(1001, "n");
  EXPECT_FALSE(accuracy_raster({"head"}, {std::vector<ClassAccuracy>(1001)}, names, ""));
}

TEST(ClassRasters, BarsAreAccuracies) {
  const ClassAccuracy none{};
  const ClassAccuracy quarter{.samples = 4, .right = 1};
  const ClassAccuracy most{.samples = 4, .right = 3};
  const std::vector<std::vector<ClassAccuracy>> accuracies = {{quarter, none}, {most, none}};
  const std::optional<Canvas> drawn =
      accuracy_raster({"head", "logistic"}, accuracies, {"cat", "dog"}, "title");
  ASSERT_TRUE(drawn);
  constexpr double left = 24 + 3 * 6;
  constexpr double middle = 64 + 8;
  EXPECT_EQ(colour_at(*drawn, left + 0.25 * 120 - 3, middle), blue);
  EXPECT_EQ(colour_at(*drawn, left + 0.25 * 120 + 3, middle), paper);
  EXPECT_EQ(colour_at(*drawn, left + 180 + 0.75 * 120 - 3, middle), blue);
  EXPECT_EQ(colour_at(*drawn, left + 180 + 0.75 * 120 + 3, middle), paper);
  // The frame of the first class; the second has no images.
  EXPECT_EQ(colour_at(*drawn, left + 100, 64 + 1), (Colour{190, 190, 190}));
  EXPECT_EQ(colour_at(*drawn, left + 100, 64 + 20 + 1), paper);
  EXPECT_EQ(colour_at(*drawn, left + 10, middle + 20), paper);
}

TEST(ClassRasters, ReliabilityShowsWhatConfidencesLack) {
  const ReliabilityBin empty{.low = 0, .high = 0.5};
  const ReliabilityBin over{
      .low = 0.5, .high = 1, .samples = 3, .confidence = 0.9, .accuracy = 0.6};
  const ReliabilityBin under{
      .low = 0.5, .high = 1, .samples = 3, .confidence = 0.6, .accuracy = 0.9};
  std::vector<Reliability> found(2);
  found[0].bins = {over};
  found[1].bins = {empty, under};
  const Canvas drawn = reliability_raster({"head", "logistic"}, found, "title");
  EXPECT_EQ(drawn.width(), 2 * (56 + 2 * (240 + 56)));
  EXPECT_EQ(drawn.height(), 2 * (64 + 240 + 60));
  const auto at = [&](double panel, double x, double y) {
    return colour_at(drawn, 56 + panel * (240 + 56) + 240 * x, 88 + 240 * (1 - y));
  };
  for (const double panel : {0.0, 1.0}) {
    EXPECT_EQ(at(panel, 0.7, 0.3), blue);
    EXPECT_EQ(at(panel, 0.7, 0.95), paper);
    EXPECT_EQ(at(panel, 0.3, 0.1), paper);  // no images with such confidences
  }
  EXPECT_EQ(at(0, 0.7, 0.8), on_paper(orange, 0.45));
  EXPECT_EQ(at(1, 0.7, 0.8), on_paper(green, 0.6));
}

}  // namespace
}  // namespace bissl::host::test
