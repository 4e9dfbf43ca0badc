#pragma once

#include "bissl/export.h"

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>

namespace bissl {

// Several processes may train one network. Each of them then calls the backbone with a part of
// every batch, and the features of all parts are put together, so that heads and losses see whole
// batches as on one process. What a backbone computes over the samples of a batch, the statistics
// of a normalisation, must be over all parts as well. The layers of bissl/layers.h see to it;
// layers of your own that mix samples add up over the parts with sum_over_parts.

/// Whether the forward pass of a backbone under way on this thread sees a part of a batch whose
/// other parts are computed by other processes.
BISSL_API bool batch_is_divided();

/// The sum of `values` over the parts of the batch, on each process the same bits; `values` itself
/// where the batch is not divided. Of one shape and type on all processes, floating point, with as
/// many calls in the same order on each. Differentiable as often as wanted: a gradient that
/// arrives at the sum on any process reaches the values of all. Threads: that of the forward pass.
/// Throws Error(ErrorKind::run) when another process is lost.
BISSL_API at::Tensor sum_over_parts(const at::Tensor& values);

/// While it lives, batches are divided on this thread. The host makes it around the forward passes
/// of backbones. Scopes nest; the innermost one counts.
class BISSL_API DividedBatch {
 public:
  /// Adds up contiguous tensors over the processes, in place and without gradients. Backward
  /// passes call it as well, after the scope's end.
  using Sum = std::function<void(at::Tensor& values)>;

  /// Where `sum` is null, batches are whole while the scope lives.
  explicit DividedBatch(std::shared_ptr<const Sum> sum);
  ~DividedBatch();
  DividedBatch(const DividedBatch&) = delete;
  DividedBatch& operator=(const DividedBatch&) = delete;

 private:
  std::shared_ptr<const Sum> outer_;
};

}  // namespace bissl
