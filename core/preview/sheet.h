#pragma once

#include "data/catalog.h"
#include "preview/canvas.h"
#include "preview/recipes.h"

#include <cstdint>

namespace bissl::host {

/// A sheet with a row for each of `samples` samples, spread evenly over the source: the image of
/// the dataset, then its views as the network sees them. Small images are enlarged by a whole
/// number, large ones reduced. Values of views are drawn from the lowest of the sheet (black) to
/// the highest (white), so that normalised ones can be looked at; a dataset's own pixels are drawn
/// as they are. Of more than three channels the first three are drawn, of two the first.
///
/// A function of the pipeline and the seed. Throws Error of the data or the recipe.
Canvas preview_sheet(const ViewRecipe& recipe, DataCatalog& data, int64_t samples, uint64_t seed);

}  // namespace bissl::host
