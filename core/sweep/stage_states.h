#pragma once

#include "store/stage_store.h"
#include "store/sweep_folder.h"
#include "store/sweep_plan.h"

#include <optional>
#include <set>
#include <string>
#include <vector>

namespace bissl::host {

enum class WorkState {
  waiting,
  running,
  stale,  ///< begun, and whoever worked on it is gone
  done,
  failed
};

const char* to_string(WorkState state);

/// The stages of a sweep, by their keys: which are done, which run, which failed. Read from the
/// store and the sweep's folder. For one thread.
class StageStates {
 public:
  /// All must outlive it.
  StageStates(const SweepPlan& plan, StageStore& store, const SweepFolder& files)
      : plan_(plan), store_(store), files_(files) {}

  WorkState state(const std::string& key);
  /// Forgets that a stage was seen finished: it was found damaged.
  void forget_done(const std::string& key) { done_.erase(key); }

  void record_failure(const Failure& failure) const { files_.record(failure); }
  std::optional<Failure> failure(const std::string& key) const;
  /// The failure of the stage or of one that it continues.
  std::optional<Failure> failure_above(const std::string& key) const;
  /// Those of stages that are not done.
  std::vector<Failure> failures() const;

  /// The seconds that went into a finished stage; 0 if it is gone.
  double seconds_of(const std::string& key) const;

 private:
  const SweepPlan& plan_;
  StageStore& store_;
  const SweepFolder& files_;
  std::set<std::string> done_;
};

}  // namespace bissl::host
