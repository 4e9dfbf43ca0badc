#pragma once

#include "bissl/component.h"
#include "bissl/export.h"
#include "bissl/tensor_list.h"

namespace bissl {

/// Updates parameters from their gradients. Threads: one at a time; without gradients.
class BISSL_API Optimizer : public Component {
 public:
  ~Optimizer() override;

  /// One update from the parameters' grad() at `rate` times the optimizer's own learning rate; the
  /// factor comes from the schedule. A parameter without gradient is left alone.
  virtual void step(double rate) = 0;

  /// The base learning rate.
  virtual double learning_rate() const = 0;

  /// The momentum coefficient of heavy-ball style methods, 0 where there is none; for estimates
  /// such as the effective learning rate lr/(1 − momentum).
  virtual double momentum() const;

  /// How the next step scales gradients: with `gradients` (one for each parameter; undefined where
  /// none is asked for) it changes by −lr·(result ∘ change of the gradients). Changes nothing. An
  /// empty list, the default, stands for ones.
  virtual TensorList preconditioner(const TensorList& gradients) const;

  /// Everything that the next step depends on besides parameters and gradients. Names are unique.
  virtual NamedTensors state() const = 0;

  /// Restores what state() gave, for the same parameters. Throws Error when names or shapes differ.
  virtual void load_state(const NamedTensors& state) = 0;
};

/// What the factory of an optimizer is given besides its options.
struct OptimizerContext {
  NamedTensors parameters;  ///< leaves that require gradients, with unique names
};

}  // namespace bissl
