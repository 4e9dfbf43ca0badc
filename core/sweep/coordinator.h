#pragma once

#include "sweep/state.h"

#include <functional>
#include <string>
#include <vector>

namespace bissl::host {

struct CoordinatorOptions {
  int jobs = 1;
  bool stop_on_failure = false;
  /// The program and arguments of a worker process.
  std::vector<std::string> worker;
  std::function<void(const std::string&)> say;
};

/// Runs a sweep with worker processes on this machine until nothing is left to do: starts them,
/// reports what happens, starts another one for each that ends unasked. Workers
/// write to <folder>/logs/worker-N.log. When this process ends, however it does, the workers get
/// SIGTERM, write a checkpoint and end. Throws Interrupted when it was asked to stop, after all
/// workers have ended; Error(run) if workers cannot be started, which takes a log that can be
/// written, or give up one after the other.
void coordinate(SweepState& state, const CoordinatorOptions& options);

}  // namespace bissl::host
