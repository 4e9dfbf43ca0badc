#pragma once

#include "analysis/calibration.h"
#include "preview/canvas.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

// The pictures of class_pictures.h as pixels, light: two for a unit of the SVG's lengths, and one
// where there are more than 100 classes. Names of more than 40 columns are cut, letters beyond
// ASCII are boxes.

/// With more classes there are no such pictures, which nobody could look at.
inline constexpr size_t most_raster_classes = 1000;

/// How many samples of each class (rows) are taken for which (columns): as many rows and columns as
/// names, counts of 0 or more. With more than 20 classes cells have no numbers, with more than 300
/// rows no names; none with more than `most_raster_classes`.
std::optional<Canvas> confusion_raster(const std::vector<std::vector<int64_t>>& counts,
                                       const std::vector<std::string>& names,
                                       const std::string& title);

/// By classifier the accuracy of each class, one for each name; a class without samples has no bar.
/// None with more than `most_raster_classes`.
std::optional<Canvas> accuracy_raster(const std::vector<std::string>& classifiers,
                                      const std::vector<std::vector<ClassAccuracy>>& accuracies,
                                      const std::vector<std::string>& names,
                                      const std::string& title);

/// Of each probe, one or more, the share of right answers by the confidence; `found` has one for
/// each probe.
Canvas reliability_raster(const std::vector<std::string>& probes,
                          const std::vector<Reliability>& found, const std::string& title);

}  // namespace bissl::host
