#pragma once

#include "data/batches.h"

#include <c10/core/Event.h>

#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace bissl::host {

/// Makes the batches of a source ahead of their use, in threads of its own. The order and content
/// of what next() returns do not depend on the number of threads. next() is for one thread.
///
/// A GPU's batches are also sent there ahead of their use, beside its computations: next() does not
/// wait for the transfer, and what its caller asks of the GPU afterwards does.
class Prefetcher {
 public:
  /// Starts with batch number `first`; stops before `end` (negative: never). `threads` of 0 makes
  /// each batch in next() itself.
  Prefetcher(std::shared_ptr<const BatchSource> source, int64_t first, int64_t end, int threads);
  ~Prefetcher();
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  /// The next batch. Rethrows what went wrong while it was made.
  Batch next();

 private:
  struct Made {
    Batch batch;
    std::optional<c10::Event> ready;  ///< of a GPU's: behind what the batch is made by there
    std::exception_ptr error;
  };
  void work();

  std::shared_ptr<const BatchSource> source_;
  int64_t end_;
  int64_t next_wanted_;
  int64_t next_to_make_;
  int64_t ahead_;  ///< how many batches may wait
  bool stopping_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<int64_t, Made> made_;
  std::vector<std::thread> threads_;
};

}  // namespace bissl::host
