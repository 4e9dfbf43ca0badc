#pragma once

#include "bissl/divided_batch.h"

#include <ATen/core/Tensor.h>

#include <condition_variable>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace bissl::host {

/// Processes that share batches, played by threads that take turns: one works until it wants a sum
/// over all of them, or ends; then the next one does. So a component sees one thread at a time, as
/// in training, and each process has a state of LibTorch's generator of its own.
class DividedProcesses {
 public:
  using Sum = std::shared_ptr<const DividedBatch::Sum>;
  /// What a process does. `sum` is its own, for a DividedBatch.
  using Work = std::function<void(int rank, const Sum& sum)>;

  explicit DividedProcesses(int size);
  DividedProcesses(const DividedProcesses&) = delete;
  DividedProcesses& operator=(const DividedProcesses&) = delete;

  /// Calls `work` once for each process, all of which begin with the generator as it is and leave
  /// it so. Throws the first exception of one of them, and a Violation where they do not ask for as
  /// many sums, of the same shapes and types.
  void run(const Work& work);

 private:
  void live(int rank, const Work& work);
  void add_up(int rank, at::Tensor& values);
  void wait_for_turn(int rank);
  void pass_on(int rank);
  int next_after(int rank);
  void end_round();

  int size_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int turn_ = 0;                    ///< under the mutex; all below belong to whose turn it is
  std::vector<bool> ended_;         ///< by process
  std::vector<at::Tensor> given_;   ///< what a process wants to be added up; undefined: nothing
  std::vector<at::Tensor> states_;  ///< of the generator
  at::Tensor total_;                ///< of the last round
  std::exception_ptr failure_;      ///< the first one
};

}  // namespace bissl::host
