#pragma once

#include "bissl/pretext.h"
#include "conformance/checker.h"
#include "conformance/observed_backbone.h"
#include "conformance/replay.h"
#include "conformance/samples.h"

#include <c10/core/ScalarType.h>

#include <functional>
#include <memory>
#include <string>

namespace bissl::host {

/// A pretext task under test, in training mode, with a backbone for it.
class PretextTrial {
 public:
  /// `seed`: of the initial weights of both.
  PretextTrial(const Checker& checker, at::ScalarType type, uint64_t seed = 6);

  /// Views of that number of samples, the same for the same seed.
  Views views(int64_t samples, uint64_t seed) const;
  /// The same of another shape than the backbone was made for.
  Views views(int64_t samples, uint64_t seed, const ImageShape& shape) const;

  /// Views, and with them indices and what the task asks for: targets of a kind that it takes, and
  /// places in images, which `seed` varies, as it does indices. All are functions of the number of
  /// samples.
  Batch batch(const Views& views, uint64_t seed = 0) const;

  /// The loss with its graph, as a pass that is no training.
  at::Tensor evaluate(const Batch& batch, uint64_t noise = 1) const;
  at::Tensor evaluate(const Views& views) const { return evaluate(batch(views)); }
  /// The loss with its graph, as in training: buffers move.
  at::Tensor loss(const Views& views) const { return pretext->loss(*backbone, batch(views)); }
  /// A training step; `whole`: with after_step.
  void step(int64_t number, bool whole = true) const;
  /// before_step and after_step of a step without gradients, as the host calls them.
  void before_step(int64_t number) const;
  void after_step(int64_t number) const;

  /// Another instance of the task, with a backbone of the same weights.
  std::shared_ptr<Pretext> make() const;

  TensorList backbone_parameters() const;
  TensorList parameters() const;

  std::shared_ptr<ObservedBackbone> backbone;
  std::shared_ptr<Pretext> pretext;

 private:
  const Checker& checker_;
  at::ScalarType type_;
};

/// An instance of the task in training mode, for `backbone`.
std::shared_ptr<Pretext> make_task(const Checker& checker, ObservedBackbone& backbone);

/// Why no instance can be made for want of an ability of the backbone; empty if that is not so.
std::string why_not_tried(const Checker& checker);

/// Throws a Violation unless the loss is a finite real scalar with a graph.
void require_scalar(const at::Tensor& loss);

/// The part of check_pretext that concerns the batch: each view counts, and what else is requested;
/// batches and images of other sizes, equal views, samples that couple as declared.
void check_pretext_inputs(Checker& checker);

/// Makes trials in single precision, to be trained and continued elsewhere.
LearnerFactory pretext_learners(const Checker& checker);

/// Batches of the trial.
inline constexpr int64_t trial_samples = 8;

/// The samples of the data that trials are said to draw from. No queue is longer by default; the
/// first sample of each batch is the last of the data.
inline constexpr int64_t trial_data = 1 << 17;

/// The steps that trials are said to have; more than any of them makes.
inline constexpr int64_t trial_steps = 100;

/// Calls `step` with numbers from 0, `most` times or until two seconds are over, at least thrice.
void repeat(int64_t most, const std::function<void(int64_t)>& step);

}  // namespace bissl::host
