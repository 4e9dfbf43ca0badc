#include "bissl/augmentation.h"

#include "bissl/error.h"
#include "sdk/plugin_library.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace bissl::host {
namespace {

using Reals = std::vector<double>;
using Floats = std::vector<float>;

const test::PluginLibrary& library() { return test::shared_library("image-augmentations"); }

std::shared_ptr<Augmentation> make(const std::string& name, const ParameterValues& changes = {}) {
  return library().make<Augmentation>(name, changes);
}

/// Parameters that leave the values in [0, 1].
ParameterValues unit(ParameterValues changes = {}) {
  changes["mean"] = Reals{0.0};
  changes["std"] = Reals{1.0};
  return changes;
}

/// simclr with everything switched off but what `changes` switches on; values in [0, 1].
ParameterValues only(const ParameterValues& changes) {
  ParameterValues values = unit(changes);
  for (const char* operation : {"crop", "flip", "jitter", "grayscale", "blur", "solarize"}) {
    values.emplace(std::string(operation) + "_probability", 0.0);
  }
  return values;
}

struct TestImage {
  std::vector<uint8_t> pixels;
  Image image;

  /// Noise that depends on nothing but the shape.
  explicit TestImage(const ImageShape& shape) : pixels(static_cast<size_t>(shape.elements())) {
    RandomStream stream(7, "test image");
    for (uint8_t& pixel : pixels) {
      pixel = static_cast<uint8_t>(stream.below(256));
    }
    image = {shape, pixels.data(), nullptr};
  }
};

Floats view_of(const Augmentation& augmentation, const Image& image, uint64_t sample = 0,
               uint64_t view = 0) {
  Floats values(static_cast<size_t>(
      augmentation.view_shape(image.shape, static_cast<int64_t>(view)).elements()));
  RandomStream stream(0, "views", 0, sample, view);
  augmentation.apply(image, static_cast<int64_t>(view), stream, values);
  return values;
}

/// The image's values in planes, divided by 255.
Floats plain(const Image& image) { return view_of(*make("evaluation", unit()), image); }

std::string input_error(const Augmentation& augmentation, const ImageShape& shape) {
  try {
    augmentation.view_shape(shape, 0);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    return error.what();
  }
  return "no error";
}

TEST(Library, RegistersRecipesAndTransforms) {
  EXPECT_EQ(
      library().names(),
      (std::vector<std::string>{"blur", "center-crop", "color-jitter", "evaluation", "flip",
                                "grayscale", "normalize", "padded-crop", "resize", "resized-crop",
                                "simclr", "solarize", "supervised", "to-planes"}));
  EXPECT_NE(library().component("simclr").text.source.find("2002.05709"), std::string::npos);
}

class EveryAugmentation : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Augmentations, EveryAugmentation,
                         testing::Values("evaluation", "simclr", "supervised"),
                         [](const auto& info) { return info.param; });

TEST_P(EveryAugmentation, KeepsTheShapeOrTakesTheSize) {
  EXPECT_EQ(make(GetParam())->view_shape({1, 28, 30}, 0), (ImageShape{1, 28, 30}));
  EXPECT_EQ(make(GetParam(), {{"size", int64_t{12}}})->view_shape({3, 28, 30}, 0),
            (ImageShape{3, 12, 12}));
}

TEST_P(EveryAugmentation, RefusesOtherImages) {
  const auto augmentation = make(GetParam());
  EXPECT_EQ(input_error(*augmentation, {1, 0, 8}),
            "an image is 0 pixels high and 8 wide; expected at least 1 each");
  const auto coloured = make(GetParam(), {{"mean", Reals{0.1, 0.2, 0.3}}});
  EXPECT_EQ(
      input_error(*coloured, {1, 8, 8}),
      "`mean` has 3 elements, an image has 1 channel; give 1 element, or one for each channel");
  EXPECT_EQ(coloured->view_shape({3, 8, 8}, 0), (ImageShape{3, 8, 8}));
}

