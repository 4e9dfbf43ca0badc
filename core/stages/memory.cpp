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

int64_t batches_held(int loader_threads, int64_t batches) {
  // Each thread may have one under way, one more is ready, one in use.
  return std::max<int64_t>(1, std::min<int64_t>(loader_threads + 2, batches));
}

}  // namespace bissl
