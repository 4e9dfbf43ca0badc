#pragma once

#include "stages/analyse/parts.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

namespace bissl::host {

/// What a network makes of a source.
struct AnalysedSource {
  at::Tensor features;             ///< (N, D), float, on the CPU
  std::vector<at::Tensor> levels;  ///< the same of each level of maps, averaged over all places
  at::Tensor views;                ///< (n, q, D); undefined without `pairs`
};

/// The features of a batch in evaluation mode. Error(run) if they are not finite.
at::Tensor analysed_features(const at::Tensor& images, Backbone& backbone);

/// All of a source by the network in parts.backbone.
AnalysedSource look_at_source(const StageContext& context, const AnalyseParts& parts, size_t source,
                              const std::function<void()>& after_batch);

/// The one view of each of these samples, (n, C, H, W), in their order.
at::Tensor views_of(const AnalyseParts& parts, size_t source, const at::Tensor& rows);

/// The features of the bank on the run's device.
at::Tensor bank_features(const StageContext& context, const AnalyseParts& parts,
                         const std::function<void()>& after_batch);

/// The categories of all samples of a source, (N), int64; undefined where it has none.
at::Tensor categories_of(const BatchSource& source);

/// Numbers of at most `most` of `samples` samples, ascending, (n), int64: one of each of n blocks,
/// at a place that differs from block to block, so that all classes come even where they take
/// turns.
at::Tensor spread_evenly(int64_t samples, int64_t most);

}  // namespace bissl::host
