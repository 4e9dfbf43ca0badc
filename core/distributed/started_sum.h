#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

namespace bissl::host {

/// A sum over the processes that is under way while this process computes.
class StartedSum {
 public:
  StartedSum() = default;
  /// Does not wait.
  virtual ~StartedSum() = default;
  StartedSum(const StartedSum&) = delete;
  StartedSum& operator=(const StartedSum&) = delete;

  /// Returns when the tensor holds the sum, the same bits on each process. Throws ProcessLost.
  virtual void wait() = 0;
};

/// What a ProcessGroup may be able to do besides: a dynamic_cast finds out.
class StartsSums {
 public:
  StartsSums() = default;
  virtual ~StartsSums() = default;
  StartsSums(const StartsSums&) = delete;
  StartsSums& operator=(const StartsSums&) = delete;

  /// Begins to add up over the processes, in place, without waiting for any of them. `values` are
  /// on the CPU, contiguous, floats or doubles, of one shape and type on all, and nobody touches
  /// them before wait() has returned. All processes start the same sums in the same order; other
  /// calls of the group may come between them in any order. Threads: as ProcessGroup. Throws
  /// ProcessLost.
  virtual std::unique_ptr<StartedSum> start_sum(const at::Tensor& values) = 0;
};

}  // namespace bissl::host
