#include "fast_layers.h"
#include "map_network.h"
#include "networks.h"
#include "recompute.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/ones.h>

namespace bissl {
namespace {

namespace nn = torch::nn;

struct ConvNextOptions {
  int64_t width = 96;
  std::vector<int64_t> depths{3, 3, 9, 3};
  int64_t patch = 4;
  bool pointwise_convolutions = false;
  double drop_path = 0;
  double layer_scale = 1e-6;
  bool recompute = false;
};

Schema<ConvNextOptions> convnext_schema() {
  Schema<ConvNextOptions> schema;
  schema
      .add("width", &ConvNextOptions::width,
           "channels of the first stage; each has twice those before")
      .at_least(1)
      .at_most(2048)
      .unit("channels");
  schema.add("depths", &ConvNextOptions::depths, "blocks of each stage")
      .length(4)
      .at_least(1)
      .at_most(128);
  schema
      .add(
          "patch", &ConvNextOptions::patch,
          "height, width and stride of the first convolution; 1 or 2 for images of about 32 pixels")
      .at_least(1)
      .at_most(64)
      .unit("pixels");
  schema.add("pointwise_convolutions", &ConvNextOptions::pointwise_convolutions,
             "give a block's two linear layers the shape of 1x1 convolutions, as timm's small "
             "networks have them; the numbers are the same");
  schema
      .add("drop_path", &ConvNextOptions::drop_path,
           "probability that training leaves out the last block's branch; it falls to 0 at the "
           "first")
      .at_least(0)
      .less_than(1);
  schema
      .add("layer_scale", &ConvNextOptions::layer_scale,
           "start of the learnt factor for each channel of a branch")
      .more_than(0)
      .at_most(1);
  add_recompute(schema, &ConvNextOptions::recompute);
  return schema;
}

constexpr double convnext_epsilon = 1e-6;

/// (N, C, H, W) with the channels normalised at each place.
at::Tensor normalise_channels(FastLayerNorm& norm, const at::Tensor& x) {
  return norm(x.permute({0, 2, 3, 1})).permute({0, 3, 1, 2});
}

/// A linear layer over the last dimension, under the shape of a 1x1 convolution if that is asked
/// for.
class PointwiseLinear {
 public:
  void build(nn::Module& parent, const std::string& name, int64_t in, int64_t out,
             bool convolution) {
    if (convolution) {
      convolution_ = parent.register_module(name, same_convolution(in, out, 1, 1, 1, true));
    } else {
      linear_ = parent.register_module(name, Linear(in, out));
    }
  }

  at::Tensor forward(const at::Tensor& x) {
    return linear_.is_empty()
               ? layers::linear(x, convolution_->weight.flatten(1), convolution_->bias)
               : linear_(x);
  }

 private:
  Linear linear_{nullptr};
  Conv2d convolution_{nullptr};
};

class ConvNextBlock : public nn::Module {
 public:
  ConvNextBlock(int64_t width, const ConvNextOptions& options, double drop_path)
      : drop_path_(drop_path) {
    gamma_ = register_parameter("gamma", at::ones({width}) * options.layer_scale);
    depthwise_ = register_module("conv_dw", same_convolution(width, width, 7, 1, width, true));
    norm_ = register_module("norm", FastLayerNorm(width, convnext_epsilon));
    const auto mlp = register_module("mlp", std::make_shared<nn::Module>());
    fc1_.build(*mlp, "fc1", width, 4 * width, options.pointwise_convolutions);
    fc2_.build(*mlp, "fc2", 4 * width, width, options.pointwise_convolutions);
  }

  /// Channels last in memory throughout, so that permuting copies nothing.
  at::Tensor forward(const at::Tensor& x) {
    at::Tensor y = norm_(depthwise_(x).permute({0, 2, 3, 1}));
    y = fc2_.forward(fast_gelu(fc1_.forward(y))) * gamma_;
    return x + drop_path(y.permute({0, 3, 1, 2}), drop_path_, is_training());
  }

