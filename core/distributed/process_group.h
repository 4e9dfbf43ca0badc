#pragma once

#include "bissl/error.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

/// What is thrown where another process is gone, or has not answered for too long.
class ProcessLost : public Error {
 public:
  explicit ProcessLost(const std::string& what) : Error(ErrorKind::run, what) {}
};

/// Processes that train one network together, this one among them. A call that concerns all must
/// be made by all, in the same order. Calls that need another process throw ProcessLost when it is
/// gone, within seconds, or when it has not answered within the time limit. Threads: one at a time.
class ProcessGroup {
 public:
  ProcessGroup() = default;
  virtual ~ProcessGroup() = default;
  ProcessGroup(const ProcessGroup&) = delete;
  ProcessGroup& operator=(const ProcessGroup&) = delete;

  /// The number of this process: 0 … size() − 1. Process 0 leads.
  virtual int rank() const = 0;
  virtual int size() const = 0;

  /// Adds up over the processes, in place; the same bits on each. A contiguous tensor of floating
  /// point numbers, of one shape and type on all. For all.
  virtual void sum(at::Tensor& values) = 0;
  /// Process 0's values on all, in place. Contiguous, of one shape and type on all. For all.
  virtual void broadcast(at::Tensor& values) = 0;
  /// Returns when all have called it. For all.
  virtual void wait_for_all() = 0;

  /// Leaves a text for all others; for process 0.
  virtual void announce(const std::string& text) = 0;
  /// The next text that process 0 has announced, waited for without a limit, with the place's
  /// while_waiting; for all others.
  virtual std::string announced() = 0;

  /// Leaves the reason why this process ends, for process 0 to print. False if that is gone.
  virtual bool leave_reason(const std::string& text) noexcept = 0;
  /// What a process left, empty if nothing; for process 0.
  virtual std::string reason_of(int rank) noexcept = 0;

  /// Whether a call has thrown ProcessLost.
  virtual bool is_lost() const = 0;
};

/// Where processes find each other.
struct MeetingPlace {
  int rank = 0;
  int size = 1;
  std::string host = "127.0.0.1";  ///< of process 0
  int port = 0;                    ///< of process 0; 0, on process 0 alone: any that is free
  bool one_machine = true;         ///< whether all processes are on this machine
  bool hosted = false;             ///< whether somebody else (torchrun) keeps the meeting point
  /// How often the processes have been started before. A meeting point that outlives them still has
  /// what the earlier ones left, which is not of these.
  int attempt = 0;
  /// Called every few milliseconds by what waits without a limit; may throw to end that.
  std::function<void()> while_waiting{};
};

/// The meeting point as one process sees it: process 0 opens it, the others connect. Process 0
/// decides when all have arrived, or before where there is nothing to do; then all that are to
/// form the group do so. The others leave at their end, and process 0 keeps the meeting point open
/// for that long.
class Meeting {
 public:
  Meeting() = default;
  virtual ~Meeting() = default;
  Meeting(const Meeting&) = delete;
  Meeting& operator=(const Meeting&) = delete;

  /// The port that it is found at.
  virtual int port() const = 0;
  /// How many processes have connected, this one included.
  virtual int arrived() const = 0;

  /// Tells all others, once, that the group is to be formed, or, with an exit code, that the run
  /// ends before it began; for process 0.
  virtual void decide(std::optional<int> exit_code) = 0;
  /// What process 0 has decided, waited for without a limit; for all others. Throws ProcessLost,
  /// and what while_waiting throws.
  virtual std::optional<int> decided() = 0;
  /// How many processes know that the group is to be formed, this one included; for process 0.
  virtual int ready() const = 0;
  /// Makes the group; throws ProcessLost where a process does not come. For all.
  virtual std::unique_ptr<ProcessGroup> form() = 0;

  /// Says that this process needs the meeting point no longer, and whether it ends because it was
  /// asked to stop. Process 0 has to say so only in the latter case.
  virtual void leave(bool interrupted) noexcept = 0;
  /// How many of the processes beside process 0 have left; all where the meeting point is gone.
  virtual int left() const noexcept = 0;
  /// Whether one has left because it was asked to stop; false where the meeting point is gone.
  virtual bool has_interrupted() const noexcept = 0;
};

/// Whether the program was built with what several processes need.
bool has_process_groups();

/// Opens the meeting point or connects to it. Throws Error(input) where the port is taken or the
/// program was built without several processes.
std::unique_ptr<Meeting> meet(const MeetingPlace& place);

/// The group that this process trains in; null for one that trains alone.
ProcessGroup* current_group();

/// Makes a group the current one while it lives.
class GroupInUse {
 public:
  explicit GroupInUse(ProcessGroup& group);
  ~GroupInUse();
  GroupInUse(const GroupInUse&) = delete;
  GroupInUse& operator=(const GroupInUse&) = delete;
};

}  // namespace bissl::host
