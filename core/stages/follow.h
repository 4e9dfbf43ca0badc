#pragma once

#include "data/catalog.h"
#include "pipeline/pipeline.h"
#include "stages/context.h"

#include <filesystem>
#include <functional>
#include <string>

namespace bissl::host {

class Team;

// Work by several processes. Process 0 runs a pipeline, or works on a sweep; it alone has the run
// folder, the store, checkpoints, events and the display. The others compute the same stages beside
// it, from copies of what it continues from, and what they write is thrown away.

/// Tells the other processes which stage is computed next, by its name and its key, and waits until
/// they have what they need. For process 0; nothing without a group.
void announce_stage(const StageContext& context, const std::string& key);

/// Tells the other processes that the work is over. For process 0 of a group.
void announce_end();

/// Ends the others where process 0 was asked to stop, wherever they are: before the group is made,
/// between stages or within one.
void end_interrupted(Team& team);

/// A stage as a process beside process 0 has read it.
struct FollowedStage {
  const Pipeline& pipeline;
  const Stage& stage;
  DataCatalog& data;
};

/// Finds a stage that was announced. What it refers to lives until the next call.
using StageFinder = std::function<FollowedStage(const std::string& name, const std::string& key)>;

/// Computes what process 0 announces, to the end of its work. For all other processes of the
/// current group. What a stage writes goes into a folder in `scratch`, and then away. Throws what
/// `find` and a stage throw, Interrupted where process 0 was asked to stop between stages,
/// ProcessLost, and Error(run) where what process 0 continues from cannot be copied.
void follow(const StageFinder& find, const RunSettings& settings,
            const std::filesystem::path& scratch);

}  // namespace bissl::host
