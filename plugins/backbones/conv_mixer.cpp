#include "fast_layers.h"
#include "map_network.h"
#include "networks.h"
#include "recompute.h"

#include <ATen/TensorOperators.h>

namespace bissl {
namespace {

struct ConvMixerOptions {
  int64_t width = 256;
  int64_t depth = 8;
  int64_t kernel = 5;
  int64_t patch = 2;
  bool recompute = false;
};

Schema<ConvMixerOptions> conv_mixer_schema() {
  Schema<ConvMixerOptions> schema;
  schema.add("width", &ConvMixerOptions::width, "channels; the features' number")
      .at_least(1)
      .at_most(8192)
      .unit("channels");
  schema.add("depth", &ConvMixerOptions::depth, "blocks").at_least(1).at_most(256);
  schema.add("kernel", &ConvMixerOptions::kernel, "height and width of the depthwise kernels, odd")
      .at_least(1)
      .at_most(63)
      .unit("pixels");
  schema.add("patch", &ConvMixerOptions::patch, "height, width and stride of the first convolution")
      .at_least(1)
      .at_most(64)
      .unit("pixels");
  add_recompute(schema, &ConvMixerOptions::recompute);
  schema.rule([](const ConvMixerOptions& options, std::vector<Finding>& findings) {
    if (options.kernel % 2 == 0) {
      findings.push_back({Finding::Severity::error, "kernel",
                          fmt::format("must be odd; {} is not", options.kernel)});
    }
  });
  return schema;
}

/// Trockman and Kolter 2022, arXiv 2201.09792, equations 1 to 3; names of timm.
class ConvMixerModule final : public MapModule {
 public:
  ConvMixerModule(const ConvMixerOptions& options, const ImageShape& input)
      : recompute_(options.recompute) {
    require_size(input, options.patch, fmt::format("conv-mixer with patch = {}", options.patch));
    const auto stem = register_module("stem", std::make_shared<Numbered>());
    stem_ = stem->add(Conv2d(torch::nn::Conv2dOptions(input.channels, options.width, options.patch)
                                 .stride(options.patch)));
    stem->skip(1);
    stem_norm_ = stem->add(BatchNorm(options.width));
    const auto blocks = register_module("blocks", std::make_shared<Numbered>());
    for (int64_t i = 0; i < options.depth; ++i) {
      const auto holder = blocks->add(std::make_shared<Numbered>());
      const auto residual = holder->add(std::make_shared<Numbered>());
      const auto inner = residual->register_module("fn", std::make_shared<Numbered>());
      Block block;
      block.module = holder;
      block.depthwise = inner->add(
          same_convolution(options.width, options.width, options.kernel, 1, options.width, true));
      inner->skip(1);
      block.norm1 = inner->add(BatchNorm(options.width));
      block.pointwise = holder->add(same_convolution(options.width, options.width, 1, 1, 1, true));
      holder->skip(1);
      block.norm2 = holder->add(BatchNorm(options.width));
      blocks_.push_back(std::move(block));
    }
    levels_ = {{.channels = options.width, .stride = options.patch}};
  }

  TensorList maps(const at::Tensor& images) override {
    at::Tensor x = stem_norm_(fast_gelu(stem_(images)));
    for (Block& block : blocks_) {
      x = recompute_ ? recomputed(block.module, x, block) : block(x);
    }
    return {x};
  }

 private:
  struct Block {
    Conv2d depthwise{nullptr};
    BatchNorm norm1{nullptr};
    Conv2d pointwise{nullptr};
    BatchNorm norm2{nullptr};
    std::shared_ptr<torch::nn::Module> module;  ///< holds the four

    at::Tensor operator()(const at::Tensor& x) {
      const at::Tensor y = x + norm1(fast_gelu(depthwise(x)));
      return norm2(fast_gelu(pointwise(y)));
    }
  };

  bool recompute_;
  Conv2d stem_{nullptr};
  BatchNorm stem_norm_{nullptr};
  std::vector<Block> blocks_;
};

}  // namespace

void add_conv_mixer(Registrar& registrar) {
  add_map_backbone<ConvMixerModule>(
      registrar,
      {.name = "conv-mixer",
       .summary = "patches mixed by depthwise and pointwise convolutions; timm's names",
       .source = "Trockman and Kolter 2022, arXiv 2201.09792, equations 1 to 3"},
      conv_mixer_schema());
}

}  // namespace bissl
