#include "weights/position_grid.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/upsample_bicubic2d.h>

#include <cmath>

namespace bissl::host {
namespace {

/// The side of a square grid with this many places; 0 if the number is no square or exceeds 2^20.
int64_t side_of(int64_t places) {
  constexpr int64_t most = int64_t{1} << 20;
  if (places < 1 || places > most) {
    return 0;
  }
  const auto side = static_cast<int64_t>(std::llround(std::sqrt(double(places))));
  return side * side == places ? side : 0;
}

}  // namespace

std::optional<PositionGrids> position_grids(const std::string& name,
                                            const std::vector<int64_t>& found,
                                            const std::vector<int64_t>& wanted, bool may_join) {
  constexpr size_t dimensions = 3;
  if ((name != "pos_embed" && !name.ends_with(".pos_embed")) || found.size() != dimensions ||
      wanted.size() != dimensions || found[0] != 1 || wanted[0] != 1 || found[2] != wanted[2]) {
    return std::nullopt;
  }
  // Of n² places, n² − 1 are no square but for n = 1, which is a grid of one place.
  for (const int64_t in_front : {0, 1}) {
    const PositionGrids grids{.in_front = in_front,
                              .found = side_of(found[1] - in_front),
                              .wanted = side_of(wanted[1] - in_front)};
    if (grids.found > 0 && grids.wanted > 0) {
      return grids;
    }
  }
  const PositionGrids joined{.in_front = 1,
                             .joins_class_token = true,
                             .found = side_of(found[1] - 1),
                             .wanted = side_of(wanted[1])};
  if (may_join && joined.found > 0 && joined.wanted > 0) {
    return joined;
  }
  return std::nullopt;
}

at::Tensor interpolated_positions(const at::Tensor& embeddings, const PositionGrids& grids) {
  const at::Tensor all =
      embeddings.scalar_type() == at::kDouble ? embeddings : embeddings.to(at::kFloat);
  const at::Tensor before = all.narrow(1, 0, grids.joins_class_token ? 0 : grids.in_front);
  if (grids.found == grids.wanted) {
    return at::cat({before, all.narrow(1, grids.in_front, all.size(1) - grids.in_front)}, 1);
  }
  const int64_t channels = all.size(2);
  const at::Tensor map = all.narrow(1, grids.in_front, grids.found * grids.found)
                             .reshape({1, grids.found, grids.found, channels})
                             .permute({0, 3, 1, 2});
  const at::Tensor grid =
      at::upsample_bicubic2d(map, {grids.wanted, grids.wanted}, /*align_corners=*/false)
          .permute({0, 2, 3, 1})
          .reshape({1, grids.wanted * grids.wanted, channels});
  return at::cat({before, grid}, 1);
}

}  // namespace bissl::host
