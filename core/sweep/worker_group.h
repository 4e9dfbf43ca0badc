#pragma once

#include "distributed/process_place.h"

#include <exception>
#include <memory>
#include <string>

namespace bissl::host {

class Team;

/// The processes that compute a worker's stages: the worker, which leads them, and others that it
/// starts for its first stage, and again after one that failed.
class WorkerGroup {
 public:
  /// How a stage ended that has thrown.
  struct Failure {
    bool interrupted = false;  ///< because another process was asked to stop
    std::string loss;          ///< another process is lost: which, and why; else empty
  };

  /// `place` is the worker's. One of a single process computes alone, and nothing here has an
  /// effect.
  explicit WorkerGroup(const ProcessPlace& place);
  ~WorkerGroup();
  WorkerGroup(const WorkerGroup&) = delete;
  WorkerGroup& operator=(const WorkerGroup&) = delete;

  /// Starts the others unless they are there. Throws as Team::gather().
  void gather();

  /// Ends the others after a stage that has thrown `error`: how far each of them got is not known.
  Failure ended_by(const std::exception_ptr& error);

  /// Ends the others when nothing is left to do, or when the worker was asked to stop.
  void end(bool interrupted);

 private:
  ProcessPlace place_;
  std::unique_ptr<Team> team_;  ///< null while there are no others
};

}  // namespace bissl::host
