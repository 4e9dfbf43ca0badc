#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

/// Two grids of places, square each, whose embeddings have a shape (1, in_front + side², channels).
struct PositionGrids {
  int64_t in_front = 0;  ///< of the file's grid: 1 for a class token, or 0
  /// The network has no place for its class token, which gets the file's embedding of it instead:
  /// the two are added up in any case.
  bool joins_class_token = false;
  int64_t found = 0;   ///< side of the file's grid
  int64_t wanted = 0;  ///< side of the network's
};

/// How the position embeddings of a vision transformer in a file (`pos_embed`, in whatever module)
/// become those of a network for images of another size; none where a tensor of this name and
/// these shapes is nothing of the kind. Whether the class token has a place must be the same in
/// both, or, where `may_join` says that both have such a token, in the file alone.
std::optional<PositionGrids> position_grids(const std::string& name,
                                            const std::vector<int64_t>& found,
                                            const std::vector<int64_t>& wanted,
                                            bool may_join = false);

/// The embeddings for the wanted grid, by bicubic interpolation with the centres of corner places
/// half a place from the edge, as MAE's code does (util/pos_embed.py). Embeddings of tokens before
/// the grid are copied, or left out with `joins_class_token`. Single precision unless `embeddings`
/// has double.
at::Tensor interpolated_positions(const at::Tensor& embeddings, const PositionGrids& grids);

}  // namespace bissl::host
