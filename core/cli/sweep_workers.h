#pragma once

#include "cli/pipeline_arguments.h"
#include "cli/sweep_command.h"
#include "distributed/process_place.h"

#include <filesystem>
#include <string>
#include <vector>

namespace bissl::host {

/// Which process this is of a worker's group, in calls with --ranks; one that computes alone in
/// others, whatever the environment says. Throws Error(ErrorKind::input) where another program has
/// started the processes, and where this LibTorch has no groups of them.
ProcessPlace place_in_group(int ranks);

/// The call that starts a worker of the sweep in this folder, with its number of threads:
/// this program, by its path, and the arguments.
std::vector<std::string> worker_command(const PipelineArguments& arguments,
                                        const SweepArguments& sweep,
                                        const std::filesystem::path& folder, int threads);

}  // namespace bissl::host
