#pragma once

#include "bissl/component.h"
#include "bissl/export.h"
#include "bissl/tensor_list.h"

#include <string_view>

namespace bissl {

/// Updates parameters from their gradients. Threads: one at a time; without gradients.
class BISSL_API Optimizer : public Component {
 public:
  ~Optimizer() override;

  /// One update from the parameters' grad() at `lr_scale` times the optimizer's own learning rate;
  /// the factor comes from the schedule. A parameter without gradient is left alone.
  virtual void step(double lr_scale) = 0;

  /// The base learning rate.
  virtual double learning_rate() const = 0;

  /// Everything that the next step depends on besides parameters and gradients. Names are unique.
  virtual NamedTensors state() const = 0;

  /// Restores what state() gave, for the same parameters. Throws Error when names or shapes differ.
  virtual void load_state(const NamedTensors& state) = 0;
};

/// An ability of optimizers of the heavy-ball kind.
class OptimizerMomentum {
 public:
  /// Of this ability and revision.
  static constexpr std::string_view id = "bissl.optimizer.momentum/1";

  /// The momentum coefficient, at least 0 and less than 1; for estimates such as the effective
  /// learning rate lr/(1 − momentum), and for approximators that go back through steps.
  virtual double momentum() const = 0;

 protected:
  ~OptimizerMomentum() = default;
};

/// An ability of optimizers that scale gradients per element.
class OptimizerPreconditioner {
 public:
  /// Of this ability and revision.
  static constexpr std::string_view id = "bissl.optimizer.preconditioner/1";

  /// How the next step scales gradients: with `gradients` (one for each parameter; undefined where
  /// none is needed) it changes by −lr·(result ∘ change of the gradients). Changes nothing.
  virtual TensorList preconditioner(const TensorList& gradients) const = 0;

 protected:
  ~OptimizerPreconditioner() = default;
};

/// An ability of optimizers that take weight decay, for its schedules and for groups of parameters
/// with a decay of their own. Where the optimizer leaves it out for some parameters, that stays so.
class OptimizerWeightDecay {
 public:
  /// Of this ability and revision.
  static constexpr std::string_view id = "bissl.optimizer.weight_decay/1";

  /// The coefficient that the next step takes; the options', before set_weight_decay was called.
  virtual double weight_decay() const = 0;

  /// Takes `value`, at least 0, from the next step on. No part of Optimizer::state: who calls it
  /// calls it before every step.
  virtual void set_weight_decay(double value) = 0;

 protected:
  ~OptimizerWeightDecay() = default;
};

/// What the factory of an optimizer is given besides its options.
struct OptimizerContext {
  NamedTensors parameters;  ///< leaves that require gradients, with unique names
};

}  // namespace bissl
