#include "bissl/dataset.h"
#include "bissl/error.h"
#include "sdk/plugin_library.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <set>
#include <string>
#include <vector>

namespace bissl::host {
namespace {

const test::PluginLibrary& library() { return test::shared_library("synthetic"); }

std::shared_ptr<Dataset> make(const ParameterValues& changes = {}) {
  return library().make<Dataset>("synthetic", changes);
}

std::vector<uint8_t> pixels(const Dataset& dataset, int64_t index) {
  const Sample sample = dataset.get(index);
  return {sample.image.pixels, sample.image.pixels + sample.image.shape.elements()};
}

TEST(Synthetic, HasTheShapeAndTheClassesAskedFor) {
  const auto dataset = make({{"samples", int64_t{10}},
                             {"patterns", int64_t{3}},
                             {"size", int64_t{12}},
                             {"channels", int64_t{3}}});
  EXPECT_EQ(dataset->size(), 10);
  EXPECT_EQ(dataset->targets().names.size(), 3U);
  for (int64_t i = 0; i < 10; ++i) {
    EXPECT_EQ(dataset->get(i).image.shape, (ImageShape{3, 12, 12}));
    EXPECT_EQ(dataset->target(i).category, i % 3);
    EXPECT_EQ(dataset->get(i).target.category, i % 3);
  }
  EXPECT_THROW(dataset->get(10), Error);
  EXPECT_THROW(dataset->get(-1), Error);
}

TEST(Synthetic, IsDeterministicAndSplitsAndSeedsDiffer) {
  const auto dataset = make();
  const auto same = make();
  EXPECT_EQ(pixels(*dataset, 17), pixels(*same, 17));
  EXPECT_EQ(dataset->fingerprint(), same->fingerprint());
  for (const ParameterValues& changes :
       {ParameterValues{{"split", "test"}}, ParameterValues{{"seed", int64_t{1}}}}) {
    const auto other = make(changes);
    EXPECT_NE(pixels(*dataset, 17), pixels(*other, 17));
    EXPECT_NE(dataset->fingerprint(), other->fingerprint());
    EXPECT_EQ(dataset->targets().names, other->targets().names);
  }
}

TEST(Synthetic, MoreSamplesLeaveTheFirstOnesAsTheyAre) {
  EXPECT_EQ(pixels(*make({{"samples", int64_t{20}}}), 19), pixels(*make(), 19));
}

TEST(Synthetic, CanWithholdTheLabels) {
  const auto dataset = make({{"labelled", false}});
  EXPECT_EQ(dataset->get(5).target.category, -1);
  EXPECT_EQ(dataset->target(5).category, -1);
  EXPECT_TRUE(dataset->targets().names.empty());
  EXPECT_EQ(pixels(*dataset, 5), pixels(*make(), 5));
}

/// The squared amplitude of a wave in an image, up to a factor.
double power(const std::vector<uint8_t>& image, int64_t size, double across, double down) {
  std::complex<double> sum;
  for (int64_t y = 0; y < size; ++y) {
    for (int64_t x = 0; x < size; ++x) {
      const double value = image[static_cast<size_t>(y * size + x)] / 255.0 - 0.5;
      sum +=
          value * std::polar(1.0, across * static_cast<double>(x) + down * static_cast<double>(y));
    }
  }
  return std::norm(sum);
}

TEST(Synthetic, ImagesShowTheGratingOfTheirClass) {
  // Nine classes at size 24: angles 0, 45 and 90 degrees, frequencies 1.5, 3 and 6 cycles.
  constexpr int64_t size = 24;
  const auto dataset = make({{"patterns", int64_t{9}}, {"size", size}, {"samples", int64_t{180}}});
  int right = 0;
  for (int64_t i = 0; i < dataset->size(); ++i) {
    const std::vector<uint8_t> image = pixels(*dataset, i);
    int64_t best = -1;
    double strongest = 0.0;
    for (int64_t label = 0; label < 9; ++label) {
      const double angle = M_PI / 4.0 * static_cast<double>(label % 3);
      const double wave = 2.0 * M_PI * 1.5 * std::pow(2.0, label / 3) / size;
      const double found = power(image, size, wave * std::cos(angle), wave * std::sin(angle));
      if (found > strongest) {
        strongest = found;
        best = label;
      }
    }
    right += best == dataset->target(i).category ? 1 : 0;
  }
  EXPECT_EQ(right, 180);
  EXPECT_EQ(dataset->targets().names[4], "45 degrees, 3.00 cycles");
}

TEST(Synthetic, NoiseHasTheGivenStrength) {
  const auto clean = make({{"noise", 0.0}, {"size", int64_t{32}}});
  const auto noisy = make({{"noise", 0.02}, {"size", int64_t{32}}});
  double sum = 0.0;
  for (int64_t i = 0; i < 50; ++i) {
    const auto a = pixels(*clean, i);
    const auto b = pixels(*noisy, i);
    for (size_t j = 0; j < a.size(); ++j) {
      sum += std::pow((a[j] - b[j]) / 255.0, 2);
    }
  }
  // 0.5 ± 0.4 leaves room for five standard deviations, so nothing is cut off.
  EXPECT_NEAR(std::sqrt(sum / (50.0 * 32 * 32)), 0.02, 0.0004);
}

TEST(Synthetic, ClassNamesAreDistinct) {
  for (const int64_t classes : {2, 5, 64}) {
    const auto names = make({{"patterns", classes}})->targets().names;
    EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(),
              static_cast<size_t>(classes));
  }
}

TEST(Synthetic, RulesRefuseWhatCannotWork) {
  EXPECT_EQ(library().findings("synthetic", {}), std::vector<std::string>{});
  EXPECT_EQ(library().findings("synthetic", {{"channels", int64_t{2}}}),
            std::vector<std::string>{"channels: 2 given; accepted are 1 (gray) and 3 (colour)"});
  EXPECT_EQ(
      library().findings("synthetic", {{"samples", int64_t{10'000'000}}, {"size", int64_t{1024}}}),
      std::vector<std::string>{"samples: 10000000 samples take 10000000 MiB of memory; at most "
                               "1024 MiB are accepted: take fewer or smaller ones"});
  EXPECT_EQ(library().findings("synthetic", {{"samples", int64_t{3}}}),
            std::vector<std::string>{"samples: 3 samples cannot cover 4 classes"});
  EXPECT_THROW(library().values("synthetic", {{"patterns", int64_t{65}}}), std::invalid_argument);
}

}  // namespace
}  // namespace bissl::host
