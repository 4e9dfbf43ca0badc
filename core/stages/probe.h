#pragma once

#include "bissl/backbone.h"
#include "bissl/pretext.h"
#include "stages/context.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace bissl {

/// Seconds that `work` takes.
double seconds_of(const std::function<void()>& work);

/// Single passes through the networks of a stage, without training them: they show whether the
/// components fit together, and how long a pass takes. Throws Error where they do not fit.
class StageProbe {
 public:
  struct Networks {
    std::shared_ptr<Backbone> backbone;
    std::shared_ptr<Pretext> pretext;
    int64_t samples = 0;   ///< in the data
    std::string describe;  ///< shapes, in words
  };

  explicit StageProbe(const StageContext& context) : context_(context) {}

  /// Backbone and pretext task for the table's data; its optimizer is made, and thrown away, to
  /// see that it accepts the parameters.
  Networks build(const Table& table, const std::string& data) const;

  /// (V, N, C, H, W) for the table's augmentation.
  at::Tensor views(const Networks& networks, const Table& table, const std::string& data,
                   int64_t batch) const;

  /// Seconds of a gradient of the pretext loss on a batch of this size.
  double pretext_gradient(const Networks& networks, const Table& table, const std::string& data,
                          int64_t batch) const;

  /// The same for the downstream loss; with `freeze` in the head's parameters only.
  double downstream_gradient(Backbone& backbone, const Table& table, const std::string& data,
                             int64_t batch, bool freeze) const;

 private:
  const StageContext& context_;
};

}  // namespace bissl