/// Satellites have more bands than colours; jitter and grayscale have no meaning for them.
TEST(Bands, AreTakenByWhatIsNotAboutColours) {
  for (const char* name : {"evaluation", "supervised"}) {
    EXPECT_EQ(make(name, {{"size", int64_t{6}}})->view_shape({7, 8, 8}, 0), (ImageShape{7, 6, 6}));
  }
  const std::string refusal =
      "an image has 7 channels, and colour jitter and grayscale are about gray images or red, "
      "green "
      "and blue: set jitter_probability and grayscale_probability to 0";
  EXPECT_EQ(input_error(*make("simclr"), {7, 8, 8}), refusal);
  EXPECT_EQ(input_error(*make("simclr", {{"jitter_probability", 0.0}}), {2, 8, 8}),
            "an image has 2 channels" + refusal.substr(refusal.find(',')));
  const auto plain = make("simclr", {{"jitter_probability", 0.0}, {"grayscale_probability", 0.0}});
  EXPECT_EQ(plain->view_shape({7, 8, 8}, 0), (ImageShape{7, 8, 8}));
}

TEST_P(EveryAugmentation, RefusesRoomOfTheWrongSize) {
  const TestImage source({1, 8, 8});
  Floats room(63);
  RandomStream stream(0, "views");
  try {
    make(GetParam())->apply(source.image, 0, stream, room);
    FAIL() << "nothing thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::run);
    EXPECT_STREQ(error.what(), "room for a view of 1 x 8 x 8 needs 64 floats, but there are 63");
  }
}

TEST_P(EveryAugmentation, StaysInRangeAndLeavesTheImageAlone) {
  for (const ImageShape& shape :
       {ImageShape{1, 28, 28}, {3, 32, 32}, {3, 5, 40}, {1, 33, 2}, {3, 1, 1}}) {
    const TestImage source(shape);
    const std::vector<uint8_t> before = source.pixels;
    for (const int64_t size : {0, 1, 24}) {
      const auto augmentation = make(GetParam(), {{"size", size}});
      for (uint64_t sample = 0; sample < 50; ++sample) {
        const Floats values = view_of(*augmentation, source.image, sample);
        const auto [low, high] = std::minmax_element(values.begin(), values.end());
        // Weights that add up to 1 do so up to rounding.
        ASSERT_GE(*low, -1.0F - 1e-5F);
        ASSERT_LE(*high, 1.0F + 1e-5F);
      }
    }
    EXPECT_EQ(source.pixels, before);
  }
}

TEST_P(EveryAugmentation, IsAPureFunctionAlsoAcrossThreads) {
  const TestImage gray({1, 28, 28});
  const TestImage colour({3, 20, 33});
  const auto augmentation = make(GetParam(), {{"size", int64_t{24}}});
  constexpr uint64_t samples = 40;
  const auto run = [&](uint64_t first, uint64_t step, std::vector<Floats>& into) {
    for (uint64_t i = first; i < samples; i += step) {
      into[i] = view_of(*augmentation, i % 3 == 0 ? gray.image : colour.image, i, i % 2);
    }
  };
  std::vector<Floats> alone(samples);
  run(0, 1, alone);
  std::vector<Floats> together(samples);
  std::thread even([&] { run(0, 2, together); });
  std::thread odd([&] { run(1, 2, together); });
  even.join();
  odd.join();
  EXPECT_EQ(alone, together);
}

TEST(Evaluation, ScalesToUnitRangeInPlanes) {
  const std::vector<uint8_t> pixels{0, 51, 255, 102, 204, 153};
  const Image image{{3, 1, 2}, pixels.data(), nullptr};
  EXPECT_EQ(plain(image), (Floats{0.0F, 0.4F, 0.2F, 0.8F, 1.0F, 0.6F}));
}

TEST(Evaluation, NormalizesWithHalfByDefault) {
  const std::vector<uint8_t> pixels{0, 255};
  const Image image{{1, 1, 2}, pixels.data(), nullptr};
  EXPECT_EQ(view_of(*make("evaluation"), image), (Floats{-1.0F, 1.0F}));
}

TEST(Evaluation, OfASquareImageOfTheSizeIsTheImage) {
  const TestImage source({3, 10, 10});
  EXPECT_EQ(view_of(*make("evaluation", unit({{"size", int64_t{10}}})), source.image),
            plain(source.image));
}

