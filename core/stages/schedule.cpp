#include "stages/schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace bissl::host {
namespace {

/// The length of the warm-up, in steps.
double warmup_of(const ScheduleOptions& options, double steps_per_epoch) {
  return options.warmup_epochs > 0 ? options.warmup_epochs * steps_per_epoch
                                   : static_cast<double>(options.warmup_steps);
}

}  // namespace

Schedule::Schedule(const ScheduleOptions& options, int64_t total, double steps_per_epoch)
    : cosine_(options.use == "cosine"),
      end_factor_(options.end_factor),
      // The smaller of the two while it is a double: a warm-up may be longer than any integer.
      warmup_(std::llround(
          std::min(static_cast<double>(total), std::round(warmup_of(options, steps_per_epoch))))),
      total_(total) {}

double Schedule::lr_scale(int64_t step) const {
  if (step < warmup_) {
    return static_cast<double>(step + 1) / static_cast<double>(warmup_);
  }
  if (!cosine_ || total_ - warmup_ <= 1) {
    return 1.0;
  }
  const double progress =
      static_cast<double>(step - warmup_) / static_cast<double>(total_ - warmup_ - 1);
  return end_factor_ + (1.0 - end_factor_) * 0.5 * (1.0 + std::cos(M_PI * std::min(progress, 1.0)));
}

Schedule make_schedule(const Table& table, int64_t steps, int64_t samples, int64_t batch) {
  return {parse_schedule(table), steps, static_cast<double>(samples) / static_cast<double>(batch)};
}

std::vector<std::string> doubts(const ScheduleOptions& options, int64_t total,
                                double steps_per_epoch) {
  const double asked = warmup_of(options, steps_per_epoch);
  const double taken = std::round(asked);
  const bool by_epochs = options.warmup_epochs > 0;
  const std::string given = by_epochs ? fmt::format("warmup_epochs = {}", options.warmup_epochs)
                                      : fmt::format("warmup_steps = {}", options.warmup_steps);
  const auto whole = static_cast<double>(total);
  constexpr double far = 0.1;
  std::vector<std::string> found;
  if (taken > whole) {
    found.push_back(
        fmt::format("{} is {:.6g} steps, and the stage has {}: the warm-up is shortened "
                    "to the stage, and the learning rate is at its base in the last step only",
                    given, taken, total));
  } else if (asked > 0 && taken == 0) {
    found.push_back(fmt::format("{} is {:.2g} steps, less than half of one: there is no warm-up",
                                given, asked));
  } else if (std::abs(taken - asked) > far * asked) {
    found.push_back(fmt::format("{} is {:.2g} steps; the warm-up takes {}", given, asked, taken));
  }
  if (options.use == "cosine" && taken >= whole && asked > 0) {
    found.push_back(
        fmt::format("{} leaves none of the stage's {} steps to the cosine", given, total));
  }
  return found;
}

}  // namespace bissl::host
