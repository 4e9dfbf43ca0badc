#pragma once

#include "bissl/batch.h"

#include <cstdint>
#include <functional>
#include <string>

namespace bissl::host {

/// Samples of the largest of the small batches that tell what a large one takes.
inline constexpr int64_t most_few_samples = 16;

/// The memory that `bytes_of(samples)` needs for `batch` samples: that for 4, 8 and 16 samples,
/// continued by a polynomial of second degree, since a batch's loss may compare each sample with
/// each. Memory that grows with the square of the samples is the most that is possible: where that,
/// from 4 samples or from 16, is at most `enough`, it is the result, and no other size is tried.
/// 0 where the batch is so small that it can as well be tried, or where nothing can be told: a
/// component refuses such small batches.
double extrapolated_bytes(int64_t batch, double enough,
                          const std::function<double(int64_t samples)>& bytes_of);

/// The most memory that tensors of this thread take at a time while `work` runs, beyond what they
/// take before. No MemoryMeter may be alive.
double peak_bytes(const std::function<void()>& work);

/// How much more resident memory the process has at most while `work` runs than before, tensors and
/// all else: buffers of the libraries that compute, what the allocator leaves between tensors. To
/// some megabytes; 0 where the system does not tell. Forgets the highest resident memory so far
/// (reset_peak_memory).
double process_growth(const std::function<void()>& work);

/// A step on a batch, for the memory that it takes.
struct StepOnBatch {
  std::string key;    ///< of the stage's table, whose value is `batch`: "upper.batch"
  int64_t batch = 1;  ///< samples
  int64_t held = 1;   ///< such batches in memory at once, by the loader; the step's own among them
  double beside = 0;  ///< bytes of what else is in memory during the step
  int threads = 0;    ///< that are started after this and run during the step
  std::function<Batch(int64_t samples)> make;      ///< a batch of the same kind
  std::function<void(const Batch& batch)> work{};  ///< the step, on any batch
};

/// The memory of the step with all batches that are held, without `beside`: what extrapolated_bytes
/// continues from small batches, whose tensors are counted. Where that is at most `enough` and more
/// than a quarter of it, a step on a sixteenth of the batch (`most_few_samples` at least) is made
/// twice, and what the process takes for it beside tensors is added, in proportion to the samples:
/// kernels of convolutions copy images into layouts of their own, which for few channels are
/// several times as large. 0 as there.
double step_bytes(const StepOnBatch& step, double enough);

/// Throws Error(input) if a step on a batch of this size, whose `key` has it, takes more memory
/// than there is by any means: what `bytes_of` extrapolates to. To be called before such a step is
/// made: where the system ends a process that takes too much, there is no message afterwards.
void refuse_step_beyond_memory(const std::string& key, int64_t batch,
                               const std::function<double(int64_t samples)>& bytes_of);

/// The same by step_bytes() and what is beside.
void refuse_step_beyond_memory(const StepOnBatch& step);

/// A warning if a stage's `bytes` are more than the system has free now; empty if they are not.
std::string memory_doubt(double bytes);

}  // namespace bissl::host
