#pragma once

#include "bissl/backbone.h"
#include "bissl/component.h"
#include "bissl/export.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace bissl {

/// Metrics by name, in the order in which they are shown.
using Metrics = std::vector<std::pair<std::string, double>>;

/// Gathers the metrics of a pass over a data set. Threads: one at a time; without gradients.
class BISSL_API MetricAccumulator {
 public:
  virtual ~MetricAccumulator();
  /// Takes one batch: the head's outputs and the targets (N), int64. Changes neither.
  virtual void add(const at::Tensor& outputs, const at::Tensor& targets) = 0;
  /// The metrics of all batches since construction, as fractions or as documented; the same when
  /// asked again.
  virtual Metrics result() const = 0;
};

/// A supervised task: the head φ_D, its loss L_D and its metrics. Threads: one at a time.
class BISSL_API Downstream : public Component {
 public:
  ~Downstream() override;

  /// Features (N, D) to outputs; for classification logits (N, K), for other tasks (N, …), which
  /// only `loss` and the accumulator read. In evaluation mode a sample's outputs depend on that
  /// sample alone, and on no chance. Differentiable.
  virtual at::Tensor forward(const at::Tensor& features) = 0;

  /// The loss of a batch, a scalar: right outputs cost less than wrong ones. `targets` is (N),
  /// int64, classes in 0 … K − 1. Changes neither of them.
  virtual at::Tensor loss(const at::Tensor& outputs, const at::Tensor& targets) = 0;

  /// A fresh accumulator, for one pass over a data set.
  virtual std::unique_ptr<MetricAccumulator> metrics() const = 0;

  /// Holds φ_D.
  virtual torch::nn::Module& module() = 0;
};

/// What the factory of a downstream task is given besides its options.
struct DownstreamContext {
  int64_t features = 0;  ///< width of the backbone's features
  int64_t classes = 0;   ///< number of classes, K
};

}  // namespace bissl
