#include "cli/sweep_workers.h"

#include "bissl/error.h"
#include "data/planned_views.h"
#include "distributed/process_group.h"
#include "models/memory_format.h"
#include "telemetry/interrupt.h"

#include <fmt/format.h>

namespace bissl::host {

ProcessPlace place_in_group(int ranks) {
  if (ranks <= 1) {
    return {};
  }
  ProcessPlace place = process_place(ranks);
  if (!place.starts_others && !place.is_started) {
    fail_input(
        "--ranks {}: each worker of a sweep starts its processes itself, and the environment has "
        "variables of torchrun (RANK, WORLD_SIZE) or of a step of srun. Call `bissl sweep` once, "
        "without them",
        ranks);
  }
  if (!has_process_groups()) {
    meet(place.meeting);  // says why not
  }
  place.meeting.while_waiting = [] {
    if (interrupted()) {
      throw Interrupted();
    }
  };
  return place;
}

std::vector<std::string> worker_command(const PipelineArguments& arguments,
                                        const SweepArguments& sweep,
                                        const std::filesystem::path& folder, int threads) {
  std::vector<std::string> command = {std::filesystem::read_symlink("/proc/self/exe").string()};
  command.insert(command.end(), sweep.common.begin(), sweep.common.end());
  // With "=", so that a folder whose name begins with a dash is no option.
  const std::vector<std::string> own = {"sweep",
                                        "--worker=" + folder.string(),
                                        "--out=" + arguments.out.string(),
                                        "--device",
                                        arguments.device,
                                        "--threads",
                                        threads_argument(arguments, threads),
                                        "--attempts",
                                        fmt::format("{}", sweep.attempts)};
  command.insert(command.end(), own.begin(), own.end());
  if (arguments.ranks > 1) {
    command.emplace_back("--ranks");
    command.push_back(fmt::format("{}", arguments.ranks));
  }
  if (arguments.deterministic) {
    command.emplace_back("--deterministic");
  }
  if (arguments.tf32) {
    command.emplace_back("--tf32");
  }
  if (!views_on_devices()) {
    command.emplace_back("--cpu-views");
  }
  if (channels_last()) {
    command.emplace_back("--channels-last");
  }
  if (sweep.stop_on_failure) {
    command.emplace_back("--stop-on-failure");
  }
  return command;
}

}  // namespace bissl::host
