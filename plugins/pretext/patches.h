#pragma once

#include "bissl/backbone_abilities.h"
#include "bissl/pretext.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace bissl {

// Images as grids of patches, for tasks that hide some.

/// How many patches lie one below the other and side by side.
struct PatchGrid {
  int64_t rows = 0;     ///< one below the other
  int64_t columns = 0;  ///< side by side
  int64_t places() const { return rows * columns; }
};

/// Of an image of this size. Throws Error(ErrorKind::input), which names patch, backbone and image,
/// where patches do not cut it into whole ones. `owner` is whose patches they are, in errors.
PatchGrid grid_of(const Tokens::Patch& patch, int64_t height, int64_t width,
                  const std::string& owner);

/// What a task that reads tokens keeps of its backbone.
struct TokenForm {
  Tokens::Patch patch;
  int64_t width = 0;  ///< of a token
  int64_t extra = 0;  ///< tokens of no patch, in front
  std::string backbone{};

  PatchGrid grid(const at::Tensor& images) const {
    return grid_of(patch, images.size(2), images.size(3), backbone);
  }
};

/// In the factory: of a backbone that has tokens and whose patches cut each view. Throws
/// Error(ErrorKind::input) otherwise, with both names.
TokenForm require_tokens(const PretextContext& context);

/// (N, C, H, W) → (N, P, C·height·width), row by row from the top left.
at::Tensor patches_of(const at::Tensor& images, const Tokens::Patch& patch);

/// The inverse: (N, P, C·height·width) → (N, C, H, W).
at::Tensor image_of(const at::Tensor& patches, const Tokens::Patch& patch, const PatchGrid& grid);

/// (N, places), bool: `count` of the places of each sample, drawn at random from LibTorch's
/// generator of the CPU.
at::Tensor random_places(int64_t samples, int64_t places, int64_t count);

/// Of (N, P), bool, with K true ones in each row: their places, (N, K), ascending.
at::Tensor places_of(const at::Tensor& chosen);

/// The rows of (N, P, D) at these places, (N, K) → (N, K, D).
at::Tensor rows_at(const at::Tensor& rows, const at::Tensor& places);

/// `part` of `all`, rounded; Throws Error(ErrorKind::input), which names `key`, where it is none or
/// all of them.
int64_t share_of(const char* key, double part, int64_t all);

}  // namespace bissl
