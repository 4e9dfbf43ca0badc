#include "map_network.h"
#include "networks.h"
#include "recompute.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/hardtanh.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/silu.h>

#include <algorithm>

namespace bissl {
namespace {

// MobileNetV2 and EfficientNet: 1x1 convolutions that widen, depthwise ones, and 1x1 convolutions
// that narrow again (inverted residuals).

struct MobileOptions {
  std::string stem = "imagenet";
  double width = 1;
  double drop_path = 0;
  bool recompute = false;
};

Schema<MobileOptions> mobile_schema() {
  Schema<MobileOptions> schema;
  schema
      .add("stem", &MobileOptions::stem,
           "strides: \"imagenet\" is the paper's, \"small\" halves images of about 32 pixels two "
           "times less")
      .choices({"imagenet", "small"});
  schema.add("width", &MobileOptions::width, "factor of all numbers of channels")
      .more_than(0)
      .at_most(16);
  schema
      .add("drop_path", &MobileOptions::drop_path,
           "probability that training leaves out the last block's branch; it falls to 0 at the "
           "first")
      .at_least(0)
      .less_than(1);
  add_recompute(schema, &MobileOptions::recompute);
  return schema;
}

/// Blocks of one kind.
struct MobileStage {
  int64_t expansion = 1;  ///< how much wider the middle is than the input
  int64_t kernel = 3;
  int64_t stride = 1;  ///< of the first block
  int64_t channels = 0;
  int64_t blocks = 1;
};

/// A number of channels times `factor`, as a multiple of 8 that is not much smaller.
int64_t scaled_channels(int64_t channels, double factor) {
  const double wanted = double(channels) * factor;
  const int64_t rounded = std::max<int64_t>(8, int64_t(wanted + 4) / 8 * 8);
  return double(rounded) < 0.9 * wanted ? rounded + 8 : rounded;
}

/// Channels times a gate that sees the image's mean (Hu et al. 2017, arXiv 1709.01507, equations 2
/// to 4).
class SqueezeExcitation : public torch::nn::Module {
 public:
  SqueezeExcitation(int64_t channels, int64_t squeezed) {
    fc1_ = register_module("fc1", same_convolution(channels, squeezed, 1, 1, 1, true));
    fc2_ = register_module("fc2", same_convolution(squeezed, channels, 1, 1, 1, true));
  }

  at::Tensor forward(const at::Tensor& x) {
    const at::Tensor mean = x.mean({2, 3}, /*keepdim=*/true);
    return x * at::sigmoid(fc2_(at::silu(fc1_(mean))));
  }

 private:
  Conv2d fc1_{nullptr};
  Conv2d fc2_{nullptr};
};

/// What tells the two families apart.
struct MobileFamily {
  bool efficient = false;  ///< EfficientNet: gates, SiLU, "block" and numbers for the last layer

  at::Tensor activate(const at::Tensor& x) const {
    return efficient ? at::silu(x) : at::hardtanh(x, 0, 6);
  }
  std::shared_ptr<NormedConvolution> layer(int64_t in, int64_t out, int64_t kernel, int64_t stride,
                                           int64_t groups) const {
    return std::make_shared<NormedConvolution>(in, out, kernel, stride, groups);
  }
};

class InvertedResidual : public torch::nn::Module {
 public:
  InvertedResidual(const MobileFamily& family, const MobileStage& stage, int64_t in, int64_t stride,
                   double drop_path)
      : family_(family), residual_(in == stage.channels && stride == 1), drop_path_(drop_path) {
    const auto layers =
        register_module(family.efficient ? "block" : "conv", std::make_shared<Numbered>());
    const int64_t middle =
        stage.expansion == 1
            ? in
            : (family.efficient ? scaled_channels(in * stage.expansion, 1) : in * stage.expansion);
    if (middle != in) {
      widen_ = layers->add(family.layer(in, middle, 1, 1, 1));
    }
    depthwise_ = layers->add(family.layer(middle, middle, stage.kernel, stride, middle));
    if (family.efficient) {
      gate_ =
          layers->add(std::make_shared<SqueezeExcitation>(middle, std::max<int64_t>(1, in / 4)));
      narrow_ = layers->add(family.layer(middle, stage.channels, 1, 1, 1));
    } else {
      narrow_convolution_ = layers->add(same_convolution(middle, stage.channels, 1, 1, 1, false));
      narrow_norm_ = layers->add(BatchNorm(stage.channels));
    }
  }

  at::Tensor forward(const at::Tensor& x) {
    at::Tensor y = widen_ == nullptr ? x : family_.activate(widen_->forward(x));
    y = family_.activate(depthwise_->forward(y));
    if (gate_ != nullptr) {
      y = narrow_->forward(gate_->forward(y));
    } else {
      y = narrow_norm_(narrow_convolution_(y));
    }
    return residual_ ? x + drop_path(y, drop_path_, is_training()) : y;
  }

