#pragma once

#include "bissl/export.h"

#include <string>

namespace bissl {

/// How the samples of a batch are coupled in a loss. Layers that normalise over a batch in training
/// mode do not count: what they do to a batch that is computed in parts is the host's concern, the
/// same for all tasks.
enum class BatchCoupling {
  separable,         ///< not at all: the loss is the mean of the losses of its samples
  batch_statistics,  ///< by means over the batch: a covariance, a centre, shares of a whole
  gathered,          ///< by comparison: each sample counts with each other one, as negatives do
};
BISSL_API std::string to_string(BatchCoupling coupling);

}  // namespace bissl
