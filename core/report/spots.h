#pragma once

#include "report/plot.h"

#include <cstdint>
#include <string>
#include <vector>

namespace bissl::host {

/// Small pictures of samples, row by row in a grid, as one PNG.
struct ThumbnailSheet {
  std::string id;  ///< one for each sheet of a page
  std::string png;
  int64_t columns = 1;
  int64_t side = 1;  ///< of a picture, in pixels
};

/// What a page shows for spot_plot(): the panels on a canvas, so that tens of thousands of samples
/// stay quick, drawn when they come into view. The pointer or the arrow keys go to a sample, which
/// is marked in all panels, with its words and, from the sheet (null for none), its picture. Sample
/// i of a panel has picture i · `step`.
std::string spot_canvas(const std::string& title, const std::vector<SpotPanel>& panels,
                        const ThumbnailSheet* sheet, size_t step);

/// The sheet's part of a page; once for all canvases that use it.
std::string sheet_element(const ThumbnailSheet& sheet);

/// The rules and the script that a page with such canvases has.
std::string spot_style();
std::string spot_script();

}  // namespace bissl::host
