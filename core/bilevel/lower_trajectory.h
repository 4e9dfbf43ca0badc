#pragma once

#include "bissl/optimizer.h"
#include "bissl/pretext.h"
#include "bissl/system_abilities.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

namespace bissl::host {

class RecordedStep;

/// The last training steps of the lower level in the round under way, with all that evaluates them
/// again: weights and buffers of both models, the batches, and the state of LibTorch's random
/// generator. For approximators that differentiate through training.
///
/// Memory: both models and the batches of each step. Threads: one at a time.
class LowerTrajectory {
 public:
  /// Keeps up to `length` steps of these models, which must outlive it.
  LowerTrajectory(Backbone& backbone, Pretext& pretext, int64_t length, double lambda);
  ~LowerTrajectory();
  LowerTrajectory(const LowerTrajectory&) = delete;
  LowerTrajectory& operator=(const LowerTrajectory&) = delete;

  /// λ of the steps that are recorded or loaded from now on.
  void set_lambda(double lambda) { lambda_ = lambda; }

  /// Forgets all steps: a new round begins.
  void clear();

  /// To be called before a step on the mean over `batches`, of which the first has this number,
  /// with models and generator as the step's loss finds them.
  void before_step(std::vector<Batch> batches, int64_t number);
  /// The same for one batch.
  void before_step(const Batch& batch, int64_t number) {
    before_step(std::vector<Batch>{batch}, number);
  }

  /// To be called in that step, before `optimizer` moves the weights at `lr_scale` times its base
  /// rate; a step without this call has moved nothing. `gradients` are those it gets, the
  /// backbone's first; `clip` is the factor that clipping has put on them.
  void with_gradients(Optimizer& optimizer, const TensorList& gradients, double lr_scale,
                      double clip);

  /// The steps, oldest first. Their systems live until steps are added or forgotten; to evaluate
  /// one is without effect on the models, down to the bit.
  std::vector<LowerStep> steps() const;

  /// For checkpoints. Batches are not in it: `batches` makes them again from their numbers.
  NamedTensors state() const;
  void load_state(const NamedTensors& state, const std::function<Batch(int64_t)>& batches);

 private:
  Backbone& backbone_;
  Pretext& pretext_;
  size_t length_;
  double lambda_;
  std::deque<std::unique_ptr<RecordedStep>> steps_;
};

}  // namespace bissl::host
