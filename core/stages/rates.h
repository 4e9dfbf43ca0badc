#pragma once

#include "bissl/backbone.h"
#include "bissl/optimizer.h"
#include "bissl/optimizer_abilities.h"
#include "pipeline/pipeline.h"
#include "stages/option_schemas.h"
#include "stages/schedule.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bissl::host {

// The table `rates` of what is trained: how fast which parameters move.

/// `rates = { … }`
struct RatesOptions {
  std::string scaling = "none";
  int64_t scaling_batch = 256;
  double layer_decay = 1;
};

/// `rates`, for the tables that have an optimizer.
SubtableSpec rates_table();

/// The factor on the learning rate for steps of `step_samples` samples; 1 without `rates.scaling`.
double rate_scaling(const Table& table, int64_t step_samples);

/// Takes the parameters that the groups of `table` freeze out of what is trained: they require no
/// gradient from now on. `parameters` are all that would be, by their names. Throws Error(input)
/// where none is left.
void freeze(const Table& table, const NamedTensors& parameters);

/// Throws Error(input) where a group of `table` freezes parameters, which a level of a bissl stage
/// does not take; `path` leads to the table: "lower.".
void refuse_frozen(const Table& table, const std::string& path);

/// The optimizer of a table for `parameters`, whose names begin with "backbone." where they are
/// those of `backbone`, with what `rates` says of them. Throws Error(input) for a pattern that
/// matches no parameter, for weight decays of an optimizer that has none, and for a layer decay on
/// a backbone that does not know its layers' depths.
std::shared_ptr<Optimizer> make_optimizer(const Table& table, const NamedTensors& parameters,
                                          Backbone& backbone, int64_t step_samples);

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

/// The learning rates of a stage that `rates.scaling` has made, by the key of their optimizer:
/// ("lower.optimizer.lr", 0.4). Empty where nothing is scaled.
std::vector<std::pair<std::string, double>> scaled_rates(const Stage& stage);

}  // namespace bissl::host
