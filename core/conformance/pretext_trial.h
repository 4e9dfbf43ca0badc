#pragma once

#include "bissl/pretext.h"
#include "conformance/checker.h"
#include "conformance/replay.h"
#include "conformance/samples.h"

#include <c10/core/ScalarType.h>

#include <functional>
#include <memory>
#include <vector>

namespace bissl {

/// The sample backbone, with a memory of what its buffers were after each pass.
class ObservedBackbone : public Backbone {
 public:
  explicit ObservedBackbone(std::shared_ptr<Backbone> inner);
  at::Tensor forward(const at::Tensor& images) override;
  int64_t features() const override { return inner_->features(); }
  torch::nn::Module& module() override { return inner_->module(); }

  /// From now on: forgets the passes so far.
  void begin();
  /// Throws a Violation if a buffer is none of what it was at begin() or after a pass since.
  void require_buffers_of_a_pass(const std::string& call) const;

 private:
  TensorList buffers() const;
  bool has_seen(const TensorList& buffers) const;
  std::shared_ptr<Backbone> inner_;
  std::vector<TensorList> seen_;
  bool changed_between_ = false;  ///< buffers were none of them when a pass began
};

/// A pretext task under test, in training mode, with a backbone for it.
class PretextTrial {
 public:
  /// `seed`: of the initial weights of both.
  PretextTrial(const Checker& checker, at::ScalarType type, uint64_t seed = 6);

  /// Views of so many samples, the same for the same seed.
  Views views(int64_t samples, uint64_t seed, const ImageShape& shape = sample_input) const;

  /// The loss with its graph, as a pass that is no training.
  at::Tensor evaluate(const Views& views, uint64_t noise = 1) const;
  /// The loss with its graph, as in training: buffers move.
  at::Tensor loss(const Views& views) const { return pretext->loss(*backbone, views); }
  /// A training step; `whole`: with after_step.
  void step(int64_t number, bool whole = true) const;
  /// before_step and after_step of a step without gradients, as the host calls them.
  void before_step(int64_t number) const;
  void after_step(int64_t number) const;

  /// Another instance of the task, with a backbone of the same weights at hand.
  std::shared_ptr<Pretext> make() const;

  TensorList backbone_parameters() const;
  TensorList parameters() const;

  std::shared_ptr<ObservedBackbone> backbone;
  std::shared_ptr<Pretext> pretext;

 private:
  const Checker& checker_;
  at::ScalarType type_;
};

/// Throws a Violation unless the loss is a finite real scalar with a graph.
void require_scalar(const at::Tensor& loss);

/// The part of check_pretext that concerns the views: each counts, batches and images of other
/// sizes, equal views, samples that couple as declared.
void check_pretext_inputs(Checker& checker);

/// Makes trials in single precision, to be trained and continued elsewhere.
LearnerFactory pretext_learners(const Checker& checker);

/// Batches of the trial.
inline constexpr int64_t trial_samples = 8;

/// The steps that trials are said to have; more than any of them makes.
inline constexpr int64_t trial_steps = 100;

/// Calls `step` with numbers from 0, `most` times or until two seconds are over, at least thrice.
void repeat(int64_t most, const std::function<void(int64_t)>& step);

}  // namespace bissl
