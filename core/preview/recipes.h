#pragma once

#include "pipeline/pipeline.h"

#include <cstdint>
#include <string>
#include <vector>

namespace bissl::host {

/// A place of a stage where views are made of a data source's images.
struct ViewRecipe {
  std::string stage;                    ///< its name
  std::string place;                    ///< "pretrain", "bissl.lower", "finetune.evaluate"
  std::string data;                     ///< the source; the first one where the place names several
  const ViewsChoice* choice = nullptr;  ///< of the stage's table
  /// The views of a sample: those declared, or two for a pretext task that takes any number.
  int64_t views = 1;
  int64_t batch = 1;    ///< samples in a batch there
  bool trains = false;  ///< a loss is made smaller there, by an optimizer of the same table
};

/// All of a stage's, in the order of its tables: the stage's own first. They point into the stage.
std::vector<ViewRecipe> view_recipes(const Stage& stage);

}  // namespace bissl::host
