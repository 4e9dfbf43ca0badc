#include "components.h"
#include "on_device.h"
#include "permutations.h"
#include "projector.h"
#include "tiles.h"
#include "vectors.h"

#include "bissl/error.h"
#include "bissl/plugin.h"
#include "bissl/pretext.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/randint.h>

#include <algorithm>
#include <cmath>

namespace bissl {
namespace {

struct Options {
  int64_t grid = 3;
  int64_t permutations = 100;
  double tile = 0.853;
  std::vector<int64_t> hidden = {512};
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema.add("grid", &Options::grid, "tiles in each row and in each column").at_least(2).at_most(3);
  schema
      .add("permutations", &Options::permutations,
           "orders of the tiles, which are the classes; chosen far apart")
      .at_least(2)
      .at_most(1000);
  schema
      .add("tile", &Options::tile,
           "side of a tile as a share of its cell of the grid, in which it lies at random; the "
           "paper has 64 of 75 pixels")
      .more_than(0)
      .at_most(1);
  add_hidden(schema, "hidden", &Options::hidden,
             "widths of hidden layers, with batch normalisation and ReLU, between the features of "
             "all tiles and the classifier of orders");
  schema.rule([](const Options& options, std::vector<Finding>& findings) {
    constexpr int64_t of_four = 24;
    if (options.grid == 2 && options.permutations > of_four) {
      findings.push_back(
          {Finding::Severity::error, "permutations",
           fmt::format("= {}, but the 4 tiles of grid = 2 have 24 orders", options.permutations)});
    }
  });
  return schema;
}

class Jigsaw : public Pretext {
 public:
  Jigsaw(const Options& options, const PretextContext& context)
      : options_(options),
        tiles_(options.grid * options.grid),
        head_(module_->register_module(
            "head", make_projector(tiles_ * context.features,
                                   followed_by(options.hidden, options.permutations),
                                   {.last_bias = true}))),
        orders_(module_->register_buffer("orders",
                                         at::empty({options.permutations, tiles_}, at::kLong))) {
    for (const ImageShape& shape : context.views) {
      tile_side(shape.height, shape.width);  // refuses what is too small
    }
    const auto orders = distant_permutations(tiles_, options.permutations);
    for (int64_t i = 0; i < options.permutations; ++i) {
      std::copy(orders[size_t(i)].begin(), orders[size_t(i)].end(),
                orders_.data_ptr<int64_t>() + i * tiles_);
    }
  }

  int64_t views() const override { return 1; }
  BatchCoupling coupling() const override { return BatchCoupling::separable; }

  at::Tensor loss(Backbone& backbone, const Batch& batch) override {
    const at::Tensor& view = batch.views[0];
    if (!options_.hidden.empty()) {
      require_two_samples(view, "jigsaw's hidden layers normalise over the samples of a batch");
    }
    const int64_t samples = view.size(0);
    const at::Tensor chosen =
        on_device_of(view, at::randint(0, options_.permutations, {samples}, at::kLong));
    const at::Tensor order = orders_.index_select(0, chosen);
    TensorList cut;
    for (int64_t place = 0; place < tiles_; ++place) {
      cut.push_back(normalised(this->cut(view, order.select(1, place))));
    }
    const at::Tensor features = backbone.forward(at::cat(cut));
    const at::Tensor logits = head_->forward(at::cat(features.chunk(tiles_), 1));
    return at::cross_entropy_loss(logits, chosen);
  }

  torch::nn::Module& module() override { return *module_; }

 private:
  int64_t tile_side(int64_t height, int64_t width) const {
    const auto side =
        int64_t(std::floor(options_.tile * double(std::min(height, width) / options_.grid) + 1e-9));
    if (side < 1) {
      fail_input("jigsaw cuts {0} by {0} tiles, for which a view of {1}x{2} is too small",
                 options_.grid, height, width);
    }
    return side;
  }

  /// The tiles of these cells, counted row by row, (N), each at a random place of its cell.
  at::Tensor cut(const at::Tensor& images, const at::Tensor& cells) const {
    const int64_t side = tile_side(images.size(2), images.size(3));
    const auto corner = [&](const at::Tensor& steps, int64_t size) {
      const int64_t cell = size / options_.grid;
      const at::Tensor moved = at::randint(0, cell - side + 1, {cells.size(0)}, at::kLong);
      return steps * cell + on_device_of(steps, moved);
    };
    const at::Tensor column = cells.remainder(options_.grid);
    const at::Tensor row = (cells - column).floor_divide(options_.grid);
    const at::Tensor top = corner(row, images.size(2));  // drawn in this order
    const at::Tensor left = corner(column, images.size(3));
    return tiles_at(images, top, left, side, side);
  }

  /// Mean 0 and deviation 1 in each tile, so that brightness does not give its place away (section
  /// 3.3). A constant tile stays constant.
  static at::Tensor normalised(const at::Tensor& tiles) {
    constexpr double epsilon = 1e-5;
    const at::Tensor centred = tiles - tiles.mean({1, 2, 3}, /*keepdim=*/true);
    return centred / (centred.square().mean({1, 2, 3}, /*keepdim=*/true) + epsilon).sqrt();
  }

  Options options_;
  int64_t tiles_;
  std::shared_ptr<torch::nn::Module> module_ = std::make_shared<torch::nn::Module>();
  torch::nn::Sequential head_;
  at::Tensor orders_;  ///< (permutations, tiles): which cell lies at which place
};

}  // namespace

void add_jigsaw(Registrar& registrar) {
  registrar.add<Pretext, Jigsaw>(
      {.name = "jigsaw",
       .summary = "tells in which order the tiles of an image were laid",
       .source = "Noroozi and Favaro 2016, arXiv 1603.09246, sections 3.1 to 3.3"},
      schema());
}

}  // namespace bissl