 private:
  double drop_path_;
  at::Tensor gamma_;
  Conv2d depthwise_{nullptr};
  FastLayerNorm norm_{nullptr};
  PointwiseLinear fc1_;
  PointwiseLinear fc2_;
};

/// Liu et al. 2022, arXiv 2201.03545, table 9; names of timm.
class ConvNextModule final : public MapModule {
 public:
  ConvNextModule(const ConvNextOptions& options, const ImageShape& input)
      : recompute_(options.recompute) {
    require_size(input, 8 * options.patch, fmt::format("convnext with patch = {}", options.patch));
    const auto stem = register_module("stem", std::make_shared<Numbered>());
    stem_convolution_ = stem->add(Conv2d(
        nn::Conv2dOptions(input.channels, options.width, options.patch).stride(options.patch)));
    stem_norm_ = stem->add(FastLayerNorm(options.width, convnext_epsilon));
    const auto stages = register_module("stages", std::make_shared<Numbered>());
    int64_t blocks = 0;
    for (const int64_t depth : options.depths) {
      blocks += depth;
    }
    int64_t block = 0;
    for (size_t i = 0; i < options.depths.size(); ++i) {
      const int64_t width = options.width << i;
      const auto holder = stages->add(std::make_shared<nn::Module>());
      Stage stage;
      if (i > 0) {
        const auto downsample = holder->register_module("downsample", std::make_shared<Numbered>());
        stage.norm = downsample->add(FastLayerNorm(width / 2, convnext_epsilon));
        stage.convolution =
            downsample->add(Conv2d(nn::Conv2dOptions(width / 2, width, 2).stride(2)));
      }
      const auto list = holder->register_module("blocks", std::make_shared<Numbered>());
      for (int64_t j = 0; j < options.depths[i]; ++j) {
        stage.blocks.push_back(list->add(std::make_shared<ConvNextBlock>(
            width, options, drop_path_rate(options.drop_path, block++, blocks))));
      }
      stages_.push_back(std::move(stage));
      levels_.push_back({.channels = width, .stride = options.patch << i});
    }
    head_norm_ = register_module("head", std::make_shared<nn::Module>())
                     ->register_module("norm", FastLayerNorm(features(), convnext_epsilon));
    start_small(*this);
  }

  TensorList maps(const at::Tensor& images) override {
    TensorList maps;
    at::Tensor x = stem_convolution_(images.contiguous(at::MemoryFormat::ChannelsLast));
    x = normalise_channels(stem_norm_, x);
    for (Stage& stage : stages_) {
      if (!stage.norm.is_empty()) {
        x = stage.convolution(normalise_channels(stage.norm, x));
      }
      for (const auto& block : stage.blocks) {
        x = through_block(block, x, recompute_);
      }
      maps.push_back(x);
    }
    return maps;
  }

  at::Tensor forward(const at::Tensor& images) override {
    return head_norm_(MapModule::forward(images));
  }

 private:
  struct Stage {
    FastLayerNorm norm{nullptr};  ///< before the convolution; none in the first stage
    Conv2d convolution{nullptr};  ///< halves height and width
    std::vector<std::shared_ptr<ConvNextBlock>> blocks;
  };

  bool recompute_;
  Conv2d stem_convolution_{nullptr};
  FastLayerNorm stem_norm_{nullptr};
  std::vector<Stage> stages_;
  FastLayerNorm head_norm_{nullptr};
};

struct ConvNextAtto {
  ConvNextOptions network{.width = 40, .depths = {2, 2, 6, 2}, .pointwise_convolutions = true};
};
struct ConvNextFemto {
  ConvNextOptions network{.width = 48, .depths = {2, 2, 6, 2}, .pointwise_convolutions = true};
};
struct ConvNextPico {
  ConvNextOptions network{.width = 64, .depths = {2, 2, 6, 2}, .pointwise_convolutions = true};
};
struct ConvNextNano {
  ConvNextOptions network{.width = 80, .depths = {2, 2, 8, 2}, .pointwise_convolutions = true};
};
struct ConvNextTiny {
  ConvNextOptions network{.width = 96};
};
struct ConvNextSmall {
  ConvNextOptions network{.width = 96, .depths = {3, 3, 27, 3}};
};
struct ConvNextBase {
  ConvNextOptions network{.width = 128, .depths = {3, 3, 27, 3}};
};

ComponentText convnext_text(const char* name) {
  return {.name = name,
          .summary = "convolutional network with the design of transformers; timm's names",
          .source = "Liu et al. 2022, arXiv 2201.03545, section 2 and table 9"};
}

}  // namespace

void add_convnext(Registrar& registrar) {
  const Schema<ConvNextOptions> schema = convnext_schema();
  add_sized_backbone<ConvNextModule, ConvNextAtto>(registrar, convnext_text("convnext-atto"),
                                                   schema);
  add_sized_backbone<ConvNextModule, ConvNextFemto>(registrar, convnext_text("convnext-femto"),
                                                    schema);
  add_sized_backbone<ConvNextModule, ConvNextPico>(registrar, convnext_text("convnext-pico"),
                                                   schema);
  add_sized_backbone<ConvNextModule, ConvNextNano>(registrar, convnext_text("convnext-nano"),
                                                   schema);
  add_sized_backbone<ConvNextModule, ConvNextTiny>(registrar, convnext_text("convnext-tiny"),
                                                   schema);
  add_sized_backbone<ConvNextModule, ConvNextSmall>(registrar, convnext_text("convnext-small"),
                                                    schema);
  add_sized_backbone<ConvNextModule, ConvNextBase>(registrar, convnext_text("convnext-base"),
                                                   schema);
}

}  // namespace bissl
