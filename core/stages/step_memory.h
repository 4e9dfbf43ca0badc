#pragma once

#include "bissl/batch.h"

#include <cstdint>
#include <functional>
#include <string>

namespace bissl::host {

/// The first `samples` samples of a batch; shares its memory.
Batch first_samples(const Batch& batch, int64_t samples);

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

/// Throws Error(input) if a step on a batch of this size, whose `key` has it, takes more memory
/// than there is by any means: what `bytes_of` extrapolates to. To be called before such a step is
/// made: where the system ends a process that takes too much, there is no message afterwards.
void refuse_step_beyond_memory(const char* key, int64_t batch,
                               const std::function<double(int64_t samples)>& bytes_of);

/// A warning if a stage's `bytes` are more than the system has free now; empty if they are not.
std::string memory_doubt(double bytes);

}  // namespace bissl::host