 private:
  MobileFamily family_;
  bool residual_;
  double drop_path_;
  std::shared_ptr<NormedConvolution> widen_;
  std::shared_ptr<NormedConvolution> depthwise_;
  std::shared_ptr<SqueezeExcitation> gate_;
  std::shared_ptr<NormedConvolution> narrow_;
  Conv2d narrow_convolution_{nullptr};
  BatchNorm narrow_norm_{nullptr};
};

/// The networks; torchvision's names.
class MobileModule : public MapModule {
 public:
  MobileModule(const MobileFamily& family, const std::vector<MobileStage>& stages,
               const MobileOptions& options, const ImageShape& input)
      : family_(family), recompute_(options.recompute) {
    const bool small = options.stem == "small";
    features_list_ = register_module("features", std::make_shared<Numbered>());
    int64_t channels = scaled_channels(32, options.width);
    int64_t stride = small ? 1 : 2;
    stem_ = features_list_->add(family.layer(input.channels, channels, 3, stride, 1));
    int64_t blocks = 0;
    for (const MobileStage& stage : stages) {
      blocks += stage.blocks;
    }
    int64_t block = 0;
    bool spared = !small;  // the first stage that halves the image keeps its size then
    for (MobileStage stage : stages) {
      stage.channels = scaled_channels(stage.channels, options.width);
      if (stage.stride == 2 && !spared) {
        stage.stride = 1;
        spared = true;
      }
      if (stage.stride == 2 && !stages_.empty()) {
        levels_.push_back({.channels = channels, .stride = stride});
        map_ends_.push_back(stages_.size());
      }
      // EfficientNet's blocks are in a list for each stage, MobileNet's in one for all.
      const auto list =
          family.efficient ? features_list_->add(std::make_shared<Numbered>()) : features_list_;
      for (int64_t i = 0; i < stage.blocks; ++i) {
        stages_.push_back(list->add(std::make_shared<InvertedResidual>(
            family, stage, channels, i == 0 ? stage.stride : 1,
            options.drop_path * double(block++) / double(blocks))));
        channels = stage.channels;
      }
      stride *= stage.stride;
    }
    const int64_t last =
        family.efficient ? 4 * channels : scaled_channels(1280, std::max(1.0, options.width));
    last_ = features_list_->add(family.layer(channels, last, 1, 1, 1));
    levels_.push_back({.channels = last, .stride = stride});
    start_for_relu(*this);
  }

  TensorList maps(const at::Tensor& images) override {
    TensorList maps;
    at::Tensor x = family_.activate(stem_->forward(images));
    for (size_t i = 0; i < stages_.size(); ++i) {
      if (maps.size() < map_ends_.size() && map_ends_[maps.size()] == i) {
        maps.push_back(x);
      }
      x = through_block(stages_[i], x, recompute_);
    }
    maps.push_back(family_.activate(last_->forward(x)));
    return maps;
  }

 private:
  MobileFamily family_;
  bool recompute_;
  std::shared_ptr<Numbered> features_list_;
  std::shared_ptr<NormedConvolution> stem_;
  std::vector<std::shared_ptr<InvertedResidual>> stages_;  ///< blocks of all stages
  std::vector<size_t> map_ends_;  ///< blocks before which the map of a level is complete
  std::shared_ptr<NormedConvolution> last_;
};

/// Sandler et al. 2018, table 2.
class MobileNetV2Module final : public MobileModule {
 public:
  MobileNetV2Module(const MobileOptions& options, const ImageShape& input)
      : MobileModule({},
                     {{1, 3, 1, 16, 1},
                      {6, 3, 2, 24, 2},
                      {6, 3, 2, 32, 3},
                      {6, 3, 2, 64, 4},
                      {6, 3, 1, 96, 3},
                      {6, 3, 2, 160, 3},
                      {6, 3, 1, 320, 1}},
                     options, input) {}
};

/// Tan and Le 2019, table 1.
class EfficientNetB0Module final : public MobileModule {
 public:
  EfficientNetB0Module(const MobileOptions& options, const ImageShape& input)
      : MobileModule({.efficient = true},
                     {{1, 3, 1, 16, 1},
                      {6, 3, 2, 24, 2},
                      {6, 5, 2, 40, 2},
                      {6, 3, 2, 80, 3},
                      {6, 5, 1, 112, 3},
                      {6, 5, 2, 192, 4},
                      {6, 3, 1, 320, 1}},
                     options, input) {}
};

}  // namespace

void add_mobile_networks(Registrar& registrar) {
  add_map_backbone<MobileNetV2Module>(
      registrar,
      {.name = "mobilenet-v2",
       .summary = "inverted residuals with depthwise convolutions; torchvision's names",
       .source = "Sandler et al. 2018, arXiv 1801.04381, table 2"},
      mobile_schema());
  add_map_backbone<EfficientNetB0Module>(
      registrar,
      {.name = "efficientnet-b0",
       .summary = "inverted residuals with gates on channels; torchvision's names",
       .source = "Tan and Le 2019, arXiv 1905.11946, table 1"},
      mobile_schema());
}

}  // namespace bissl
