#pragma once

#include "bissl/image.h"
#include "data/catalog.h"
#include "preview/canvas.h"
#include "preview/recipes.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

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

/// The same of these samples alone, in their order.
Canvas thumbnail_grid(const DataView& data, const std::vector<int64_t>& samples, int64_t side);

/// The side of the thumbnails in a grid of `images` images, in pixels: at most 64, and the grid's
/// side at most 4096; none where it would be less than 8.
std::optional<int64_t> thumbnail_side(int64_t images);

/// An image with a frame of this red, green and blue.
struct FramedImage {
  Image image;
  std::array<uint8_t, 3> frame;
  std::string label = {};  ///< below the frame, as much of it as the image is wide; may be empty
};

/// A sheet of rows of images, their pixels as they are, enlarged or reduced as those of
/// preview_sheet. Rows are farther apart where one of the images has a label.
Canvas image_sheet(const std::vector<std::vector<FramedImage>>& rows);

}  // namespace bissl::host
