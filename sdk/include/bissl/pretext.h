#pragma once

#include "bissl/backbone.h"
#include "bissl/backbone_abilities.h"
#include "bissl/batch.h"
#include "bissl/batch_coupling.h"
#include "bissl/component.h"
#include "bissl/export.h"
#include "bissl/image.h"
#include "bissl/targets.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace bissl {

/// Where the training of a pretext task is. A stage counts its own steps from 0, also one that
/// continues another; inside a bissl stage they are the lower level's, through all rounds.
struct TrainingProgress {
  int64_t step = 0;   ///< the step under way, or the one just done: 0 … steps − 1
  int64_t steps = 1;  ///< of the whole stage
};

/// A self-supervised task: the loss L_P and the module holding its own weights φ_P.
///
/// A step of training is: before_step, loss, the optimizer's step, after_step. The host also calls
/// `loss` alone, without training: for Hessian products, shifted gradients, audits and checks.
/// Around such a call it restores the buffers of both modules and LibTorch's random generator.
/// Therefore:
///
/// - All state is in module(), registered when the factory returns, with its final names, shapes
///   and types. Checkpoints, later stages and audits copy it by name.
/// - What a step saw (keys for a queue, a centre) goes into a buffer within `loss`, in place and
///   without gradients. Where the graph needs the buffer as it was, it holds a clone of it.
/// - What a step made of the weights (a moving average) goes into a buffer, or into a parameter
///   that requires no gradient, within `after_step`.
/// - What `loss` takes from the progress goes into a buffer within `before_step`.
///
/// Threads: one at a time.
class BISSL_API Pretext : public Component {
 public:
  ~Pretext() override;

  /// How many views of each sample the loss needs.
  virtual int64_t views() const = 0;

  /// How the samples of a batch are coupled in the loss; the same at each call. The mean over
  /// parts of a batch is the loss of the whole for a separable one alone: the host accumulates
  /// gradients over several batches for these, and refuses to for others.
  virtual BatchCoupling coupling() const = 0;

  /// Whether the loss reads Batch::geometry; the same at each call.
  virtual bool reads_geometry() const;

  /// Whether the loss treats something that depends on the trained weights as a constant, by
  /// detach(): a stop-gradient on the other branch (SimSiam), assignments or pseudo-labels made
  /// from the batch (SwAV). Its gradient is then on purpose not that of the loss's value, and its
  /// Hessian is that of the loss as a function of the weights with these targets as constants.
  /// Exact products use that one; differences of gradients move the targets as well. False for
  /// targets of a teacher that is registered in module(), whose weights are none of the trained
  /// ones, and for targets that are constant almost everywhere (the most likely class): there the
  /// gradient is that of the value.
  virtual bool holds_targets_fixed() const;

  /// The loss of one batch, a scalar that is twice differentiable in the backbone's parameters.
  /// There are views() views, each of the same samples, and what else the task requests
  /// (bissl/batch.h). It changes neither parameters nor modes, and of the backbone only what its
  /// forward passes change.
  virtual at::Tensor loss(Backbone& backbone, const Batch& batch) = 0;

  /// Called before the loss of each step of training, without gradients: takes what the loss
  /// needs of the progress (a temperature, a weight) into buffers.
  virtual void before_step(const TrainingProgress& progress);

  /// Called after each optimizer step of training, without gradients: moving averages. It must
  /// leave the backbone alone.
  virtual void after_step(Backbone& backbone, const TrainingProgress& progress);

  /// Holds φ_P and every other state (as buffers, or as parameters that require no gradient).
  virtual torch::nn::Module& module() = 0;
};

/// What the factory of a pretext task is given besides its options. Valid until the factory
/// returns.
struct PretextContext {
  int64_t features = 0;  ///< width of the backbone's features

  /// The shape of each view in order, or a single one that holds for any number of views.
  std::vector<ImageShape> views{};

  /// The steps of the stage; inside a bissl stage those of its lower level, all rounds together.
  int64_t steps = 1;

  /// Of the data that batches are drawn from: Batch::indices are below it. For buffers with a row
  /// per sample, and for refusing a queue that is longer than the data.
  int64_t samples = 0;
  /// The categories of that data; 0 where it has none. It is known to tasks that take no labels as
  /// well, for refusing fewer prototypes than that.
  int64_t classes = 0;
  /// Samples of a batch of training. A stage may accumulate the gradients of several in a step.
  int64_t batch = 0;
  /// Samples of a batch that Hessian products are made of; in other stages the same as batch.
  int64_t hessian_batch = 0;

  /// Makes a second backbone with the student's weights of now, on its device, in training mode;
  /// none of its parameters requires a gradient. A teacher is made here and registered with
  /// register_backbone (bissl/teacher.h). It draws nothing from LibTorch's generator. In a stage
  /// that continues another, the host then loads the task's state of that stage over it.
  std::function<std::shared_ptr<Backbone>()> make_backbone{};

  /// The backbone that is trained, for the abilities that the task needs: feature maps or tokens
  /// (bissl/backbone_abilities.h). Each call of the task gets its own.
  Backbone* backbone = nullptr;
  /// Its name in errors.
  std::string backbone_name{};

  /// Of the data: a kind that the task takes (ComponentText::takes), with K = targets.width. Kind
  /// none for tasks that take no targets.
  TargetSpec targets{};

  /// The ability `Ability` of the backbone, in the factory. Throws Error(ErrorKind::input), which
  /// names ability and backbone, where it has none.
  template <class Ability>
  Ability& require() const {
    return require_ability<Ability>(*backbone, backbone_name);
  }
};

}  // namespace bissl
