#pragma once

#include "bissl/divided_batch.h"
#include "bissl/tensor_list.h"

#include <string>

namespace torch::nn {
class Module;
}

namespace bissl::host {

/// What a backbone's normalisations take their statistics of in training, where several processes
/// share a batch.
enum class BatchStatistics {
  synchronised,  ///< the whole batch
  local,         ///< on each process its part of the batch
};

/// "synchronised" or "local", and back. Any other text is a fault of the caller: Error(run).
const char* to_string(BatchStatistics statistics);
BatchStatistics batch_statistics_named(const std::string& text);

/// While it lives, passes of this thread take their statistics so. Scopes nest, the innermost
/// counts. Without any: synchronised.
class BatchStatisticsScope {
 public:
  explicit BatchStatisticsScope(BatchStatistics statistics);
  ~BatchStatisticsScope();
  BatchStatisticsScope(const BatchStatisticsScope&) = delete;
  BatchStatisticsScope& operator=(const BatchStatisticsScope&) = delete;

 private:
  BatchStatistics outer_;
};

/// That of the passes of now.
BatchStatistics batch_statistics();

/// The buffers of real numbers of a module, running statistics above all, around a pass of each
/// process's own part of a batch: they begin with the same values on all processes, and join()
/// makes them the same again.
class PartBuffers {
 public:
  /// Before the pass. Of a module in evaluation mode none.
  explicit PartBuffers(const torch::nn::Module& module);

  /// After the pass: what it has changed becomes the mean over the processes, weighed by `share`,
  /// which is this part's of the samples. Values that are unchanged on all keep their bits. The
  /// graph of the pass stays usable. `sum` adds up over the processes; all must call this. Throws
  /// what `sum` does.
  void join(double share, const DividedBatch::Sum& sum);

 private:
  TensorList buffers_;
  TensorList before_;  ///< their values, in double precision
};

}  // namespace bissl::host
