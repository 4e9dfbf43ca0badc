#include "stages/memory.h"

#include "bissl/error.h"
#include "telemetry/memory_limit.h"
#include "text/exception_text.h"

#include <algorithm>

namespace bissl {

double bytes_of(const BatchMemory& batches) {
  return double(batches.held) * double(batches.batch) * double(batches.views) *
         double(batches.view.channels) * double(batches.view.height) * double(batches.view.width) *
         double(sizeof(float));
}

void refuse_beyond_memory(const BatchMemory& batches) {
  const double needed = bytes_of(batches);
  const MemoryLimit limit = memory_limit();
  if (needed <= limit.bytes) {
    return;
  }
  fail_input(
      "{} = {}: {} of {} samples, {} of {}x{}x{} each in single precision, take {}, and there are "
      "{} of {}. Choose a smaller batch",
      batches.key, batches.value.value_or(batches.batch),
      batches.held == 1 ? "a batch" : fmt::format("{} batches at once", batches.held),
      batches.batch, batches.views == 1 ? "one view" : fmt::format("{} views", batches.views),
      batches.view.channels, batches.view.height, batches.view.width, bytes_text(needed),
      bytes_text(std::max(0.0, limit.bytes)), limit.cause);
}

void refuse_beyond_memory(const BisslMemory& memory) {
  const auto refuse = [&](const char* key, int64_t batch, int64_t views, const ImageShape& view,
                          int64_t held, std::optional<int64_t> value = std::nullopt) {
    refuse_beyond_memory(
        {.key = key, .batch = batch, .views = views, .view = view, .held = held, .value = value});
  };
  const LowerOptions& lower = memory.lower;
  const int64_t lower_held = batches_held(memory.loader_threads, lower.steps);
  refuse("lower.batch", lower.batch, memory.views, memory.lower_view, lower_held);
  const int64_t hessian = lower.hessian_batch > 0 ? lower.hessian_batch : lower.batch;
  refuse("lower.hessian_batch", hessian, memory.views, memory.lower_view, 1);
  refuse("lower.hessian_batches", hessian, memory.views, memory.lower_view, lower.hessian_batches,
         lower.hessian_batches);
  refuse("upper.batch", memory.upper.batch, 1, memory.upper_view,
         batches_held(memory.loader_threads, memory.upper.steps));
}

int64_t batches_held(int loader_threads, int64_t batches) {
  // Each thread may have one under way, one more is ready, one in use.
  return std::max<int64_t>(1, std::min<int64_t>(loader_threads + 2, batches));
}

}  // namespace bissl
