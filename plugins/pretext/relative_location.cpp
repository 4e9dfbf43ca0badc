#include "components.h"
#include "on_device.h"
#include "projector.h"
#include "tiles.h"
#include "vectors.h"

#include "bissl/error.h"
#include "bissl/plugin.h"
#include "bissl/pretext.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randint.h>

#include <algorithm>
#include <cmath>

namespace bissl {
namespace {

/// Patches lie on a grid of 3 by 3; the one in the middle is the first of each pair.
constexpr int64_t side = 3;
constexpr int64_t middle = 4;
constexpr int64_t neighbours = 8;

struct Options {
  double gap = 0.5;
  double jitter = 0.073;
  std::vector<int64_t> hidden = {512};
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema
      .add(
          "gap", &Options::gap,
          "room between neighbouring patches, as a share of a patch's side: without it, lines that "
          "cross the border give the answer away")
      .at_least(0)
      .at_most(2);
  schema
      .add(
          "jitter", &Options::jitter,
          "how far patches are moved at random, up, down and to the sides, as a share of a patch's "
          "side")
      .at_least(0)
      .at_most(1);
  add_hidden(schema, "hidden", &Options::hidden,
             "widths of hidden layers, with batch normalisation and ReLU, between the features of "
             "both patches and the classifier of places");
  schema.rule([](const Options& options, std::vector<Finding>& findings) {
    if (options.jitter > 0 && 2 * options.jitter > options.gap) {
      findings.push_back({Finding::Severity::warning, "jitter",
                          "is more than half of gap: moved patches can overlap"});
    }
  });
  return schema;
}

class RelativeLocation : public Pretext {
 public:
  RelativeLocation(const Options& options, const PretextContext& context)
      : options_(options),
        head_(make_projector(2 * context.features, followed_by(options.hidden, neighbours),
                             {.last_bias = true})) {
    for (const ImageShape& shape : context.views) {
      geometry(shape.height, shape.width);  // refuses what is too small
    }
  }

  int64_t views() const override { return 1; }
  BatchCoupling coupling() const override { return BatchCoupling::separable; }

  at::Tensor loss(Backbone& backbone, const Batch& batch) override {
    const at::Tensor& view = batch.views[0];
    if (!options_.hidden.empty()) {
      require_two_samples(
          view, "relative-location's hidden layers normalise over the samples of a batch");
    }
    const int64_t samples = view.size(0);
    const Geometry grid = geometry(view.size(2), view.size(3));
    const at::Tensor places = at::randint(0, neighbours, {samples}, at::kLong);
    const at::Tensor around = places + places.ge(middle).to(at::kLong);  // the middle is left out
    const at::Tensor first = cut(view, grid, at::full({samples}, middle, at::kLong));
    const at::Tensor second = cut(view, grid, around);
    const auto features = backbone.forward(at::cat({first, second})).chunk(2);
    const at::Tensor logits = head_->forward(at::cat({features[0], features[1]}, 1));
    return at::cross_entropy_loss(logits, on_device_of(logits, places));
  }

  torch::nn::Module& module() override { return *head_; }

 private:
  struct Geometry {
    int64_t patch;   ///< height and width
    int64_t jitter;  ///< most pixels that a patch is moved by
    double down;     ///< from the top of a patch to that of the next below it
    double across;   ///< the same from left to right
  };

  Geometry geometry(int64_t height, int64_t width) const {
    const auto least = double(std::min(height, width));
    const double share = double(side) + double(side - 1) * options_.gap;
    const auto patch = int64_t(least / (share + 2 * options_.jitter));
    if (patch < 1) {
      fail_input(
          "relative-location cuts {} patches side by side with gap = {} and jitter = {}, for which "
          "a view of {}x{} is too small",
          side, options_.gap, options_.jitter, height, width);
    }
    const auto jitter = int64_t(std::floor(options_.jitter * double(patch)));
    const auto pitch = [&](int64_t size) {
      return double(size - patch - 2 * jitter) / double(side - 1);
    };
    return {patch, jitter, pitch(height), pitch(width)};
  }

  /// The patches at these places of the grid, counted row by row, moved at random.
  static at::Tensor cut(const at::Tensor& images, const Geometry& grid, const at::Tensor& places) {
    const auto corner = [&](const at::Tensor& steps, double pitch) {
      const at::Tensor fixed = (steps.to(at::kDouble) * pitch).floor().to(at::kLong);
      return fixed + at::randint(0, 2 * grid.jitter + 1, {places.size(0)}, at::kLong);
    };
    const at::Tensor column = places.remainder(side);
    const at::Tensor row = (places - column).floor_divide(side);
    const at::Tensor top = corner(row, grid.down);  // drawn in this order
    const at::Tensor left = corner(column, grid.across);
    return tiles_at(images, top, left, grid.patch, grid.patch);
  }

  Options options_;
  torch::nn::Sequential head_;
};

}  // namespace

void add_relative_location(Registrar& registrar) {
  registrar.add<Pretext, RelativeLocation>(
      {.name = "relative-location",
       .summary = "tells on which of eight sides of a patch another one lies",
       .source = "Doersch, Gupta and Efros 2015, arXiv 1505.05192, sections 3 and 3.1"},
      schema());
}

}  // namespace bissl
