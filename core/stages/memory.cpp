#include "stages/memory.h"

#include "base/exception_text.h"
#include "bissl/error.h"
#include "telemetry/memory_limit.h"

#include <algorithm>

namespace bissl::host {

std::string views_text(const std::vector<ImageShape>& views) {
  std::string text;
  for (size_t first = 0, end = 0; first < views.size(); first = end) {
    const ImageShape& shape = views[first];
    while (end < views.size() && views[end] == shape) {
      ++end;
    }
    const size_t count = end - first;
    const char* word = first > 0 ? "" : count == 1 ? " view" : " views";
    const std::string number = count == 1 ? "one" : fmt::format("{}", count);
    text += fmt::format("{}{}{} of {}x{}x{}",
                        first == 0           ? ""
                        : end < views.size() ? ", "
                                             : " and ",
                        number, word, shape.channels, shape.height, shape.width);
  }
  return text;
}

double bytes_of(const BatchMemory& batches) {
  double elements = 0;
  for (const ImageShape& view : batches.views) {
    elements += static_cast<double>(view.channels) * static_cast<double>(view.height) *
                static_cast<double>(view.width);
  }
  return static_cast<double>(batches.held) * static_cast<double>(batches.batch) * elements *
         static_cast<double>(sizeof(float));
}

void refuse_beyond_memory(const BatchMemory& batches) {
  const double needed = bytes_of(batches);
  const MemoryLimit limit = memory_limit();
  if (needed <= limit.bytes) {
    return;
  }
  fail_input(
      "{} = {}: {} of {} samples, {} each in single precision, take {}, and there are {} of {}. "
      "Choose a smaller batch",
      batches.key, batches.value.value_or(batches.batch),
      batches.held == 1 ? "a batch" : fmt::format("{} batches at once", batches.held),
      batches.batch, views_text(batches.views), bytes_text(needed),
      bytes_text(std::max(0.0, limit.bytes)), limit.cause);
}

void refuse_beyond_memory(const std::string& setting, const std::string& what, double bytes,
                          const std::string& advice) {
  const MemoryLimit limit = memory_limit();
  if (bytes > limit.bytes) {
    fail_input("{}: {} takes {}, and there are {} of {}. {}", setting, what, bytes_text(bytes),
               bytes_text(std::max(0.0, limit.bytes)), limit.cause, advice);
  }
}

int64_t batches_held(int loader_threads, int64_t batches) {
  // Each thread may have one under way, one more is ready, one in use.
  return std::max<int64_t>(1, std::min<int64_t>(loader_threads + 2, batches));
}

}  // namespace bissl::host
