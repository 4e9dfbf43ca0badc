#pragma once

#include "distributed/child_processes.h"
#include "distributed/process_place.h"

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace bissl::host {

/// The processes of a group as process 0 has them: it opens the meeting point, starts the others
/// where that is its part, and waits for them; the group is the current one from gather() on while
/// this lives.
class Team {
 public:
  /// Opens the meeting point: those that somebody else starts may arrive from now on. Throws
  /// Error(input) as meet().
  explicit Team(const ProcessPlace& place);
  /// Dismisses those that wait for gather() in vain.
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  /// Starts the others where that is its part, waits until all are there, and makes the group.
  /// Throws Error when they cannot be started or do not come, and what the place's while_waiting
  /// throws.
  void gather();

  /// Where the run ends before gather(): ends those that somebody else has started with this exit
  /// code, and waits for them for some seconds. Nothing after all have been gathered.
  void dismiss(int exit_code) noexcept;

  /// Waits for the others after the last thing that they were told. What still runs afterwards, of
  /// those that this process has started, is ended by the destructor.
  void wait();

  /// Ends the group where the others may wait for this process: they then find it lost, and, where
  /// `interrupted`, that it was asked to stop. Those that stop at the same place by themselves get
  /// a moment for that before. Waits for them for some seconds. Without a group: as dismiss() after
  /// a failure.
  void part(bool interrupted);

  /// Whether there is no group, or one that has lost a process.
  bool is_lost() const { return !group_ || group_->is_lost(); }

  /// Whether one of the processes has ended because it was asked to stop.
  bool was_interrupted() const { return meeting_->has_interrupted(); }

  /// The error to show in the place of `error`, which a run has ended with: where another process
  /// is the cause, that one with its reason.
  std::exception_ptr explained(std::exception_ptr error);

 private:
  void wait_for_all(const std::function<int()>& number);
  void wait_for_ends(std::chrono::milliseconds limit);
  std::string cause();

  ProcessPlace place_;
  int size_;
  bool decided_ = false;  ///< what the others are to do
  std::unique_ptr<Meeting> meeting_;
  std::optional<ChildProcesses> children_;
  std::unique_ptr<ProcessGroup> group_;
  std::optional<GroupInUse> in_use_;
};

}  // namespace bissl::host
