#pragma once

#include "bissl/component.h"

#include <string_view>

namespace bissl {

// What an optimizer may have besides its work, found by its identifier (bissl/component.h). Earlier
// ones are in bissl/optimizer.h.

/// An ability of optimizers that keep a share of their last update, for schedules of that share:
/// the momentum of the heavy-ball kind, β₁ of Adam's.
class OptimizerMomentumSetting {
 public:
  /// Of this ability and revision.
  static constexpr std::string_view id = "bissl.optimizer.momentum-setting/1";

  /// The share that the next step takes; the options', before set_momentum was called.
  virtual double momentum() const = 0;

  /// Takes `value`, at least 0 and less than 1, from the next step on. No part of Optimizer::state:
  /// who calls it calls it before every step.
  virtual void set_momentum(double value) = 0;

 protected:
  ~OptimizerMomentumSetting() = default;
};

}  // namespace bissl
