#include "bissl/augmentation.h"
#include "bissl/hash.h"
#include "sdk/plugin_library.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace bissl::host {
namespace {

using Reals = std::vector<double>;

const test::PluginLibrary& library() { return test::shared_library("image-augmentations"); }

struct Case {
  std::string name;
  std::string recipe;
  ParameterValues values;
  std::string hash;
};

/// What a recipe makes of some images of noise: 12 views of each.
std::string hash_of_views(const std::string& recipe, const ParameterValues& values) {
  const auto augmentation = library().make<Augmentation>(recipe, values);
  Hasher hasher;
  for (const ImageShape& shape :
       {ImageShape{1, 28, 28}, {3, 32, 32}, {3, 13, 40}, {1, 33, 2}, {3, 96, 72}}) {
    std::vector<uint8_t> pixels(static_cast<size_t>(shape.elements()));
    RandomStream noise(7, "test image");
    for (uint8_t& pixel : pixels) {
      pixel = static_cast<uint8_t>(noise.below(256));
    }
    std::vector<float> view(static_cast<size_t>(augmentation->view_shape(shape, 0).elements()));
    for (uint64_t sample = 0; sample < 6; ++sample) {
      for (int64_t number = 0; number < 2; ++number) {
        RandomStream stream(3, "views", 1, sample, static_cast<uint64_t>(number));
        augmentation->apply({shape, pixels.data(), nullptr}, number, stream, view);
        hasher.update(view.data(), view.size() * sizeof(float));
      }
    }
  }
  return hasher.hex();
}

class RecipeViews : public testing::TestWithParam<Case> {};

// The views that the three recipes have always made: training results that exist rest on them.
INSTANTIATE_TEST_SUITE_P(
    , RecipeViews,
    testing::Values(Case{"Simclr", "simclr", {}, "175c6b593cfb7bf319edfff0bfd714b0"},
                    Case{"SimclrOfAllParts",
                         "simclr",
                         {{"size", int64_t{24}},
                          {"crop_scale", Reals{0.08, 1.0}},
                          {"jitter_probability", 1.0},
                          {"brightness", 0.8},
                          {"contrast", 0.8},
                          {"saturation", 0.8},
                          {"hue", 0.2},
                          {"grayscale_probability", 0.3},
                          {"blur_probability", 0.7},
                          {"solarize_probability", 0.5},
                          {"solarize_threshold", 0.4},
                          {"mean", Reals{0.3}},
                          {"std", Reals{0.2}}},
                         "92972ec9e9d654fd961d3fb303e01736"},
                    Case{"SimclrWithoutCrop",
                         "simclr",
                         {{"size", int64_t{20}}, {"crop_probability", 0.0}, {"hue", 0.0}},
                         "e7e10df6bc249233e61f273c7669b408"},
                    Case{"Supervised", "supervised", {}, "4cf379b0a93dd6ee7dec5fbc4c69d606"},
                    Case{"SupervisedPadded",
                         "supervised",
                         {{"crop", "padded"}, {"padding", int64_t{3}}, {"size", int64_t{16}}},
                         "df634b38e23a49b0497dd655ab7738ce"},
                    Case{"Evaluation", "evaluation", {}, "3678c8087544628dbc863b2a9e1e0c63"},
                    Case{"EvaluationResized",
                         "evaluation",
                         {{"size", int64_t{24}}},
                         "f7844eb7a50f33d4438c6880707ebd3b"}),
    [](const auto& info) { return info.param.name; });

TEST_P(RecipeViews, AreTheSameToTheBit) {
#if !defined(__x86_64__)
  GTEST_SKIP() << "the compiler may fuse multiplications and additions here";
#endif
  EXPECT_EQ(hash_of_views(GetParam().recipe, GetParam().values), GetParam().hash);
}

}  // namespace
}  // namespace bissl::host
