#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace torch::nn {
class Module;
}

namespace bissl::host {

/// An instance of something that is trained.
class Learner {
 public:
  virtual ~Learner() = default;
  /// All that a checkpoint holds of it, with words for errors ("the backbone").
  virtual std::vector<std::pair<std::string, torch::nn::Module*>> modules() = 0;
  /// The loss of step number `step`, with its graph.
  virtual at::Tensor loss(int64_t step) = 0;
  virtual void before_step(int64_t /*step*/) {}
  virtual void after_step(int64_t /*step*/) {}
};

/// Makes an instance. Its initial weights are those of `seed`.
using LearnerFactory = std::function<std::unique_ptr<Learner>(uint64_t seed)>;

/// A step as the host makes it: before_step, loss, gradients, a short way downhill, after_step.
/// Returns the loss.
double train(Learner& learner, int64_t step);

/// Trains an instance for some steps in a child process and continues there. Then another instance
/// of that process, and one of this process, get copies of all parameters and buffers, as a run
/// that continues after an interruption does, and must continue with the same bits. Throws a
/// Violation where they do not, or where the child crashes or hangs.
///
/// What a library keeps for the whole process is found only if its code has not run in this one.
///
/// Threads: forks; uses one thread in both processes.
void require_resumable(const LearnerFactory& make);

/// Whether an error's text says that LibTorch does not differentiate in a process that was forked
/// after it had differentiated: with CUDA, and LibTorch 2 without it as well.
bool is_refused_after_fork(const std::string& text);

/// Waits until std::time gives another number, so that what is drawn from the clock differs.
void let_a_second_pass();

}  // namespace bissl::host
