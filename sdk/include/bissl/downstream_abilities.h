#pragma once

#include "bissl/batch_coupling.h"
#include "bissl/image.h"
#include "bissl/tensor_list.h"

#include <ATen/core/Tensor.h>

#include <string_view>

namespace bissl {

// What a downstream task may read of the backbone instead of its features. A task has at most one
// of the abilities MapHead and TokenHead (bissl/component.h); its factory calls
// DownstreamContext::require for the ability of the backbone that it needs, so that other backbones
// are refused before training. The host makes the one pass of the backbone, with gradients where it
// is trained; the rest is as in Downstream::forward.

/// Of a task whose head reads the backbone's feature maps: segmentation, detection.
class MapHead {
 public:
  static constexpr std::string_view id =
      "bissl.downstream.maps/1";  ///< of this ability and revision

  /// FeatureMaps::maps of images of this shape, one tensor a level, to outputs; for mask targets
  /// logits (N, K, H, W) for the pixels of the images, say.
  virtual at::Tensor forward_maps(const TensorList& maps, const ImageShape& images) = 0;

 protected:
  ~MapHead() = default;
};

/// Of a task whose head reads the backbone's tokens.
class TokenHead {
 public:
  static constexpr std::string_view id =
      "bissl.downstream.tokens/1";  ///< of this ability and revision

  /// Tokens::tokens of all patches of images of this shape, (N, E + P, D), to outputs.
  virtual at::Tensor forward_tokens(const at::Tensor& tokens, const ImageShape& images) = 0;

 protected:
  ~TokenHead() = default;
};

/// Of a task whose loss couples the samples of a batch: the overlap of all its masks, a ranking, a
/// comparison of each with each. Without it a loss is taken for a mean over the samples, or over
/// what counts in them (TargetBatch::counted), which is separable as well.
class LossCoupling {
 public:
  static constexpr std::string_view id =
      "bissl.downstream.coupling/1";  ///< of this ability and revision

  /// How Downstream::loss couples the samples of a batch; the same at each call. The host
  /// accumulates gradients over several batches for a separable loss, and refuses to for others.
  virtual BatchCoupling coupling() const = 0;

 protected:
  ~LossCoupling() = default;
};

}  // namespace bissl
