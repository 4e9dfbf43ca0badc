#include "stages/pace.h"

#include "bissl/error.h"
#include "stages/option_schemas.h"
#include "stages/rates_options.h"

namespace bissl::host {

std::optional<Pace::Decay> Pace::decay_of(const Table& table, Optimizer& optimizer, int64_t steps) {
  const std::optional<DecayOptions> options = parse_decay(table);
  if (!options) {
    return std::nullopt;
  }
  const std::string name = table.component("optimizer").describe();
  auto* ability = capability<OptimizerWeightDecay>(optimizer);
  if (ability == nullptr) {
    fail_input("rates.weight_decay: {} has no weight decay that could be set", name);
  }
  if (ability->weight_decay() == 0) {
    fail_input(
        "rates.weight_decay: the weight decay of {} is 0, and factors leave it there: give "
        "the one at the beginning as its weight_decay",
        name);
  }
  const ScheduleOptions factor{
      .use = options->use, .end_factor = options->end_factor, .power = options->power};
  return Decay{{factor, steps, 1.0}, ability->weight_decay(), ability};
}

std::optional<Pace::Momentum> Pace::momentum_of(const Table& table, Optimizer& optimizer,
                                                int64_t steps) {
  const std::optional<MomentumOptions> options = parse_momentum(table);
  if (!options) {
    return std::nullopt;
  }
  auto* ability = capability<OptimizerMomentumSetting>(optimizer);
  if (ability == nullptr) {
    fail_input("rates.momentum: {} has no momentum that could be set",
               table.component("optimizer").describe());
  }
  ScheduleOptions share{.use = options->use, .end_factor = 0, .power = options->power};
  if (options->use != "one-cycle") {
    return Momentum{{share, steps, 1.0}, ability->momentum(), options->to, ability};
  }
  const ScheduleOptions rate = parse_schedule(table);
  if (rate.use != "one-cycle") {
    fail_input(
        "rates.momentum: \"one-cycle\" falls while the learning rate rises and rises while that "
        "falls, and schedule.use is \"{}\": choose \"one-cycle\" there, too, or another one here",
        rate.use);
  }
  // That schedule's share runs from 0 to 1, where the learning rate has its peak, and to 0 again.
  share.start_factor = 0;
  share.rise = rate.rise;
  return Momentum{{share, steps, 1.0}, options->to, ability->momentum(), ability};
}

Pace::Pace(const Table& table, Optimizer& optimizer, int64_t steps, int64_t samples,
           int64_t step_samples)
    : rate_(make_schedule(table, steps, samples, step_samples)),
      decay_(decay_of(table, optimizer, steps)),
      momentum_(momentum_of(table, optimizer, steps)) {}

double Pace::begin(int64_t step) const {
  if (decay_) {
    decay_->ability->set_weight_decay(decay_->start * decay_->factor.lr_scale(step));
  }
  if (momentum_) {
    const double share = momentum_->share.lr_scale(step);
    momentum_->ability->set_momentum(momentum_->to + (momentum_->from - momentum_->to) * share);
  }
  return rate_.lr_scale(step);
}

}  // namespace bissl::host
