#pragma once

#include "bissl/optimizer.h"
#include "bissl/optimizer_abilities.h"
#include "pipeline/pipeline.h"
#include "stages/schedule.h"

#include <cstdint>
#include <optional>

namespace bissl::host {

/// What changes from step to step: the learning rate and, by `rates.weight_decay` and
/// `rates.momentum`, weight decay and momentum.
class Pace {
 public:
  /// For `steps` steps of `step_samples` among `samples` samples. `optimizer`, the one that
  /// make_optimizer made for the table, must outlive it. Throws Error(input) for schedules of what
  /// the optimizer does not have, of a weight decay of 0, and of a momentum that follows a rise and
  /// fall of the learning rate where there is none.
  Pace(const Table& table, Optimizer& optimizer, int64_t steps, int64_t samples,
       int64_t step_samples);

  /// To be called before step `step`: sets its weight decay and momentum, and returns its
  /// `lr_scale`.
  double begin(int64_t step) const;

 private:
  /// Weight decay: the optimizer's at the start times a factor.
  struct Decay {
    Schedule factor;
    double start;
    OptimizerWeightDecay* ability;
  };
  /// Momentum: `to`, and as much of the way back to `from` as the share says.
  struct Momentum {
    Schedule share;
    double from;
    double to;
    OptimizerMomentumSetting* ability;
  };

  static std::optional<Decay> decay_of(const Table& table, Optimizer& optimizer, int64_t steps);
  static std::optional<Momentum> momentum_of(const Table& table, Optimizer& optimizer,
                                             int64_t steps);

  Schedule rate_;
  std::optional<Decay> decay_;
  std::optional<Momentum> momentum_;
};

}  // namespace bissl::host
