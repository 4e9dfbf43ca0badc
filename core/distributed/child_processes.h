#pragma once

#include "base/scratch_folder.h"

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

/// Processes 1 … size − 1 of a group on this machine, started by process 0: this program with the
/// arguments that it was called with, and the variables of process_place.h. They end when this
/// process ends, however it ends, and write nothing to standard output. The folder for their files
/// goes with this object, so what a killed one has left goes too.
class ChildProcesses {
 public:
  ChildProcesses(int size, int port);
  /// Ends those that are left.
  ~ChildProcesses();
  ChildProcesses(const ChildProcesses&) = delete;
  ChildProcesses& operator=(const ChildProcesses&) = delete;

  /// Whether one of them has ended.
  bool any_ended();

  /// Waits up to `limit` for all to end.
  void wait(std::chrono::milliseconds limit);

  /// What ended by a signal, waited for up to `limit`: "process 1 of 3 (process id 4711) was ended
  /// by the signal 9 (Killed)".
  std::optional<std::string> killed(std::chrono::milliseconds limit);

 private:
  struct Child {
    int rank;
    pid_t pid;
    bool running = true;
    int status = 0;
  };
  bool any_runs();

  ScratchFolder scratch_;
  std::vector<Child> children_;
};

}  // namespace bissl::host
