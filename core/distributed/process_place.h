#pragma once

#include "distributed/process_group.h"

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

namespace bissl::host {

/// Which of how many processes this is, and who started it.
struct ProcessPlace {
  MeetingPlace meeting;
  bool starts_others = false;  ///< process 0 starts the others itself
  bool is_started = false;     ///< process 0 has started this one
  int on_this_machine = 1;     ///< processes that share its cores
  /// Of this machine's processors, those that all its processes share, where Slurm says it; 0: not.
  int processors = 0;
  /// For files that this process alone reads; empty for the system's folder for temporary files.
  std::filesystem::path scratch{};
};

/// The variable by which process 0 tells the processes that it starts who they are, beside those
/// that torchrun sets.
inline constexpr const char* started_variable = "BISSL_STARTED_BY";
/// The variable that gives them the folder for their files.
inline constexpr const char* scratch_variable = "BISSL_PROCESSES_FOLDER";

/// From `ranks`, the number that the call asks for (0: none), and the environment: RANK,
/// WORLD_SIZE, MASTER_ADDR, MASTER_PORT, LOCAL_WORLD_SIZE and TORCHELASTIC_RESTART_COUNT as
/// torchrun sets them, or what srun sets for a step of `ranks` tasks. With neither, process 0
/// starts the others on this machine. Throws Error(input) for variables that contradict each other
/// or the call.
ProcessPlace process_place(int ranks,
                           const std::function<std::optional<std::string>(const char*)>& variable);

/// The same with the environment of this process.
ProcessPlace process_place(int ranks);

}  // namespace bissl::host
