#include "components.h"
#include "patches.h"
#include "projector.h"
#include "variance.h"
#include "vectors.h"

#include "bissl/plugin.h"
#include "bissl/pretext.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/stack.h>
#include <c10/core/GradMode.h>

#include <algorithm>

namespace bissl {
namespace {

struct Options {
  std::vector<int64_t> projector = {8192, 8192, 8192};
  std::vector<int64_t> local_projector = {512, 512, 512};
  double global_weight = 0.75;
  int64_t pairs = 20;
  VarianceWeights weights{};
};

Schema<Options> schema() {
  Schema<Options> schema;
  add_projector(schema, &Options::projector);
  add_widths(schema, "local_projector", &Options::local_projector,
             "widths of the layers of the projector of single places; batch normalisation and ReLU "
             "follow all but the last");
  schema
      .add("global_weight", &Options::global_weight,
           "share α of the loss of whole views; that of their places has the rest")
      .at_least(0)
      .less_than(1);
  schema
      .add("pairs", &Options::pairs,
           "how many of the places of a view, those that lie nearest to one of the other view, are "
           "compared; the paper has 20 of 49. More than a map has places are all of them")
      .at_least(1)
      .unit("places");
  schema.embed(&Options::weights, variance_schema());
  return schema;
}

/// (N, P, D) and (N, Q, D) → (N, P, Q), without a tensor of all differences.
at::Tensor squared_distances(const at::Tensor& rows, const at::Tensor& others) {
  return rows.square().sum(2).unsqueeze(2) + others.square().sum(2).unsqueeze(1) -
         2.0 * rows.matmul(others.transpose(1, 2));
}

/// VICReg of the means of the coarsest maps, and of pairs of their places: those that lie nearest
/// to each other in the image, and those whose embeddings are nearest to each other.
class VicRegL : public Pretext {
 public:
  VicRegL(const Options& options, const PretextContext& context) : options_(options) {
    const int64_t channels = context.require<FeatureMaps>().map_levels().back().channels;
    projector_ = make_projector(channels, options.projector);
    local_ = make_projector(channels, options.local_projector);
    module_->register_module("projector", projector_);
    module_->register_module("local_projector", local_);
  }

  int64_t views() const override { return 2; }
  BatchCoupling coupling() const override { return BatchCoupling::batch_statistics; }
  bool reads_geometry() const override { return true; }

  at::Tensor loss(Backbone& backbone, const Batch& batch) override {
    require_two_samples(batch.views[0], "vicregl takes variances over the samples of a batch");
    const Places first = places(backbone, batch, 0);
    const Places second = places(backbone, batch, 1);
    const at::Tensor whole = variance_loss(first.whole, second.whole, options_.weights);
    const at::Tensor local =
        matched(first, second, &Places::positions) + matched(second, first, &Places::positions) +
        matched(first, second, &Places::embeddings) + matched(second, first, &Places::embeddings);
    return options_.global_weight * whole + (1.0 - options_.global_weight) * local / 2.0;
  }

  torch::nn::Module& module() override { return *module_; }

 private:
  /// Of one view: P places.
  struct Places {
    at::Tensor whole;       ///< (N, D), of the view
    at::Tensor embeddings;  ///< (N, P, D), of each place
    at::Tensor positions;   ///< (N, P, 2): x and y in the image, in pixels
  };

  Places places(Backbone& backbone, const Batch& batch, size_t view) {
    const at::Tensor& images = batch.views[view];
    const at::Tensor map = bissl::capability<FeatureMaps>(backbone)->maps(images).back();
    const at::Tensor rows = map.flatten(2).transpose(1, 2);  // (N, P, C)
    const at::Tensor embedded = local_->forward(rows.reshape({-1, rows.size(2)}));
    const auto centres = [&](int64_t count, int64_t pixels) {
      return (at::arange(count, batch.geometry[view].options()) + 0.5) *
             (double(pixels) / double(count));
    };
    const int64_t height = map.size(2);
    const int64_t width = map.size(3);
    const at::Tensor x = centres(width, images.size(3)).repeat({height});
    const at::Tensor y = centres(height, images.size(2)).repeat_interleave(width);
    const at::Tensor positions = batch.geometry[view].matmul(at::stack({x, y, at::ones_like(x)}));
    return {.whole = projector_->forward(map.mean({2, 3})),
            .embeddings = embedded.view({rows.size(0), rows.size(1), -1}),
            .positions = positions.transpose(1, 2)};
  }

  /// VICReg of the `pairs` nearest pairs of a place in `from` and its nearest place in `to`, by the
  /// distance of these vectors: equations 2 and 3. Pairs are ranked in each sample, and the loss of
  /// each rank is over the samples; the mean over ranks.
  at::Tensor matched(const Places& from, const Places& to, at::Tensor Places::*by) const {
    const int64_t count = std::min(options_.pairs, from.positions.size(1));
    at::Tensor own;
    at::Tensor others;
    {
      const c10::NoGradGuard no_grad;
      const at::Tensor distances = squared_distances(from.*by, to.*by);
      const auto [nearest, place] = distances.min(2);
      own = nearest.argsort(/*stable=*/true, 1).narrow(1, 0, count);
      others = place.gather(1, own);
    }
    const at::Tensor first = rows_at(from.embeddings, own);
    const at::Tensor second = rows_at(to.embeddings, others);
    at::Tensor sum = variance_loss(first.select(1, 0), second.select(1, 0), options_.weights);
    for (int64_t rank = 1; rank < count; ++rank) {
      sum = sum + variance_loss(first.select(1, rank), second.select(1, rank), options_.weights);
    }
    return sum / double(count);
  }

  Options options_;
  std::shared_ptr<torch::nn::Module> module_ = std::make_shared<torch::nn::Module>();
  torch::nn::Sequential projector_{nullptr};
  torch::nn::Sequential local_{nullptr};
};

}  // namespace

void add_vicregl(Registrar& registrar) {
  registrar.add<Pretext, VicRegL>(
      {.name = "vicregl",
       .summary = "vicreg of whole views and of their places, matched by position and by features",
       .source = "Bardes, Ponce and LeCun 2022, arXiv 2210.01571, section 3"},
      schema());
}

}  // namespace bissl
