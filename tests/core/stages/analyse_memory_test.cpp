// What figures and planes are said to take, against the tensors that they make.

#include "analysis/embedding.h"
#include "analysis/working_memory.h"
#include "reference/golden.h"
#include "stages/step_memory.h"

#include <ATen/ops/arange.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace bissl::host::test {
namespace {

/// More samples than numbers, and fewer; both make matrices of some megabytes.
constexpr AnalysedSize tall{.samples = 900, .width = 160, .classes = 5, .views = 3};
constexpr AnalysedSize wide{.samples = 200, .width = 500, .classes = 5, .views = 3};

struct Inputs {
  at::Tensor features;
  at::Tensor other;
  at::Tensor labels;
  at::Tensor views;

  explicit Inputs(const AnalysedSize& size)
      : features(pattern(1, {size.samples, size.width}).to(at::kFloat)),
        other(pattern(2, {size.samples, size.width}).to(at::kFloat)),
        labels(at::arange(size.samples, at::kLong).remainder(size.classes)),
        views(pattern(3, {size.samples, size.views * size.width})
                  .view({size.samples, size.views, size.width})
                  .to(at::kFloat)) {}

  Measured compute(const FigureInfo& figure) const {
    switch (figure.input) {
      case FigureInput::features:
        return figure.of_one(features);
      case FigureInput::classes:
        return figure.of_two(features, labels);
      case FigureInput::views:
        return figure.of_one(views);
      case FigureInput::networks:
        return figure.of_two(features, other);
    }
    return Measured::none("an input that the test does not know");
  }
};

/// Small ones beside: means, labels, the like.
constexpr double little = 3e5;

void expect_near(double said, double taken, const std::string& what) {
  EXPECT_LE(taken, 1.15 * said + little) << what;
  EXPECT_GE(taken + little, 0.7 * said) << what;
}

TEST(AnalyseMemory, OfEachFigureIsWhatItsTensorsTake) {
  for (const AnalysedSize& size : {tall, wide}) {
    const Inputs inputs(size);
    for (const FigureInfo& figure : figures()) {
      const double taken = peak_bytes([&] { inputs.compute(figure); });
      expect_near(figure_bytes(figure, size), taken,
                  std::string(figure.name) + (size.samples > size.width ? ", tall" : ", wide"));
    }
  }
}

TEST(AnalyseMemory, OfPlanesIsWhatTheirTensorsTake) {
  for (const AnalysedSize& size : {tall, wide}) {
    const Inputs inputs(size);
    const std::string what = size.samples > size.width ? "tall" : "wide";
    Components found;
    const double taken = peak_bytes([&] { found = principal_components(inputs.features, 2); });
    expect_near(components_bytes(size), taken, "components, " + what);
    expect_near(trustworthiness_bytes(size),
                peak_bytes([&] { trustworthiness(inputs.features, found.points, 10); }),
                "trustworthiness, " + what);
    // Their lists of neighbours are no tensors.
    EXPECT_GE(tsne_bytes(size, 91) + little,
              peak_bytes([&] { tsne(inputs.features, {.iterations = 2}); }))
        << what;
    EXPECT_GE(umap_bytes(size, 15) + little,
              peak_bytes([&] { umap(inputs.features, {.epochs = 2}); }))
        << what;
  }
}

}  // namespace
}  // namespace bissl::host::test
