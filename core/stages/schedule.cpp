#include "stages/schedule.h"

#include <algorithm>
#include <cmath>

namespace bissl {

Schedule::Schedule(const ScheduleOptions& options, int64_t total, double steps_per_epoch)
    : cosine_(options.use == "cosine"),
      final_(options.final),
      warmup_(options.warmup_epochs > 0 ? std::llround(options.warmup_epochs * steps_per_epoch)
                                        : options.warmup_steps),
      total_(total) {
  warmup_ = std::min(warmup_, total_);
}

double Schedule::rate(int64_t step) const {
  if (step < warmup_) {
    return static_cast<double>(step + 1) / static_cast<double>(warmup_);
  }
  if (!cosine_ || total_ - warmup_ <= 1) {
    return 1.0;
  }
  const double progress =
      static_cast<double>(step - warmup_) / static_cast<double>(total_ - warmup_ - 1);
  return final_ + (1.0 - final_) * 0.5 * (1.0 + std::cos(M_PI * std::min(progress, 1.0)));
}

}  // namespace bissl
