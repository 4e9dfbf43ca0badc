#include "map_network.h"
#include "networks.h"
#include "recompute.h"

#include <ATen/ops/max_pool2d.h>

#include <algorithm>

namespace bissl {
namespace {

struct VggOptions {
  int64_t width = 64;
  std::vector<int64_t> depths{2, 2, 3, 3, 3};
  bool recompute = false;
};

Schema<VggOptions> vgg_schema() {
  Schema<VggOptions> schema;
  schema
      .add("width", &VggOptions::width,
           "channels of the first stage; 2, 4, 8 and 8 times as many in the others")
      .at_least(1)
      .at_most(1024)
      .unit("channels");
  schema.add("depths", &VggOptions::depths, "convolutions of each stage")
      .length(5)
      .at_least(1)
      .at_most(64);
  add_recompute(schema, &VggOptions::recompute);
  return schema;
}

/// Convolutions with batch normalisation and ReLU, then the largest of each 2x2 pixels. It has its
/// layers under numbers of its own, besides those of the network.
class VggStage final : public Numbered {
 public:
  void add_layer(const Conv2d& convolution, const BatchNorm& norm) {
    convolutions_.push_back(add(convolution));
    norms_.push_back(add(norm));
  }

  at::Tensor forward(at::Tensor x) {
    for (size_t i = 0; i < convolutions_.size(); ++i) {
      x = norms_[i]->forward_relu(convolutions_[i](x));
    }
    return at::max_pool2d(x, {2, 2}, {2, 2});
  }

 private:
  std::vector<Conv2d> convolutions_;
  std::vector<BatchNorm> norms_;
};

/// Simonyan and Zisserman 2014 with batch normalisation; torchvision's names. Its three classifying
/// layers are left out, so the features are the last map's mean.
class VggModule final : public MapModule {
 public:
  VggModule(const VggOptions& options, const ImageShape& input) : recompute_(options.recompute) {
    require_size(input, 32, "vgg, which halves height and width five times,");
    const auto features = register_module("features", std::make_shared<Numbered>());
    int64_t channels = input.channels;
    int64_t stride = 1;
    for (size_t stage = 0; stage < options.depths.size(); ++stage) {
      const int64_t width = options.width << std::min<size_t>(stage, 3);
      auto layers = std::make_shared<VggStage>();
      for (int64_t i = 0; i < options.depths[stage]; ++i) {
        const auto convolution = features->add(same_convolution(channels, width, 3, 1, 1, true));
        layers->add_layer(convolution, features->add(BatchNorm(width)));
        features->skip(1);
        channels = width;
      }
      features->skip(1);
      stages_.push_back(std::move(layers));
      stride *= 2;
      levels_.push_back({.channels = channels, .stride = stride});
    }
    start_for_relu(*this);
  }

  TensorList maps(const at::Tensor& images) override {
    TensorList maps;
    at::Tensor x = images;
    for (const auto& stage : stages_) {
      x = through_block(stage, x, recompute_);
      maps.push_back(x);
    }
    return maps;
  }

 private:
  bool recompute_;
  std::vector<std::shared_ptr<VggStage>> stages_;
};

struct Vgg11 {
  VggOptions network{.depths = {1, 1, 2, 2, 2}};
};
struct Vgg16 {
  VggOptions network{};
};
struct Vgg19 {
  VggOptions network{.depths = {2, 2, 4, 4, 4}};
};

ComponentText vgg_text(const char* name) {
  return {.name = name,
          .summary = "plain convolutions with batch normalisation; torchvision's names",
          .source = "Simonyan and Zisserman 2014, arXiv 1409.1556, table 1"};
}

}  // namespace

void add_vgg(Registrar& registrar) {
  const Schema<VggOptions> schema = vgg_schema();
  add_sized_backbone<VggModule, Vgg11>(registrar, vgg_text("vgg11"), schema);
  add_sized_backbone<VggModule, Vgg16>(registrar, vgg_text("vgg16"), schema);
  add_sized_backbone<VggModule, Vgg19>(registrar, vgg_text("vgg19"), schema);
}

}  // namespace bissl
