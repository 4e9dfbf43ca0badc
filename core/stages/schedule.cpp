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

/// From `begin` to `end` as `progress` runs from 0 to 1, level at both ends.
double cosine(double begin, double end, double progress) {
  return end + (begin - end) * 0.5 * (1.0 + std::cos(M_PI * progress));
}

/// The first step at whose learning rate a milestone counts.
int64_t step_of(double milestone, int64_t total) {
  return std::llround(milestone * static_cast<double>(total));
}

/// What milestones do otherwise than asked for, where some round to a step that is no place for
/// them, or two of them to one.
void add_doubts_of_milestones(const std::vector<double>& milestones, double warmup, int64_t total,
                              std::vector<std::string>& found) {
  for (size_t i = 0; i < milestones.size(); ++i) {
    const int64_t step = step_of(milestones[i], total);
    const std::string place = fmt::format("{} of {} steps", milestones[i], total);
    if (step >= total) {
      found.push_back(
          fmt::format("milestones: {} rounds to the stage's end and has no effect", place));
    } else if (i == 0 && static_cast<double>(step) < warmup) {
      found.push_back(fmt::format(
          "milestones: the first one, {}, lies within the warm-up of {:.6g} steps", place, warmup));
    } else if (i == 0 && step == 0) {
      found.push_back(fmt::format(
          "milestones: {} rounds to the first step, so no step has the base learning rate", place));
    } else if (i > 0 && step == step_of(milestones[i - 1], total)) {
      found.push_back(
          fmt::format("milestones: {} rounds to step {}, as the one before it: the "
                      "learning rate is multiplied twice at once",
                      place, step));
    }
  }
}

/// What the shape after the warm-up does otherwise than asked for.
void add_doubts_of_shape(const ScheduleOptions& options, double warmup, int64_t total,
                         std::vector<std::string>& found) {
  const auto whole = static_cast<double>(total);
  if (options.use == "step") {
    add_doubts_of_milestones(options.milestones, warmup, total, found);
  }
  if (options.use == "one-cycle" && options.rise > 0 && options.rise * whole <= 1.0) {
    found.push_back(fmt::format(
        "rise = {} of {} steps is not more than one: the learning rate does not rise, the first "
        "step has its base",
        options.rise, total));
  }
  if (options.use == "warm-restarts" && static_cast<double>(options.cycles) > whole - warmup) {
    found.push_back(fmt::format("cycles = {} is more than the {:.6g} steps after the warm-up",
                                options.cycles, std::max(0.0, whole - warmup)));
  }
}

}  // namespace

Schedule::Schedule(const ScheduleOptions& options, int64_t total, double steps_per_epoch)
    : options_(options),
      // The smaller of the two while it is a double: a warm-up may be longer than any integer.
      warmup_(std::llround(
          std::min(static_cast<double>(total), std::round(warmup_of(options, steps_per_epoch))))),
      total_(total) {}

double Schedule::lr_scale(int64_t step) const {
  if (!options_.set_after_step) {
    return scale_at(step);
  }
  return step == 0 ? 1.0 : scale_at(step - 1);
}

double Schedule::scale_at(int64_t step) const {
  if (step < warmup_) {
    return static_cast<double>(step + 1) / static_cast<double>(warmup_);
  }
  if (options_.use == "constant") {
    return 1.0;
  }
  if (options_.use == "step") {
    return stepped(step);
  }
  if (options_.use == "one-cycle") {
    return one_cycle(step);
  }
  if (options_.use == "warm-restarts") {
    return restarting(step);
  }
  return falling(step);
}

double Schedule::falling(int64_t step) const {
  const int64_t last = total_ - warmup_ - (options_.open_end ? 0 : 1);
  if (last < 1) {
    return 1.0;
  }
  const double progress =
      std::min(static_cast<double>(step - warmup_) / static_cast<double>(last), 1.0);
  const double end = options_.end_factor;
  if (options_.use == "polynomial") {
    return end + (1.0 - end) * std::pow(1.0 - progress, options_.power);
  }
  if (options_.use == "exponential") {
    return std::pow(end, progress);
  }
  return cosine(1.0, end, progress);
}

double Schedule::one_cycle(int64_t step) const {
  const auto last = static_cast<double>(total_ - 1);
  const double peak = std::max(0.0, options_.rise * static_cast<double>(total_) - 1.0);
  const double now = std::min(static_cast<double>(step), last);
  if (now < peak) {
    return cosine(options_.start_factor, 1.0, now / peak);
  }
  return last > peak ? cosine(1.0, options_.end_factor, (now - peak) / (last - peak)) : 1.0;
}

double Schedule::restarting(int64_t step) const {
  double whole = 0;
  for (int64_t i = 0; i < options_.cycles; ++i) {
    whole += std::pow(options_.cycle_growth, static_cast<double>(i));
  }
  double length = static_cast<double>(total_ - warmup_) / whole;
  auto within = static_cast<double>(step - warmup_);
  // Lengths are sums of rounded numbers: a cycle that ends at a step must not reach beyond it.
  constexpr double slack = 1e-9;
  for (int64_t i = 1; i < options_.cycles && within >= length * (1.0 - slack); ++i) {
    within = std::max(0.0, within - length);
    length *= options_.cycle_growth;
  }
  return cosine(1.0, options_.end_factor, std::min(within / length, 1.0));
}

double Schedule::stepped(int64_t step) const {
  double factor = 1.0;
  for (const double milestone : options_.milestones) {
    if (step >= step_of(milestone, total_)) {
      factor *= options_.factor;
    }
  }
  return factor;
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
  if (options.use != "constant" && taken >= whole && asked > 0) {
    found.push_back(
        fmt::format("{} leaves none of the stage's {} steps to the {}", given, total, options.use));
  } else {
    add_doubts_of_shape(options, taken, total, found);
  }
  return found;
}

}  // namespace bissl::host
