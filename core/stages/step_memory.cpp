#include "stages/step_memory.h"

#include "base/exception_text.h"
#include "bissl/error.h"
#include "models/memory_meter.h"
#include "telemetry/memory_limit.h"

#include <algorithm>
#include <cmath>

namespace bissl::host {
namespace {

at::Tensor first(const at::Tensor& all, int64_t samples) {
  return all.defined() ? all.narrow(0, 0, samples) : all;
}

}  // namespace

Batch first_samples(const Batch& batch, int64_t samples) {
  Batch part;
  for (const at::Tensor& view : batch.views) {
    part.views.push_back(first(view, samples));
  }
  part.targets = batch.targets;
  part.targets.dense = first(batch.targets.dense, samples);
  for (const at::Tensor& geometry : batch.geometry) {
    part.geometry.push_back(first(geometry, samples));
  }
  part.indices = first(batch.indices, samples);
  return part;
}

double extrapolated_bytes(int64_t batch, double enough,
                          const std::function<double(int64_t samples)>& bytes_of) {
  constexpr double few = 4;
  constexpr double more = 8;
  constexpr double most = most_few_samples;
  if (batch < 2 * most_few_samples) {
    return 0;
  }
  try {
    const auto square_law = [&](double bytes, double samples) {
      const double times = double(batch) / samples;
      return bytes * times * times;
    };
    const double of_few = bytes_of(int64_t(few));
    if (square_law(of_few, few) <= enough) {
      return square_law(of_few, few);
    }
    const double of_most = bytes_of(int64_t(most));
    if (square_law(of_most, most) <= enough) {
      return square_law(of_most, most);
    }
    const double of_more = bytes_of(int64_t(more));
    // Newton's divided differences; memory does not shrink with the batch.
    const double slope = std::max(0.0, (of_more - of_few) / (more - few));
    const double next_slope = std::max(0.0, (of_most - of_more) / (most - more));
    const double bend = std::max(0.0, (next_slope - slope) / (most - few));
    const auto samples = double(batch);
    return of_few + slope * (samples - few) + bend * (samples - few) * (samples - more);
  } catch (const Error&) {
    return 0;  // what is wrong with the whole batch, too, shows when that is tried
  }
}

double peak_bytes(const std::function<void()>& work) {
  const MemoryMeter meter;
  work();
  return double(meter.peak());
}

void refuse_step_beyond_memory(const char* key, int64_t batch,
                               const std::function<double(int64_t samples)>& bytes_of) {
  const MemoryLimit limit = memory_limit();
  const double needed = extrapolated_bytes(batch, limit.bytes, bytes_of);
  if (needed <= limit.bytes) {
    return;
  }
  const double share = std::max(0.0, limit.bytes) / needed;
  fail_input(
      "{} = {}: a step on such a batch takes about {}, and there are {} of {}. Choose a smaller "
      "{} (about {:.0f} would fit), smaller views or a smaller network",
      key, batch, bytes_text(needed), bytes_text(std::max(0.0, limit.bytes)), limit.cause, key,
      std::max(1.0, std::floor(share * double(batch))));
}

std::string memory_doubt(double bytes) {
  const double free = free_memory();
  return bytes <= free ? ""
                       : fmt::format(
                             "it takes about {} of memory, and the system has {} free now: wait "
                             "for other programs to end, or choose a smaller batch, smaller views "
                             "or a smaller network",
                             bytes_text(bytes), bytes_text(free));
}

}  // namespace bissl::host
