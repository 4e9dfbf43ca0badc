#pragma once

#include "bissl/backbone.h"
#include "bissl/component.h"
#include "bissl/export.h"
#include "bissl/views.h"

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace bissl {

/// A self-supervised task: the loss L_P and the module holding its own weights φ_P.
///
/// Threads: one at a time.
class BISSL_API Pretext : public Component {
 public:
  ~Pretext() override;

  /// How many views of each sample the loss wants.
  virtual int64_t views() const = 0;

  /// Whether the loss of a batch is more than a mean over its samples (as in contrastive losses).
  /// The host then never splits a batch.
  virtual bool couples_samples() const = 0;

  /// The loss of one batch, a scalar that is twice differentiable in the backbone's parameters.
  /// There are views() of them, each of the same samples.
  ///
  /// The host may call this without training: for Hessian products, shifted gradients and checks.
  /// It then restores the buffers of both modules and LibTorch's random generator afterwards, so
  /// keep all other state out of this method: what a step changes belongs into after_step.
  virtual at::Tensor loss(Backbone& backbone, const Views& views) = 0;

  /// Called after each optimizer step of training, without gradients: moving averages, queues.
  virtual void after_step(Backbone& backbone);

  /// Holds φ_P and every other state (as buffers, or as parameters that require no gradient).
  virtual torch::nn::Module& module() = 0;
};

/// What the factory of a pretext task is given besides its options.
struct PretextContext {
  int64_t features = 0;  ///< width of the backbone's features
};

}  // namespace bissl
