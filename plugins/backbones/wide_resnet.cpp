#include "map_network.h"
#include "networks.h"
#include "recompute.h"

#include <ATen/TensorOperators.h>

namespace bissl {
namespace {

struct WideResNetOptions {
  int64_t depth = 28;
  int64_t factor = 10;
  int64_t width = 16;
  bool recompute = false;
};

Schema<WideResNetOptions> wide_resnet_schema() {
  Schema<WideResNetOptions> schema;
  schema
      .add("depth", &WideResNetOptions::depth,
           "layers: 6 times the blocks of a stage and 4 more (10, 16, 22, 28, 40, …)")
      .at_least(10)
      .at_most(400);
  schema.add("factor", &WideResNetOptions::factor, "k, how much wider the stages are than `width`")
      .at_least(1)
      .at_most(64);
  schema
      .add("width", &WideResNetOptions::width,
           "channels of the first convolution; k, 2·k and 4·k times as many in the stages")
      .at_least(1)
      .at_most(1024)
      .unit("channels");
  add_recompute(schema, &WideResNetOptions::recompute);
  schema.rule([](const WideResNetOptions& options, std::vector<Finding>& findings) {
    if (options.depth % 6 != 4) {
      findings.push_back({Finding::Severity::error, "depth",
                          fmt::format("must be a multiple of 6 and 4 more, such as 28; {} is not",
                                      options.depth)});
    }
  });
  return schema;
}

/// Batch normalisation and ReLU before each convolution (He et al. 2016, arXiv 1603.05027).
class PreactivationBlock : public torch::nn::Module {
 public:
  PreactivationBlock(int64_t in, int64_t out, int64_t stride) {
    norm1_ = register_module("bn1", BatchNorm(in));
    convolution1_ = register_module("conv1", same_convolution(in, out, 3, stride, 1, false));
    norm2_ = register_module("bn2", BatchNorm(out));
    convolution2_ = register_module("conv2", same_convolution(out, out, 3, 1, 1, false));
    if (in != out || stride != 1) {
      shortcut_ = register_module("convShortcut", same_convolution(in, out, 1, stride, 1, false));
    }
  }

  at::Tensor forward(const at::Tensor& x) {
    const at::Tensor active = norm1_->forward_relu(x);
    const at::Tensor y = convolution2_(norm2_->forward_relu(convolution1_(active)));
    return y + (shortcut_.is_empty() ? x : shortcut_(active));
  }

 private:
  BatchNorm norm1_{nullptr};
  Conv2d convolution1_{nullptr};
  BatchNorm norm2_{nullptr};
  Conv2d convolution2_{nullptr};
  Conv2d shortcut_{nullptr};
};

/// Zagoruyko and Komodakis 2016, table 1.
class WideResNetModule final : public MapModule {
 public:
  WideResNetModule(const WideResNetOptions& options, const ImageShape& input)
      : recompute_(options.recompute) {
    require_size(input, 4, "wide-resnet, which halves height and width twice,");
    convolution_ =
        register_module("conv1", same_convolution(input.channels, options.width, 3, 1, 1, false));
    int64_t channels = options.width;
    for (int64_t i = 0; i < 3; ++i) {
      const int64_t width = (options.width * options.factor) << i;
      const auto holder =
          register_module("block" + std::to_string(i + 1), std::make_shared<torch::nn::Module>());
      const auto list = holder->register_module("layer", std::make_shared<Numbered>());
      std::vector<std::shared_ptr<PreactivationBlock>> blocks;
      for (int64_t j = 0; j < (options.depth - 4) / 6; ++j) {
        const int64_t stride = j == 0 && i > 0 ? 2 : 1;
        blocks.push_back(list->add(std::make_shared<PreactivationBlock>(channels, width, stride)));
        channels = width;
      }
      stages_.push_back(std::move(blocks));
      levels_.push_back({.channels = width, .stride = int64_t{1} << i});
    }
    norm_ = register_module("bn1", BatchNorm(channels));
    start_for_relu(*this);
  }

  /// Before the last normalisation, but for the last one.
  TensorList maps(const at::Tensor& images) override {
    TensorList maps;
    at::Tensor x = convolution_(images);
    for (auto& stage : stages_) {
      for (const auto& block : stage) {
        x = through_block(block, x, recompute_);
      }
      maps.push_back(x);
    }
    maps.back() = norm_->forward_relu(x);
    return maps;
  }

 private:
  bool recompute_;
  Conv2d convolution_{nullptr};
  std::vector<std::vector<std::shared_ptr<PreactivationBlock>>> stages_;
  BatchNorm norm_{nullptr};
};

}  // namespace

void add_wide_resnet(Registrar& registrar) {
  add_map_backbone<WideResNetModule>(
      registrar,
      {.name = "wide-resnet",
       .summary = "wide residual network with normalisation first, for images of about 32 pixels",
       .source = "Zagoruyko and Komodakis 2016, arXiv 1605.07146, table 1"},
      wide_resnet_schema());
}

}  // namespace bissl
