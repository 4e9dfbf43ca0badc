#pragma once

#include "pipeline/table.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

// The host's own settings, one aggregate for each table of a stage. Their documentation is in the
// schemas, from which `bissl describe` prints it. Here is what several kinds of stage share.

/// `schedule = { … }`
struct ScheduleOptions {
  std::string use = "constant";
  double warmup_epochs = 0;
  int64_t warmup_steps = 0;
  double end_factor = 0.001;
  double power = 1;
  std::vector<double> milestones{};
  double factor = 0.1;
  double start_factor = 0.04;
  double rise = 0.3;
  int64_t cycles = 4;
  double cycle_growth = 1;
  bool open_end = false;
  bool set_after_step = false;
};

/// How long to train: exactly one of the two is set.
struct LengthOptions {
  std::optional<double> epochs;
  std::optional<int64_t> steps;
};

ScheduleOptions parse_schedule(const Table& stage);

/// Throws Error(input) for more steps of a stage than anybody trains (10^12), or more samples than
/// an integer of 64 bits can number. `what` leads to that many: "epochs = 1e300".
void check_countable(const std::string& what, double steps, int64_t batch);

/// Optimizer steps for a length, with `samples` in the data and `batch` of them a step; at least 1
/// for a length of more than 0. Throws as check_countable does.
int64_t steps_of(const LengthOptions& length, int64_t samples, int64_t batch);

/// batch·accumulate, or the largest integer where that is beyond it: check_countable refuses both.
int64_t samples_of(int64_t batch, int64_t accumulate);

/// Says so if that number of steps is far (over a tenth) from what `epochs` asks for; else empty.
std::string rounding_doubt(const LengthOptions& length, int64_t samples, int64_t batch);

}  // namespace bissl::host
