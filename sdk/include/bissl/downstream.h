#pragma once

#include "bissl/backbone.h"
#include "bissl/backbone_abilities.h"
#include "bissl/component.h"
#include "bissl/export.h"
#include "bissl/image.h"
#include "bissl/target_batch.h"
#include "bissl/targets.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bissl {

/// The value of a metric.
struct Metric {
  Metric() = default;
  /// With both; `{"top1", 0.5}` and emplace_back work.
  Metric(std::string named, double found) : name(std::move(named)), value(found) {}

  std::string name;  ///< see MetricInfo
  double value = 0;  ///< NaN where it is undefined

  /// Equal in both.
  friend bool operator==(const Metric&, const Metric&) = default;
};

/// Metrics in the order in which they are shown.
using Metrics = std::vector<Metric>;

/// What is known of a metric before there is a value.
struct MetricInfo {
  std::string name;                 ///< as in Metrics: [A-Za-z0-9_-]+
  std::string doc{};                ///< one line: what it is, with its formula or source
  bool higher_is_better = true;     ///< its direction, for choices and comparisons
  std::optional<double> lowest{};   ///< no value is below, if there is such a bound
  std::optional<double> highest{};  ///< no value is above, if there is such a bound
};

/// Gathers the metrics of a pass over a data set: of the whole, not means of batches. Threads: one
/// at a time; without gradients.
class BISSL_API MetricAccumulator : public Component {
 public:
  ~MetricAccumulator() override;
  /// Takes one batch: the head's outputs and the targets. Changes neither.
  virtual void add(const at::Tensor& outputs, const TargetBatch& targets) = 0;
  /// The metrics of all batches since construction, those of Downstream::metric_info in their
  /// order; the same at each call. NaN for what these samples leave undefined.
  virtual Metrics result() const = 0;
};

/// A supervised task: the head φ_D, its loss L_D and its metrics. Which kinds of target it takes is
/// declared where it is registered (ComponentText::takes); the host makes it for no other.
/// Threads: one at a time.
class BISSL_API Downstream : public Component {
 public:
  ~Downstream() override;

  /// Features (N, D) to outputs. For category targets logits (N, K); for multi_label targets logits
  /// (N, K), of each label by itself; for values (N, K) in the targets' own units; a task of its
  /// own may give (N, …), which only `loss` and the accumulator read. In evaluation mode a sample's
  /// outputs depend on that sample alone, and on no chance. Differentiable. Every task overrides it
  /// but those that read more than features (bissl/downstream_abilities.h), for which it is not
  /// called; by default it throws Error(ErrorKind::run).
  virtual at::Tensor forward(const at::Tensor& features);

  /// The loss of a batch, a scalar: right outputs cost less than wrong ones, and what does not
  /// count (TargetBatch::counted) costs nothing. Finite for a batch in which nothing counts.
  /// Changes neither outputs nor targets.
  virtual at::Tensor loss(const at::Tensor& outputs, const TargetBatch& targets) = 0;

  /// The metrics that it gives, at least one, no two of one name. The same at each call.
  virtual std::vector<MetricInfo> metric_info() const = 0;

  /// A fresh accumulator, for one pass over a data set.
  virtual std::unique_ptr<MetricAccumulator> metrics() const = 0;

  /// Holds φ_D.
  virtual torch::nn::Module& module() = 0;
};

/// What the factory of a downstream task is given besides its options.
struct DownstreamContext {
  int64_t features = 0;  ///< width of the backbone's features, D
  TargetSpec targets{};  ///< of the data: a kind that the task takes, with K = targets.width

  ImageShape input{};  ///< the shape of the views, and so of mask targets
  /// The backbone, for the abilities that the head needs: the levels of its feature maps, the size
  /// of its patches (bissl/backbone_abilities.h).
  Backbone* backbone = nullptr;
  /// Its name in errors.
  std::string backbone_name{};

  /// The ability `Ability` of the backbone, in the factory. Throws Error(ErrorKind::input), which
  /// names ability and backbone, where it has none.
  template <class Ability>
  Ability& require() const {
    return require_ability<Ability>(*backbone, backbone_name);
  }
};

}  // namespace bissl
