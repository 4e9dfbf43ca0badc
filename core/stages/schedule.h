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
  /// Then a cosine falls from 1 to `end_factor`, which the last step reaches (a single step after
  /// the warm-up has 1).
  ///
  /// A warm-up in epochs is rounded to steps; one that is longer than the stage fills it.
  double lr_scale(int64_t step) const;

 private:
  bool cosine_;
  double end_factor_;
  int64_t warmup_;
  int64_t total_;
};

/// The schedule of a stage's table for `steps` steps of `batch` among `samples` samples.
Schedule make_schedule(const Table& table, int64_t steps, int64_t samples, int64_t batch);

/// What the schedule does otherwise than asked for in a stage of `total` steps; empty if nothing.
std::vector<std::string> doubts(const ScheduleOptions& options, int64_t total,
                                double steps_per_epoch);

}  // namespace bissl::host
