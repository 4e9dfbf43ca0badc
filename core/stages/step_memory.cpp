#include "stages/step_memory.h"

#include "base/exception_text.h"
#include "bissl/error.h"
#include "models/memory_meter.h"
#include "telemetry/memory_limit.h"
#include "telemetry/peak_memory.h"

#include <algorithm>
#include <cmath>

namespace bissl::host {
namespace {

double tensor_bytes(const at::Tensor& tensor) {
  return tensor.defined() ? double(tensor.numel()) * double(tensor.element_size()) : 0;
}

double batch_bytes(const Batch& batch) {
  double bytes = tensor_bytes(batch.targets.dense) + tensor_bytes(batch.indices);
  for (const at::Tensor& view : batch.views) {
    bytes += tensor_bytes(view);
  }
  for (const at::Tensor& geometry : batch.geometry) {
    bytes += tensor_bytes(geometry);
  }
  return bytes;
}

/// What the process takes beside tensors for a step on a batch of `samples`.
double bytes_beside_tensors(const StepOnBatch& step, int64_t samples) {
  double tensors = 0;
  {
    // Makes what is made once as well, such as code for these sizes.
    const Batch batch = step.make(samples);
    tensors = batch_bytes(batch) + peak_bytes([&] { step.work(batch); });
  }
  const double all = process_growth([&] { step.work(step.make(samples)); });
  return std::max(0.0, all - tensors);
}

void refuse_beyond_limit(const std::string& key, int64_t batch, double needed,
                         const MemoryLimit& limit, double beside) {
  if (needed == 0 || needed + beside <= limit.bytes) {
    return;
  }
  const double share = std::max(0.0, limit.bytes - beside) / needed;
  fail_input(
      "{} = {}: a step on such a batch takes about {}, and there are {} of {}. Choose a smaller "
      "{} (about {:.0f} would fit), smaller views or a smaller network",
      key, batch, bytes_text(needed + beside), bytes_text(std::max(0.0, limit.bytes)), limit.cause,
      key, std::max(1.0, std::floor(share * double(batch))));
}

}  // namespace

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

double process_growth(const std::function<void()>& work) {
  constexpr int64_t noise = int64_t{16} << 20;
  reset_peak_memory();
  const int64_t before = resident_memory();
  if (before == 0 || peak_memory() > before + noise) {
    return 0;  // the system does not forget the highest so far
  }
  work();
  return std::max(0.0, double(peak_memory() - before));
}

double step_bytes(const StepOnBatch& step, double enough) {
  constexpr double far_below = 0.25;
  constexpr int64_t parts = 16;
  const auto tensors = [&](int64_t samples) {
    const Batch batch = step.make(samples);
    return double(step.held) * batch_bytes(batch) + peak_bytes([&] { step.work(batch); });
  };
  const auto is_near = [&](double bytes) { return bytes <= enough && bytes > far_below * enough; };
  double needed = extrapolated_bytes(step.batch, enough, tensors);
  if (is_near(needed)) {
    // It may have been the most that is possible; what else is needed is added to the estimate.
    needed = std::min(needed, extrapolated_bytes(step.batch, 0, tensors));
  }
  if (!is_near(needed)) {
    return needed;
  }
  try {
    const int64_t part = std::max(most_few_samples, step.batch / parts);
    return needed + bytes_beside_tensors(step, part) * double(step.batch) / double(part);
  } catch (const Error&) {
    return needed;  // what is wrong with the whole batch, too, shows when that is tried
  }
}

void refuse_step_beyond_memory(const std::string& key, int64_t batch,
                               const std::function<double(int64_t samples)>& bytes_of) {
  const MemoryLimit limit = memory_limit();
  refuse_beyond_limit(key, batch, extrapolated_bytes(batch, limit.bytes, bytes_of), limit, 0);
}

void refuse_step_beyond_memory(const StepOnBatch& step) {
  const MemoryLimit limit = memory_limit(step.threads);
  refuse_beyond_limit(step.key, step.batch, step_bytes(step, limit.bytes - step.beside), limit,
                      step.beside);
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
