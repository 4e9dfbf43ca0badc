#pragma once

#include "data/catalog.h"
#include "preview/recipes.h"

#include <string>
#include <vector>

namespace bissl::host {

/// What one part of making views costs one thread.
struct PartCost {
  std::string part;    ///< "read", "read and decode", "views[0]: color-jitter"
  std::string of;      ///< what is counted: "image", "view"
  double seconds = 0;  ///< of processor for each of these: the median of several rounds
};

/// What a place's views cost one thread.
struct DataCost {
  std::vector<PartCost> parts;
  /// Of processor, of a whole sample in a batch as a stage gets it: read, and all its views made
  /// and put in place.
  double seconds_of_sample = 0;
  int64_t samples_of_batch = 1;  ///< those that were measured
};

/// Measures a recipe by the processor time of the calling thread, for about `seconds` each part.
/// Samples are taken in a random order, so pages of a memory-mapped file may have to be read; those
/// of a small source come from the page cache after the first round. `component` is the recipe's
/// dataset where its images come from its files at each call, whose reading is then a part of its
/// own if each image has a file; null: it is not measured. Throws Error of the data or the recipe.
DataCost cost_of_views(const ViewRecipe& recipe, DataCatalog& data, double seconds,
                       const Dataset* component = nullptr);

}  // namespace bissl::host
