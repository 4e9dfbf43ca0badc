#pragma once

#include "bissl/backbone.h"
#include "bissl/component.h"
#include "bissl/export.h"
#include "bissl/tensor_list.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bissl {

// What a backbone may have besides its features, each found by its identifier (bissl/component.h).
// Modes, gradients, buffers and threads are as in Backbone::forward.

/// The maps of a network's stages before they are averaged over all places: for dense losses,
/// detection, segmentation.
class FeatureMaps {
 public:
  static constexpr std::string_view id = "bissl.backbone.maps/1";  ///< of this ability and revision
  static constexpr std::string_view words = "feature maps";        ///< for errors

  /// The maps of one stage.
  struct Level {
    int64_t channels = 0;  ///< of the map
    int64_t stride = 1;    ///< pixels of the image from one place of the map to the next
  };

  /// The levels of maps(), from fine to coarse; at least one.
  virtual std::vector<Level> map_levels() const = 0;

  /// (N, C, H, W) → one tensor a level, (N, channels, about H/stride, about W/stride).
  virtual TensorList maps(const at::Tensor& images) = 0;

 protected:
  ~FeatureMaps() = default;
};

/// Which patches of each image a network sees. All undefined: all of them.
struct PatchSelection {
  /// (N, K), int64, ascending in each row: the patches that are seen; the others are left out, as
  /// a masked autoencoder's encoder leaves them out.
  at::Tensor kept;
  /// (N, P), bool: patches whose embeddings are replaced by `mask_token`, as masked image modelling
  /// does, before the positions are added.
  at::Tensor masked;
  at::Tensor mask_token;  ///< (token_width()), a weight of the task; with `masked` only
};

/// The tokens of a network that cuts its images into patches, a vector each.
class Tokens {
 public:
  static constexpr std::string_view id =
      "bissl.backbone.tokens/1";                                  ///< of this ability and revision
  static constexpr std::string_view words = "tokens of patches";  ///< for errors

  /// Height and width of a patch in pixels. Images are whole numbers of patches high and wide.
  struct Patch {
    int64_t height = 0;  ///< in pixels
    int64_t width = 0;   ///< in pixels
  };

  /// The size of a patch.
  virtual Patch patch() const = 0;
  /// D, the width of a token.
  virtual int64_t token_width() const = 0;
  /// E, the tokens that belong to no patch (a class token, registers); they come first.
  virtual int64_t extra_tokens() const = 0;

  /// (N, C, H, W) → (N, E + P, D): behind the extra tokens those of the patches, row by row from
  /// the top left; with `selection.kept` those K alone, in its order.
  virtual at::Tensor tokens(const at::Tensor& images, const PatchSelection& selection) = 0;

 protected:
  ~Tokens() = default;
};

/// How deep in a network each parameter lies, for learning rates that fall from the last layer to
/// the first (layer-wise decay; Bao et al. 2021, arXiv 2106.08254, section 3.2).
class LayerDepths {
 public:
  static constexpr std::string_view id =
      "bissl.backbone.depths/1";                                 ///< of this ability and revision
  static constexpr std::string_view words = "depths of layers";  ///< for errors

  /// L, at least 1: the depth of what comes after all layers, as a head does. Of a transformer of
  /// 12 blocks it is 13: the embeddings have 0, the blocks 1 … 12.
  virtual int64_t depths() const = 0;

  /// The depth, in 0 … L, of the parameter of module() that is called `parameter`.
  virtual int64_t depth_of(std::string_view parameter) const = 0;

 protected:
  ~LayerDepths() = default;
};

/// What require_ability throws.
[[noreturn]] BISSL_API void fail_without_ability(std::string_view words, std::string_view id,
                                                 const std::string& name);

/// The ability of a backbone that a task needs, for the task's factory. `name` is the backbone's
/// name in errors. Throws Error(ErrorKind::input) where it has none.
template <class Ability>
Ability& require_ability(Backbone& backbone, const std::string& name) {
  Ability* ability = capability<Ability>(backbone);
  if (ability == nullptr) {
    fail_without_ability(Ability::words, Ability::id, name);
  }
  return *ability;
}

}  // namespace bissl
