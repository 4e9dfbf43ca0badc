#pragma once

#include "distributed/process_place.h"
#include "stages/context.h"
#include "sweep/plan.h"
#include "sweep/state.h"

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

namespace bissl::host {

struct WorkerOptions {
  RunSettings settings;
  /// A stage that was begun so often without getting further, and whose process never came back,
  /// counts as failed.
  int64_t attempts = 3;
  bool stop_on_failure = false;
  std::function<void(const std::string&)> say;
  /// Called while there is nothing to do but wait for others. May throw to give up.
  std::function<void()> while_waiting;
  /// This process's. Of several processes it starts the others, which compute each stage with it.
  ProcessPlace place{};
};

/// Works on a sweep until nothing is left that could be done: takes one stage after another that
/// nobody else computes and whose parent is finished. Any number of workers may do so at the same
/// time, on any machines that share the store and the sweep's folder. What fails is recorded, and
/// the work continues with the rest; a stage whose group has lost a process counts as one whose
/// process never came back. Throws Interrupted after a checkpoint, and Error if the sweep's folder
/// or the store cannot be used.
void work_on(SweepState& state, StageStore& store, const PipelineSources& sources,
             const WorkerOptions& options);

/// What the processes do that a worker has started: computes, in the current group, the stages of
/// the plan that the worker announces, to the end of its work. Throws as follow().
void work_beside(const SweepPlan& plan, const PipelineSources& sources, const RunSettings& settings,
                 const std::filesystem::path& scratch);

}  // namespace bissl::host
