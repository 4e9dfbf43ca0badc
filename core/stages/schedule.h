#pragma once

#include "stages/options.h"

#include <cstdint>
#include <string>
#include <vector>

namespace bissl::host {

/// The learning rate over time, as a factor (`lr_scale`) on the optimizer's base learning rate.
class Schedule {
 public:
  /// For `total` steps, of which `steps_per_epoch` (a fraction, if need be) make an epoch.
  Schedule(const ScheduleOptions& options, int64_t total, double steps_per_epoch);

  /// The factor for step `step` in 0 … total − 1. During a warm-up of w steps it is (step + 1)/w.
  /// Then, with n = total − w, k = step − w and e = `end_factor`:
  ///
  ///     constant       1
  ///     cosine         e + (1 − e)·½·(1 + cos(π·k/(n − 1)))
  ///     polynomial     e + (1 − e)·(1 − k/(n − 1))^power
  ///     exponential    e^(k/(n − 1))
  ///     step           factor^(milestones m with step ≥ m·total, rounded)
  ///     one-cycle      a cosine from `start_factor` to 1 in `rise`·total − 1 steps, then one to e
  ///     warm-restarts  cosine over k'/T, k' steps into a cycle of T steps; cycle i is
  ///     cycle_growthⁱ
  ///                    times as long as the first, all together n steps
  ///
  /// Where the last step reaches e, a single step after the warm-up has 1.
  ///
  /// With `open_end` n takes the place of n − 1; with `set_after_step` step t has the factor of
  /// step t − 1, and the first one 1.
  ///
  /// A warm-up in epochs is rounded to steps; one that is longer than the stage fills it.
  double lr_scale(int64_t step) const;

 private:
  double scale_at(int64_t step) const;
  double falling(int64_t step) const;
  double one_cycle(int64_t step) const;
  double restarting(int64_t step) const;
  double stepped(int64_t step) const;

  ScheduleOptions options_;
  int64_t warmup_;
  int64_t total_;
};

/// The schedule of a stage's table for `steps` steps of `batch` among `samples` samples.
Schedule make_schedule(const Table& table, int64_t steps, int64_t samples, int64_t batch);

/// What the schedule does otherwise than asked for in a stage of `total` steps; empty if nothing.
std::vector<std::string> doubts(const ScheduleOptions& options, int64_t total,
                                double steps_per_epoch);

}  // namespace bissl::host
