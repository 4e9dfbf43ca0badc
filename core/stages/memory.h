#pragma once

#include "bissl/image.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

/// The batches that a key of the pipeline makes.
struct BatchMemory {
  std::string key;    ///< in the stage's table: "lower.batch"
  int64_t batch = 1;  ///< samples in a batch
  std::vector<ImageShape> views;
  int64_t held = 1;  ///< how many batches are in memory at once
  /// The key's value where it is another one than `batch`.
  std::optional<int64_t> value{};
};

/// "2 views of 3x96x96 and 6 of 3x36x36", "one view of 3x32x32".
std::string views_text(const std::vector<ImageShape>& views);

/// Bytes of these batches, as float32; a double, so that no product overflows.
double bytes_of(const BatchMemory& batches);

/// Throws Error(input), which names key, value, bytes needed and bytes there, if the batches cannot
/// be held by any means. To be called before one is made.
void refuse_beyond_memory(const BatchMemory& batches);

/// The same for another use of memory: `setting` ("audit.dense_below = 5000") needs `bytes` for
/// `what`; `advice` says what to change.
void refuse_beyond_memory(const std::string& setting, const std::string& what, double bytes,
                          const std::string& advice);

/// Batches that a Prefetcher with this number of threads holds, including the one in use; at most
/// `batches`.
int64_t batches_held(int loader_threads, int64_t batches);

}  // namespace bissl::host