TEST(Evaluation, IgnoresTheStream) {
  const TestImage source({3, 20, 30});
  const auto augmentation = make("evaluation", {{"size", int64_t{16}}});
  EXPECT_EQ(view_of(*augmentation, source.image, 0), view_of(*augmentation, source.image, 1));
}

TEST(Simclr, ViewsAndSamplesDiffer) {
  const TestImage source({1, 28, 28});
  const auto augmentation = make("simclr");
  std::set<Floats> seen;
  for (uint64_t sample = 0; sample < 20; ++sample) {
    for (uint64_t view = 0; view < 2; ++view) {
      seen.insert(view_of(*augmentation, source.image, sample, view));
    }
  }
  EXPECT_EQ(seen.size(), 40U);
}

TEST(Simclr, WithAllProbabilitiesZeroIsTheImage) {
  for (const ImageShape& shape : {ImageShape{1, 9, 12}, {3, 9, 12}}) {
    const TestImage source(shape);
    EXPECT_EQ(view_of(*make("simclr", only({})), source.image), plain(source.image));
  }
}

TEST(Simclr, WithoutCropTakesTheMiddleInTheViewsProportions) {
  const TestImage source({3, 12, 20});
  ParameterValues parameters = only({{"size", int64_t{12}}});
  const Floats view = view_of(*make("simclr", parameters), source.image);
  const Floats whole = plain(source.image);
  for (int64_t row = 0; row < 36; ++row) {
    for (int64_t x = 0; x < 12; ++x) {
      ASSERT_EQ(view[static_cast<size_t>(row * 12 + x)],
                whole[static_cast<size_t>(row * 20 + x + 4)]);
    }
  }
}

TEST(Simclr, ProbabilityOneAlwaysFlipsAndSolarizes) {
  const TestImage source({3, 6, 7});
  const Floats whole = plain(source.image);
  const auto augmentation = make("simclr", only({{"flip_probability", 1.0},
                                                 {"solarize_probability", 1.0},
                                                 {"solarize_threshold", 0.25}}));
  for (uint64_t sample = 0; sample < 10; ++sample) {
    const Floats view = view_of(*augmentation, source.image, sample);
    for (size_t i = 0; i < view.size(); ++i) {
      const float mirrored = whole[i / 7 * 7 + 6 - i % 7];
      ASSERT_EQ(view[i], mirrored >= 0.25F ? 1.0F - mirrored : mirrored);
    }
  }
}

TEST(Simclr, FlipsWithTheGivenProbability) {
  const std::vector<uint8_t> pixels{0, 255};
  const Image image{{1, 1, 2}, pixels.data(), nullptr};
  const auto augmentation = make("simclr", only({{"flip_probability", 0.3}}));
  int flips = 0;
  for (uint64_t sample = 0; sample < 4000; ++sample) {
    flips += view_of(*augmentation, image, sample)[0] > 0.5F ? 1 : 0;
  }
  // Four standard deviations: 4 √(4000 · 0.3 · 0.7) = 116.
  EXPECT_NEAR(flips, 1200, 116);
}

TEST(Simclr, JitterStaysWithinItsStrength) {
  const std::vector<uint8_t> pixels(16, 102);
  const Image image{{1, 4, 4}, pixels.data(), nullptr};
  // Of a constant image contrast changes nothing, so what is left is the brightness.
  const auto augmentation =
      make("simclr", only({{"jitter_probability", 1.0}, {"brightness", 0.5}}));
  float lowest = 1.0F;
  float highest = 0.0F;
  for (uint64_t sample = 0; sample < 500; ++sample) {
    const float value = view_of(*augmentation, image, sample)[5];
    lowest = std::min(lowest, value);
    highest = std::max(highest, value);
  }
  EXPECT_GE(lowest, 0.4F * 0.5F - 1e-6F);
  EXPECT_LT(lowest, 0.4F * 0.52F);
  EXPECT_LE(highest, 0.4F * 1.5F + 1e-6F);
  EXPECT_GT(highest, 0.4F * 1.48F);
}

