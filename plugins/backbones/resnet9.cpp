#include "map_network.h"
#include "networks.h"
#include "recompute.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/max_pool2d.h>

namespace bissl {
namespace {

struct ResNet9Options {
  int64_t width = 64;
  bool recompute = false;
};

Schema<ResNet9Options> resnet9_schema() {
  Schema<ResNet9Options> schema;
  schema
      .add("width", &ResNet9Options::width,
           "channels of the first layer; 2, 4 and 8 times as many in the others")
      .at_least(1)
      .at_most(1024)
      .unit("channels");
  add_recompute(schema, &ResNet9Options::recompute);
  return schema;
}

using Layer = std::shared_ptr<NormedConvolution>;

/// A layer that halves the image, and the residual block behind it. It has its layers under numbers
/// of its own, besides those of the network.
class ResNet9Stage final : public Numbered {
 public:
  ResNet9Stage(const Layer& first, const std::vector<Layer>& residual)
      : first_(add(first)), residual_(residual) {
    for (const Layer& layer : residual_) {
      add(layer);
    }
  }

  at::Tensor forward(const at::Tensor& images) {
    const at::Tensor x = at::max_pool2d(first_->forward_relu(images), {2, 2}, {2, 2});
    at::Tensor y = x;
    for (const Layer& layer : residual_) {
      y = layer->forward_relu(y);
    }
    return residual_.empty() ? x : x + y;
  }

 private:
  Layer first_;
  std::vector<Layer> residual_;
};

/// Page 2018, "How to train your ResNet", part 4: a first layer and three that halve the image, two
/// of them with a residual block of two convolutions behind. The features are each channel's
/// largest value.
class ResNet9Module final : public MapModule {
 public:
  ResNet9Module(const ResNet9Options& options, const ImageShape& input)
      : recompute_(options.recompute) {
    require_size(input, 8, "resnet9, which halves height and width three times,");
    prep_ = layer("prep", input.channels, options.width);
    for (int64_t i = 1; i <= 3; ++i) {
      const int64_t width = options.width << i;
      const std::string name = "layer" + std::to_string(i);
      const Layer first = layer(name, width / 2, width);
      std::vector<Layer> residual;
      if (i != 2) {
        residual = {layer(name + "_residual1", width, width),
                    layer(name + "_residual2", width, width)};
      }
      stages_.push_back(std::make_shared<ResNet9Stage>(first, residual));
      levels_.push_back({.channels = width, .stride = int64_t{1} << i});
    }
    start_for_relu(*this);
  }

  TensorList maps(const at::Tensor& images) override {
    TensorList maps;
    at::Tensor x = prep_->forward_relu(images);
    for (const auto& stage : stages_) {
      x = through_block(stage, x, recompute_);
      maps.push_back(x);
    }
    return maps;
  }

  at::Tensor forward(const at::Tensor& images) override { return maps(images).back().amax({2, 3}); }

 private:
  Layer layer(const std::string& name, int64_t in, int64_t out) {
    return register_module(name, std::make_shared<NormedConvolution>(in, out, 3, 1, 1));
  }

  bool recompute_;
  Layer prep_;
  std::vector<std::shared_ptr<ResNet9Stage>> stages_;
};

}  // namespace

void add_resnet9(Registrar& registrar) {
  add_map_backbone<ResNet9Module>(
      registrar,
      {.name = "resnet9",
       .summary = "residual network of nine layers for images of about 32 pixels; names of its own",
       .source = "Page 2018, How to train your ResNet, part 4"},
      resnet9_schema());
}

}  // namespace bissl
