#pragma once

#include "data/catalog.h"
#include "preview/canvas.h"
#include "preview/recipes.h"

#include <cstdint>
#include <optional>

namespace bissl::host {

/// A sheet with a row for each of `samples` samples, spread evenly over the source: the image of
/// the dataset, then its views as the network sees them. Small images are enlarged by a whole
/// number, large ones reduced. Values of views are drawn from the lowest of the sheet (black) to
/// the highest (white), so that normalised ones can be looked at; a dataset's own pixels are drawn
/// as they are. Of more than three channels the first three are drawn, of two the first.
///
/// A function of the pipeline and the seed. Throws Error of the data or the recipe.
Canvas preview_sheet(const ViewRecipe& recipe, DataCatalog& data, int64_t samples, uint64_t seed);

/// Thumbnails of all images of a source in their order, row by row in a square grid, each stretched
/// to a square of `side` pixels: what TensorBoard calls a sprite. Channels as in preview_sheet.
Canvas thumbnail_grid(const DataView& data, int64_t side);

/// The side of such thumbnails of so many images: at most 64 pixels, with a grid of at most 4096;
/// none where they would have less than 8.
std::optional<int64_t> thumbnail_side(int64_t images);

}  // namespace bissl::host