TEST(Simclr, JitterComesInRandomOrder) {
  // Brightness saturates this image, and contrast pulls it to its mean: the order shows.
  const TestImage source({1, 8, 8});
  const ParameterValues strengths = only({{"jitter_probability", 1.0},
                                          {"brightness", 0.4},
                                          {"contrast", 0.4},
                                          {"saturation", 0.0},
                                          {"hue", 0.0}});
  const auto augmentation = make("simclr", strengths);
  const Floats whole = plain(source.image);
  const double mean = std::accumulate(whole.begin(), whole.end(), 0.0) / 64.0;
  // With brightness last, black stays a multiple of the contrast's offset; with contrast last, the
  // brightest pixel lies under 1 whenever the contrast is reduced. Both must occur.
  int clipped_before = 0;
  int clipped_after = 0;
  for (uint64_t sample = 0; sample < 300; ++sample) {
    const Floats view = view_of(*augmentation, source.image, sample);
    const auto [low, high] = std::minmax_element(view.begin(), view.end());
    const auto at_top = std::count(view.begin(), view.end(), *high);
    if (at_top > 1 && *high < 1.0F) {
      ++clipped_before;  // brightness clipped, then contrast lowered the plateau
    }
    if (at_top > 1 && *high == 1.0F && *low > 0.02F * mean) {
      ++clipped_after;  // contrast lifted black, then brightness clipped
    }
  }
  EXPECT_GT(clipped_before, 20);
  EXPECT_GT(clipped_after, 20);
}

TEST(Simclr, ColourOperationsLeaveGrayImagesAlone) {
  const TestImage source({1, 9, 9});
  const ParameterValues parameters = only({{"jitter_probability", 1.0},
                                           {"grayscale_probability", 1.0},
                                           {"brightness", 0.0},
                                           {"contrast", 0.0},
                                           {"saturation", 1.0},
                                           {"hue", 0.5}});
  EXPECT_EQ(view_of(*make("simclr", parameters), source.image), plain(source.image));
  const TestImage colour({3, 9, 9});
  EXPECT_NE(view_of(*make("simclr", parameters), colour.image), plain(colour.image));
}

TEST(Simclr, GrayscaleEqualizesTheChannels) {
  const TestImage source({3, 5, 5});
  const Floats view =
      view_of(*make("simclr", only({{"grayscale_probability", 1.0}})), source.image);
  const Floats red(view.begin(), view.begin() + 25);
  EXPECT_EQ(red, Floats(view.begin() + 25, view.begin() + 50));
  EXPECT_EQ(red, Floats(view.begin() + 50, view.end()));
}

TEST(Simclr, OneOperationsSwitchLeavesTheDrawsOfTheOthersAlone) {
  const TestImage source({3, 16, 16});
  const ParameterValues base{{"blur_probability", 0.0}, {"flip_probability", 0.0}};
  ParameterValues flipped = base;
  flipped["flip_probability"] = 1.0;
  const Floats straight = view_of(*make("simclr", base), source.image, 3);
  const Floats mirrored = view_of(*make("simclr", flipped), source.image, 3);
  for (size_t i = 0; i < straight.size(); ++i) {
    ASSERT_NEAR(straight[i], mirrored[i / 16 * 16 + 15 - i % 16], 1e-4);
  }
}

/// Which columns and rows of a 64 × 64 image a crop has kept, told by gradients.
TEST(Simclr, CropsCoverTheRangeOfAreas) {
  constexpr int64_t side = 64;
  std::vector<uint8_t> pixels(3 * side * side);
  for (int64_t i = 0; i < side * side; ++i) {
    pixels[static_cast<size_t>(3 * i)] = static_cast<uint8_t>(4 * (i % side));
    pixels[static_cast<size_t>(3 * i + 1)] = static_cast<uint8_t>(4 * (i / side));
  }
  const Image image{{3, side, side}, pixels.data(), nullptr};
  const auto augmentation = make("simclr", only({{"crop_probability", 1.0}}));
  double smallest = 1.0;
  double largest = 0.0;
  double narrowest = 10.0;
  double widest = 0.0;
  for (uint64_t sample = 0; sample < 500; ++sample) {
    const Floats view = view_of(*augmentation, image, sample);
    const auto extent = [&](size_t channel) {
      const auto* values = view.data() + channel * side * side;
      const auto [low, high] = std::minmax_element(values, values + side * side);
      return (*high - *low) * 255.0 / 4.0 + 1.0;
    };
    const double width = extent(0);
    const double height = extent(1);
    smallest = std::min(smallest, width * height / (side * side));
    largest = std::max(largest, width * height / (side * side));
    narrowest = std::min(narrowest, width / height);
    widest = std::max(widest, width / height);
  }
  // Whole pixels blur the bounds by about one in thirty.
  EXPECT_NEAR(smallest, 0.2, 0.02);
  EXPECT_NEAR(largest, 1.0, 0.02);
  EXPECT_NEAR(narrowest, 0.75, 0.05);
  EXPECT_NEAR(widest, 4.0 / 3.0, 0.08);
}

