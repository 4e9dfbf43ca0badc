#include "map_network.h"
#include "networks.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/max_pool2d.h>

namespace bissl {
namespace {

struct ResNet9Options {
  int64_t width = 64;
};

Schema<ResNet9Options> resnet9_schema() {
  Schema<ResNet9Options> schema;
  schema
      .add("width", &ResNet9Options::width,
           "channels of the first layer; 2, 4 and 8 times as many in the others")
      .at_least(1)
      .at_most(1024)
      .unit("channels");
  return schema;
}

/// Page 2018, "How to train your ResNet", part 4: a first layer and three that halve the image, two
/// of them with a residual block of two convolutions behind. The features are each channel's
/// largest value.
class ResNet9Module final : public MapModule {
 public:
  ResNet9Module(const ResNet9Options& options, const ImageShape& input) {
    require_size(input, 8, "resnet9, which halves height and width three times,");
    prep_ = layer("prep", input.channels, options.width);
    for (int64_t i = 1; i <= 3; ++i) {
      const int64_t width = options.width << i;
      Stage stage;
      const std::string name = "layer" + std::to_string(i);
      stage.first = layer(name, width / 2, width);
      if (i != 2) {
        stage.residual = {layer(name + "_residual1", width, width),
                          layer(name + "_residual2", width, width)};
      }
      stages_.push_back(std::move(stage));
      levels_.push_back({.channels = width, .stride = int64_t{1} << i});
    }
    start_for_relu(*this);
  }

  TensorList maps(const at::Tensor& images) override {
    TensorList maps;
    at::Tensor x = prep_->forward_relu(images);
    for (Stage& stage : stages_) {
      x = at::max_pool2d(stage.first->forward_relu(x), {2, 2}, {2, 2});
      at::Tensor y = x;
      for (const auto& layer : stage.residual) {
        y = layer->forward_relu(y);
      }
      x = stage.residual.empty() ? x : x + y;
      maps.push_back(x);
    }
    return maps;
  }

  at::Tensor forward(const at::Tensor& images) override { return maps(images).back().amax({2, 3}); }

 private:
  using Layer = std::shared_ptr<NormedConvolution>;

  struct Stage {
    Layer first;
    std::vector<Layer> residual;
  };

  Layer layer(const std::string& name, int64_t in, int64_t out) {
    return register_module(name, std::make_shared<NormedConvolution>(in, out, 3, 1, 1));
  }

  Layer prep_;
  std::vector<Stage> stages_;
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
