#include "resnet_module.h"

#include "max_pool.h"

#include "bissl/recomputed.h"

#include <torch/nn/init.h>

#include <string>
#include <utility>

namespace bissl {
namespace {

namespace nn = torch::nn;

Conv2d convolution(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t groups = 1) {
  return Conv2d(nn::Conv2dOptions(in, out, kernel)
                    .stride(stride)
                    .padding(kernel / 2)
                    .groups(groups)
                    .bias(false));
}

/// The path beside a block's convolutions: the identity, or a 1x1 convolution where shapes change.
class Shortcut {
 public:
  void build(nn::Module& parent, int64_t in, int64_t out, int64_t stride) {
    if (stride != 1 || in != out) {
      downsample_ = nn::Sequential(convolution(in, out, 1, stride), BatchNorm(out));
      parent.register_module("downsample", downsample_);
    }
  }

  at::Tensor forward(const at::Tensor& x) {
    return downsample_.is_empty() ? x : downsample_->forward(x);
  }

 private:
  nn::Sequential downsample_{nullptr};
};

class BasicBlock : public nn::Module {
 public:
  BasicBlock(int64_t in, int64_t width, int64_t stride) {
    conv1_ = register_module("conv1", convolution(in, width, 3, stride));
    bn1_ = register_module("bn1", BatchNorm(width));
    conv2_ = register_module("conv2", convolution(width, width, 3, 1));
    bn2_ = register_module("bn2", BatchNorm(width));
    shortcut_.build(*this, in, width, stride);
  }

  at::Tensor forward(const at::Tensor& x) {
    const at::Tensor y = bn1_->forward_relu(conv1_(x));
    return bn2_->forward_relu(conv2_(y), shortcut_.forward(x));
  }

 private:
  Conv2d conv1_{nullptr};
  Conv2d conv2_{nullptr};
  BatchNorm bn1_{nullptr};
  BatchNorm bn2_{nullptr};
  Shortcut shortcut_;
};

/// How much wider a bottleneck's end is than its middle.
constexpr int64_t expansion = 4;

class Bottleneck : public nn::Module {
 public:
  Bottleneck(const Architecture& architecture, int64_t in, int64_t width, int64_t stride) {
    const int64_t middle = width * architecture.group_width / 64 * architecture.groups;
    conv1_ = register_module("conv1", convolution(in, middle, 1, 1));
    bn1_ = register_module("bn1", BatchNorm(middle));
    conv2_ = register_module("conv2", convolution(middle, middle, 3, stride, architecture.groups));
    bn2_ = register_module("bn2", BatchNorm(middle));
    conv3_ = register_module("conv3", convolution(middle, width * expansion, 1, 1));
    bn3_ = register_module("bn3", BatchNorm(width * expansion));
    shortcut_.build(*this, in, width * expansion, stride);
  }

  at::Tensor forward(const at::Tensor& x) {
    at::Tensor y = bn1_->forward_relu(conv1_(x));
    y = bn2_->forward_relu(conv2_(y));
    return bn3_->forward_relu(conv3_(y), shortcut_.forward(x));
  }

 private:
  Conv2d conv1_{nullptr};
  Conv2d conv2_{nullptr};
  Conv2d conv3_{nullptr};
  BatchNorm bn1_{nullptr};
  BatchNorm bn2_{nullptr};
  BatchNorm bn3_{nullptr};
  Shortcut shortcut_;
};

}  // namespace

ResNetModule::ResNetModule(const Architecture& architecture, int64_t channels, int64_t width,
                           bool small_stem)
    : small_stem_(small_stem), recompute_(architecture.recompute), features_(width) {
  conv1_ = small_stem
               ? convolution(channels, width, 3, 1)
               : Conv2d(nn::Conv2dOptions(channels, width, 7).stride(2).padding(3).bias(false));
  register_module("conv1", conv1_);
  bn1_ = register_module("bn1", BatchNorm(width));
  for (size_t i = 0; i < architecture.blocks.size(); ++i) {
    const auto layer_width = width << i;
    layers_.push_back(
        make_layer(architecture, layer_width, architecture.blocks[i], i == 0 ? 1 : 2));
    register_module("layer" + std::to_string(i + 1), layers_.back());
    map_channels_.push_back(features_);
  }
  // He et al., "Delving deep into rectifiers", as torchvision initialises its ResNets.
  for (const auto& module : modules(/*include_self=*/false)) {
    if (auto* convolution = module->as<nn::Conv2dImpl>()) {
      nn::init::kaiming_normal_(convolution->weight, 0.0, torch::kFanOut, torch::kReLU);
    }
  }
}

nn::Sequential ResNetModule::make_layer(const Architecture& architecture, int64_t width,
                                        int64_t blocks, int64_t stride) {
  nn::Sequential layer;
  for (int64_t i = 0; i < blocks; ++i) {
    const int64_t block_stride = i == 0 ? stride : 1;
    if (architecture.bottleneck) {
      layer->push_back(Bottleneck(architecture, features_, width, block_stride));
      features_ = width * expansion;
    } else {
      layer->push_back(BasicBlock(features_, width, block_stride));
      features_ = width;
    }
  }
  return layer;
}

at::Tensor ResNetModule::stem(const at::Tensor& images) {
  const at::Tensor x = bn1_->forward_relu(conv1_(images));
  return small_stem_ ? x : stem_max_pool(x);
}

at::Tensor ResNetModule::through(nn::Sequential& layer, at::Tensor x) {
  if (!recompute_) {
    return layer->forward(x);
  }
  for (nn::AnyModule& block : *layer) {
    x = recomputed(block.ptr(), x,
                   [block](const at::Tensor& in) mutable { return block.forward(in); });
  }
  return x;
}

std::vector<at::Tensor> ResNetModule::maps(const at::Tensor& images) {
  std::vector<at::Tensor> maps;
  at::Tensor x = stem(images);
  for (auto& layer : layers_) {
    x = through(layer, std::move(x));
    maps.push_back(x);
  }
  return maps;
}

at::Tensor ResNetModule::forward(const at::Tensor& images) {
  at::Tensor x = stem(images);
  for (auto& layer : layers_) {
    x = through(layer, std::move(x));
  }
  return x.mean({2, 3});
}

}  // namespace bissl
