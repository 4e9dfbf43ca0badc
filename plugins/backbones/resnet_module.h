#pragma once

#include "bissl/modules.h"

#include <torch/nn/module.h>
#include <torch/nn/modules/container/sequential.h>

#include <cstdint>
#include <vector>

namespace bissl {

/// The shape of a residual network (He et al., "Deep residual learning for image recognition",
/// arXiv 1512.03385, table 1).
struct Architecture {
  std::vector<int64_t> blocks;  ///< residual blocks in each of the four layers
  bool bottleneck = false;      ///< 1x1-3x3-1x1 blocks with four times the width at their end
  int64_t groups = 1;           ///< of a bottleneck's 3x3 convolution (arXiv 1611.05431)
  /// Channels of each of these groups in the first layer where `width` is 64; 64 is the standard.
  int64_t group_width = 64;
  bool recompute = false;  ///< the insides of blocks in backward passes
};

/// The residual network without its classifier. Names of parameters and buffers are those of
/// torchvision.models.resnet.
class ResNetModule : public torch::nn::Module {
 public:
  /// `channels` of the images, `width` of the first layer (64 in the paper). The small stem is a
  /// 3x3 convolution with stride 1 and no pooling, as usual for images of about 32 pixels; the
  /// other one is the paper's, 7x7 with stride 2 and a maximum over 3x3.
  ResNetModule(const Architecture& architecture, int64_t channels, int64_t width, bool small_stem);

  /// (N, C, H, W) → (N, features()): the last layer's mean over all positions.
  at::Tensor forward(const at::Tensor& images);

  /// (N, C, H, W) → what each of the four layers gives, (N, C_l, H_l, W_l).
  std::vector<at::Tensor> maps(const at::Tensor& images);

  /// Channels of the layers.
  const std::vector<int64_t>& map_channels() const { return map_channels_; }
  /// Pixels of the image from one place of the first layer's map to the next; each further layer
  /// has twice as many.
  int64_t first_stride() const { return small_stem_ ? 1 : 4; }

  int64_t features() const { return features_; }

 private:
  at::Tensor stem(const at::Tensor& images);
  at::Tensor through(torch::nn::Sequential& layer, at::Tensor x);
  torch::nn::Sequential make_layer(const Architecture& architecture, int64_t width, int64_t blocks,
                                   int64_t stride);

  bool small_stem_;
  bool recompute_;
  int64_t features_;  ///< while building: the channels that the next block receives
  std::vector<int64_t> map_channels_;
  Conv2d conv1_{nullptr};
  BatchNorm bn1_{nullptr};
  std::vector<torch::nn::Sequential> layers_;
};

}  // namespace bissl