TEST(Supervised, PaddedCropMovesTheImageWithinItsFrame) {
  std::vector<uint8_t> pixels(9 * 9, 0);
  pixels[4 * 9 + 4] = 255;
  const Image image{{1, 9, 9}, pixels.data(), nullptr};
  const auto augmentation = make("supervised", unit({{"crop", "padded"}, {"padding", int64_t{2}}}));
  std::set<size_t> places;
  for (uint64_t sample = 0; sample < 400; ++sample) {
    const Floats view = view_of(*augmentation, image, sample);
    ASSERT_EQ(std::count(view.begin(), view.end(), 1.0F), 1);
    const auto place =
        static_cast<size_t>(std::find(view.begin(), view.end(), 1.0F) - view.begin());
    ASSERT_LE(std::max(place / 9, size_t{4}) - std::min(place / 9, size_t{4}), 2U);
    ASSERT_LE(std::max(place % 9, size_t{4}) - std::min(place % 9, size_t{4}), 2U);
    places.insert(place);
  }
  EXPECT_EQ(places.size(), 25U);
}

TEST(Rules, RefuseRangesUpsideDownAndEmptyLists) {
  EXPECT_EQ(library().findings("simclr", {}), std::vector<std::string>{});
  EXPECT_EQ(library().findings("supervised", {}), std::vector<std::string>{});
  const std::vector<std::string> upside_down{
      "crop_scale: the bounds [0.9, 0.3] are in the wrong order: the smaller number comes first, "
      "[0.3, 0.9]",
      "blur_sigma: the bounds [2, 1] are in the wrong order: the smaller number comes first, [1, "
      "2]"};
  EXPECT_EQ(library().findings("simclr",
                               {{"crop_scale", Reals{0.9, 0.3}}, {"blur_sigma", Reals{2.0, 1.0}}}),
            upside_down);
  EXPECT_EQ(library().findings("evaluation", {{"mean", Reals{}}}),
            std::vector<std::string>{"mean: needs at least one number"});
}

TEST(Rules, WarnOfParametersWithoutEffect) {
  EXPECT_EQ(library().findings("simclr", {{"solarize_threshold", 0.7}}),
            std::vector<std::string>{
                "warning solarize_threshold: has no effect with solarize_probability = 0"});
  EXPECT_EQ(library().findings("simclr", {{"jitter_probability", 0.0}, {"hue", 0.2}}),
            std::vector<std::string>{"warning hue: has no effect with jitter_probability = 0"});
  EXPECT_EQ(library().findings("supervised", {{"padding", int64_t{8}}}),
            std::vector<std::string>{"warning padding: has no effect with crop = \"resized\""});
}

TEST(Declarations, RefuseValuesOutOfBounds) {
  const std::vector<std::pair<std::string, Value>> wrong{
      {"flip_probability", 1.5},  {"hue", 0.6},
      {"size", int64_t{-1}},      {"crop_scale", Reals{0.0, 1.0}},
      {"crop_scale", Reals{0.5}}, {"blur_sigma", Reals{0.0, 1.0}},
      {"std", Reals{0.0}},
  };
  for (const auto& [parameter, value] : wrong) {
    EXPECT_THROW(library().values("simclr", {{parameter, value}}), std::invalid_argument)
        << parameter << " = " << to_toml(value);
  }
}

}  // namespace
}  // namespace bissl::host
