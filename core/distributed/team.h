#pragma once

#include "distributed/child_processes.h"
#include "distributed/process_place.h"

#include <exception>
#include <memory>
#include <optional>
#include <string>

namespace bissl::host {

/// The processes of a group as process 0 has them: it opens the meeting point, starts the others
/// where that is its part, and waits for them; the group is the current one while this lives.
class Team {
 public:
  /// Throws Error when they cannot be started or do not come.
  explicit Team(const ProcessPlace& place);

  /// Waits for the others after the last thing that they were told. What still runs afterwards is
  /// ended by the destructor.
  void wait();

  /// The error to show in the place of `error`, which a run has ended with: where another process
  /// is the cause, that one with its reason.
  std::exception_ptr explained(std::exception_ptr error);

 private:
  void wait_for_arrival();
  std::string cause();

  int size_;
  std::unique_ptr<Meeting> meeting_;
  std::optional<ChildProcesses> children_;
  std::unique_ptr<ProcessGroup> group_;
  std::optional<GroupInUse> in_use_;
};

}  // namespace bissl::host
