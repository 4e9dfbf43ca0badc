#pragma once

#include "bissl/dataset.h"
#include "bissl/target_batch.h"
#include "bissl/view_geometry.h"

#include <cstdint>

namespace bissl::host {

/// Room for the targets of `count` samples whose first views have the shape `view`; with `pinned`
/// in memory that a GPU reads by itself.
TargetBatch empty_targets(const TargetSpec& spec, int64_t count, const ImageShape& view,
                          bool pinned = false);

/// Writes the target of sample `place` of the batch. A mask is taken to the pixels of the first
/// view, of which `geometry` tells where it lies: the nearest pixel of the mask for each, and
/// not_counted_pixel beside the image.
void write_target(const TargetSpec& spec, const Target& target, const ViewGeometry& geometry,
                  int64_t place, TargetBatch& batch);

}  // namespace bissl::host
