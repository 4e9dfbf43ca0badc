#pragma once

#include "pipeline/pipeline.h"
#include "store/stage_results.h"

#include <filesystem>

namespace bissl::host {

/// Notes the names of the data sources that the stage is scored on, as its metrics have them.
void note_sources(const Stage& stage, StageResults& results);

/// The results of a finished stage, by its folder in the store, with the names that `stage` has for
/// the data sources that it is scored on. No names are in a stage's key, so it may have been
/// computed for other ones. Results of versions that noted none keep theirs. Throws Error(input).
StageResults results_by_names_of(const Stage& stage, const std::filesystem::path& folder);

}  // namespace bissl::host
