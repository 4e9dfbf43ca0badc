#include "components.h"
#include "on_device.h"
#include "patches.h"

#include "bissl/error.h"
#include "bissl/modules.h"
#include "bissl/plugin.h"
#include "bissl/pretext.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/randint.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/container/sequential.h>

#include <algorithm>
#include <cmath>

namespace bissl {
namespace {

struct Options {
  double hole = 0.25;
  int64_t width = 64;
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema
      .add("hole", &Options::hole,
           "share of a view that is cut out of it, a part of the view's form at a random place")
      .more_than(0)
      .less_than(1);
  schema
      .add("width", &Options::width,
           "channels of the decoder behind its first doubling; each further one has half as many")
      .at_least(1)
      .unit("channels");
  return schema;
}

/// Doubles a map's height and width by repeating its values.
at::Tensor enlarged(const at::Tensor& map, int64_t factor) {
  return map.reshape({map.size(0), map.size(1), map.size(2), 1, map.size(3), 1})
      .expand({-1, -1, -1, factor, -1, factor})
      .reshape({map.size(0), map.size(1), map.size(2) * factor, map.size(3) * factor});
}

/// A convolutional autoencoder: the decoder enlarges the coarsest map, step by step, to the pixels.
class Inpainting : public Pretext {
 public:
  Inpainting(const Options& options, const PretextContext& context) : options_(options) {
    const FeatureMaps::Level level = context.require<FeatureMaps>().map_levels().back();
    int64_t channels = level.channels;
    int64_t next = options.width;
    for (int64_t stride = level.stride; stride > 1; stride /= factors_.back()) {
      factors_.push_back(stride % 2 == 0 ? 2 : stride);
      const auto layers =
          module_->register_module("up" + std::to_string(factors_.size()), torch::nn::Sequential());
      layers->push_back(Conv2d(torch::nn::Conv2dOptions(channels, next, 3).padding(1).bias(false)));
      layers->push_back(BatchNorm(next));
      layers->push_back(torch::nn::ReLU());
      layers_.push_back(layers);
      channels = next;
      next = std::max<int64_t>(1, next / 2);
    }
    const int64_t colours = context.views.at(0).channels;
    pixels_ = module_->register_module(
        "pixels", Conv2d(torch::nn::Conv2dOptions(channels, colours, 3).padding(1)));
    for (const ImageShape& view : context.views) {
      side(view.height);
      side(view.width);
    }
  }

  int64_t views() const override { return 1; }
  BatchCoupling coupling() const override { return BatchCoupling::separable; }

  /// Equation 1, over the pixels of the hole.
  at::Tensor loss(Backbone& backbone, const Batch& batch) override {
    const at::Tensor& view = batch.views[0];
    const at::Tensor hole = draw(view).to(view.dtype());
    const at::Tensor told = decoded(backbone, view * (1.0 - hole));
    if (told.size(2) < view.size(2) || told.size(3) < view.size(3)) {
      fail_run("inpainting: the decoder's {}x{} pixels do not reach over a view of {}x{}",
               told.size(2), told.size(3), view.size(2), view.size(3));
    }
    const at::Tensor error = told.narrow(2, 0, view.size(2)).narrow(3, 0, view.size(3)) - view;
    return (error.square() * hole).sum() / (hole.sum() * double(view.size(1)));
  }

  torch::nn::Module& module() override { return *module_; }

 private:
  /// Of the hole, for a view's height or width.
  int64_t side(int64_t of_view) const {
    const auto pixels = int64_t(std::llround(std::sqrt(options_.hole) * double(of_view)));
    if (pixels < 1 || pixels >= of_view) {
      fail_input(
          "hole = {} of a view of {} pixels is {} of them. Take larger views or another hole",
          options_.hole, of_view, pixels < 1 ? "none" : "all");
    }
    return pixels;
  }

  /// (N, 1, H, W), true in the hole.
  at::Tensor draw(const at::Tensor& view) const {
    const auto within = [&](int64_t of_view) {  // (N, of_view)
      const int64_t pixels = side(of_view);
      const at::Tensor first = at::randint(0, of_view - pixels + 1, {view.size(0), 1}, at::kLong);
      const at::Tensor places = at::arange(of_view, at::kLong).unsqueeze(0);
      return places.ge(first).logical_and(places.lt(first + pixels));
    };
    const at::Tensor rows = within(view.size(2));  // drawn in this order
    const at::Tensor columns = within(view.size(3));
    return on_device_of(view, rows.unsqueeze(2).logical_and(columns.unsqueeze(1)).unsqueeze(1));
  }

  at::Tensor decoded(Backbone& backbone, const at::Tensor& seen) {
    at::Tensor map = bissl::capability<FeatureMaps>(backbone)->maps(seen).back();
    for (size_t i = 0; i < layers_.size(); ++i) {
      map = layers_[i]->forward(enlarged(map, factors_[i]));
    }
    return pixels_(map);
  }

  Options options_;
  std::shared_ptr<torch::nn::Module> module_ = std::make_shared<torch::nn::Module>();
  std::vector<int64_t> factors_;
  std::vector<torch::nn::Sequential> layers_;
  Conv2d pixels_{nullptr};
};

}  // namespace

void add_inpainting(Registrar& registrar) {
  registrar.add<Pretext, Inpainting>(
      {.name = "inpainting",
       .summary = "fills a hole in each image by a small convolutional decoder",
       .source = "Pathak et al. 2016, arXiv 1604.07379, equation 1, without the adversary"},
      schema());
}

}  // namespace bissl
