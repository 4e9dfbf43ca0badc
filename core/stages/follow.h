#pragma once

#include "data/catalog.h"
#include "pipeline/pipeline.h"
#include "stages/context.h"

#include <filesystem>
#include <memory>

namespace bissl::host {

// A run by several processes. Process 0 runs the pipeline; it alone has the run folder, the store,
// checkpoints, events and the display. The others compute the same stages beside it, from copies of
// what it continues from, and what they write is thrown away.

/// Tells the other processes which stage is computed next, and waits until they have what they
/// need. For process 0; nothing without a group.
void announce_stage(const StageContext& context);

/// Tells the other processes that the run is over, or that it was asked to stop. For process 0 of a
/// group.
void announce_end(bool interrupted);

/// Computes what process 0 announces, to the end of its run. For all other processes of the current
/// group. What a stage writes goes into a folder in `scratch`, and then away. Throws what a stage
/// throws, Interrupted where process 0 was asked to stop between stages, ProcessLost, and
/// Error(run) where what process 0 continues from cannot be copied.
void follow(const Pipeline& pipeline, const RunSettings& settings,
            const std::shared_ptr<DatasetCache>& datasets, const std::filesystem::path& scratch);

}  // namespace bissl::host
