#include "bissl/transform.h"

#include "bissl/augmentation.h"
#include "bissl/error.h"
#include "sdk/plugin_library.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace bissl::host {
namespace {

using Reals = std::vector<double>;
using Floats = std::vector<float>;
using Form = Transform::Form;

const test::PluginLibrary& library() { return test::shared_library("image-augmentations"); }

std::shared_ptr<Transform> make(const std::string& name, const ParameterValues& changes = {}) {
  return library().make<Transform>(name, changes);
}

RandomStream stream_of(uint64_t sample) { return {3, "transforms", 0, sample}; }

struct Pixels {
  std::vector<uint8_t> values;
  Image image;

  explicit Pixels(const ImageShape& shape) : values(static_cast<size_t>(shape.elements())) {
    RandomStream stream(7, "test image");
    for (uint8_t& pixel : values) {
      pixel = static_cast<uint8_t>(stream.below(256));
    }
    image = {shape, values.data(), nullptr};
  }
};

struct Result {
  ImageShape shape;
  Floats values;
  ViewGeometry geometry;

  float at(int64_t channel, int64_t y, int64_t x) const {
    return values[static_cast<size_t>((channel * shape.height + y) * shape.width + x)];
  }
};

Result made_of(const Transform& transform, const Image& image, uint64_t sample = 0) {
  Result result;
  result.shape = transform.output_shape(image.shape);
  result.values.resize(static_cast<size_t>(result.shape.elements()));
  RandomStream stream = stream_of(sample);
  result.geometry = transform.apply({.pixels = image, .planes = {}}, stream,
                                    {{}, {result.shape, result.values.data()}});
  return result;
}

/// Of planes, in place or not, as the form has it.
Result made_of(const Transform& transform, Result input, uint64_t sample = 0) {
  const Planes given{input.shape, input.values.data()};
  RandomStream stream = stream_of(sample);
  if (transform.form() == Form::planes_in_place) {
    EXPECT_EQ(transform.output_shape(input.shape), input.shape);
    input.geometry = transform.apply({.pixels = {}, .planes = given}, stream, {{}, given});
    return input;
  }
  Result result;
  result.shape = transform.output_shape(input.shape);
  result.values.resize(static_cast<size_t>(result.shape.elements()));
  result.geometry = transform.apply({.pixels = {}, .planes = given}, stream,
                                    {{}, {result.shape, result.values.data()}});
  return result;
}

Result planes(const ImageShape& shape) { return made_of(*make("to-planes"), Pixels(shape).image); }

std::string refusal(const Transform& transform, const ImageShape& shape) {
  try {
    transform.output_shape(shape);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    return error.what();
  }
  return "no error";
}

TEST(Transforms, SayWhatTheyTakeAndGive) {
  for (const char* name : {"resized-crop", "to-planes"}) {
    EXPECT_EQ(make(name)->form(), Form::pixels_to_planes) << name;
  }
  EXPECT_EQ(make("resize", {{"size", int64_t{4}}})->form(), Form::pixels_to_planes);
  EXPECT_EQ(make("center-crop", {{"size", int64_t{4}}})->form(), Form::planes);
  for (const char* name :
       {"flip", "padded-crop", "color-jitter", "grayscale", "blur", "solarize", "normalize"}) {
    EXPECT_EQ(make(name)->form(), Form::planes_in_place) << name;
  }
  EXPECT_EQ(taken_by(Form::pixels_to_planes), "pixels");
  EXPECT_EQ(given_by(Form::pixels_to_planes), "float planes");
}

TEST(Transforms, ShapesAreTorchvisions) {
  // torchvision: Resize(8) makes 8x12 of 20x31 (8·31/20 = 12.4, cut).
  EXPECT_EQ(make("resize", {{"size", int64_t{8}}})->output_shape({3, 20, 31}),
            (ImageShape{3, 8, 12}));
  EXPECT_EQ(make("resize", {{"size", int64_t{8}}})->output_shape({1, 31, 20}),
            (ImageShape{1, 12, 8}));
  EXPECT_EQ(
      make("resize", {{"size", int64_t{8}}, {"keep_ratio", false}})->output_shape({1, 31, 20}),
      (ImageShape{1, 8, 8}));
  EXPECT_EQ(make("resized-crop")->output_shape({1, 31, 20}), (ImageShape{1, 31, 20}));
  EXPECT_EQ(make("resized-crop", {{"size", int64_t{9}}})->output_shape({1, 31, 20}),
            (ImageShape{1, 9, 9}));
}

TEST(Transforms, RefuseWhatTheyCannotHandle) {
  EXPECT_EQ(refusal(*make("center-crop", {{"size", int64_t{9}}}), {3, 12, 8}),
            "size = 9 does not fit into 12x8 pixels (height, width)");
  EXPECT_EQ(refusal(*make("resized-crop"), {1, 0, 4}),
            "an image is 0 pixels high and 4 wide; expected at least 1 each");
  EXPECT_EQ(refusal(*make("normalize", {{"mean", Reals{0.1, 0.2, 0.3}}}), {1, 4, 4}),
            "`mean` has 3 elements, a view has 1 channels; give 1 element, or one for each "
            "channel");
  EXPECT_EQ(refusal(*make("color-jitter"), {4, 4, 4}),
            "a view has 4 channels; expected 1 (gray) or 3 (red, green, blue)");
}

TEST(Transforms, AreMadeWithTheirProbability) {
  const Result before = planes({3, 12, 10});
  for (const char* name : {"flip", "color-jitter", "grayscale", "blur", "solarize"}) {
    int changed = 0;
    for (uint64_t sample = 0; sample < 200; ++sample) {
      changed +=
          made_of(*make(name, {{"probability", 0.3}}), before, sample).values != before.values ? 1
                                                                                               : 0;
    }
    EXPECT_GT(changed, 35) << name;
    EXPECT_LT(changed, 90) << name;
    EXPECT_EQ(made_of(*make(name, {{"probability", 0.0}}), before).values, before.values) << name;
  }
}

TEST(Transforms, TellWhereTheyMoveWhat) {
  const Result before = planes({1, 7, 9});
  const Result flipped_once = made_of(*make("flip", {{"probability", 1.0}}), before);
  EXPECT_EQ(flipped_once.geometry, flipped(9));
  EXPECT_EQ(flipped_once.at(0, 2, 0), before.at(0, 2, 8));
  const Result middle = made_of(*make("center-crop", {{"size", int64_t{4}}}), before);
  // (7 − 4) / 2 and (9 − 4) / 2, halves to the even neighbour: row 2, column 2.
  EXPECT_EQ(middle.geometry, (ViewGeometry{.x0 = 2, .y0 = 2}));
  EXPECT_EQ(middle.at(0, 0, 0), before.at(0, 2, 2));
  EXPECT_EQ(middle.at(0, 3, 3), before.at(0, 5, 5));
  bool moved = false;
  for (uint64_t sample = 0; sample < 8; ++sample) {
    const Result padded = made_of(*make("padded-crop", {{"padding", int64_t{2}}}), before, sample);
    const auto x0 = static_cast<int64_t>(padded.geometry.x0);
    const auto y0 = static_cast<int64_t>(padded.geometry.y0);
    moved = moved || x0 != 0 || y0 != 0;
    EXPECT_EQ(padded.at(0, 3, 4), before.at(0, 3 + y0, 4 + x0));
  }
  EXPECT_TRUE(moved);
}

TEST(Transforms, ResizeAndCenterCropAreTheRecipeOfEvaluation) {
  const Pixels source({3, 24, 31});
  const auto recipe = library().make<Augmentation>(
      "evaluation", {{"size", int64_t{10}}, {"mean", Reals{0.0}}, {"std", Reals{1.0}}});
  Floats expected(static_cast<size_t>(recipe->view_shape(source.image.shape, 0).elements()));
  RandomStream stream = stream_of(0);
  const ViewGeometry geometry = recipe->apply(source.image, 0, stream, expected);
  const Result resized = made_of(*make("resize", {{"size", int64_t{10}}}), source.image);
  const Result made = made_of(*make("center-crop", {{"size", int64_t{10}}}), resized);
  ASSERT_EQ(made.values.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_NEAR(made.values[i], expected[i], 1e-6) << i;
  }
  const ViewGeometry whole = resized.geometry * made.geometry;
  EXPECT_NEAR(whole(0, 0)[0], geometry(0, 0)[0], 1e-9);
  EXPECT_NEAR(whole(10, 10)[1], geometry(10, 10)[1], 1e-9);
}

TEST(Transforms, CheckTheirParameters) {
  EXPECT_EQ(library().findings("blur", {{"kernel_size", int64_t{4}}}),
            (std::vector<std::string>{
                "kernel_size: is even; a kernel has a middle, so give an odd number"}));
  EXPECT_EQ(library().findings("resized-crop", {{"scale", Reals{0.9, 0.1}}}).size(), 1U);
  EXPECT_EQ(library().findings("solarize", {{"probability", 0.0}, {"threshold", 0.2}}).size(), 1U);
}

}  // namespace
}  // namespace bissl::host
