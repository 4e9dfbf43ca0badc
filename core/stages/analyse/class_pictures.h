#pragma once

#include "stages/context.h"

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace bissl::host {

/// What neighbours or a probe take the samples of a source for.
struct Classified {
  std::string name;    ///< "kNN with k = 20", "logistic", "head"
  at::Tensor classes;  ///< (N), int64
  at::Tensor labels;   ///< (N), int64, on the CPU: what they are
  at::Tensor logits;   ///< (N, K); undefined for neighbours
};

// Pictures of the classes of a source, written to the stage's folder as SVG and, for up to
// most_raster_classes classes, as PNG, each with its numbers as CSV. `names` are those of all
// classes. They return the files' names.

/// confusion-DATA for the neighbours, confusion-DATA-PROBE for a probe: how many images of each
/// class (rows) are taken for which (columns).
std::vector<std::string> draw_confusion(const StageContext& context, const std::string& data,
                                        const std::vector<std::string>& names,
                                        const std::vector<Classified>& all);

/// accuracy-DATA: the share of each class's images that each of them gets right. `all` is not
/// empty.
std::vector<std::string> draw_class_accuracy(const StageContext& context, const std::string& data,
                                             const std::vector<std::string>& names,
                                             const std::vector<Classified>& all);

/// reliability-DATA: of each probe how far its confidences are shares of right answers. Nothing
/// without probes.
std::vector<std::string> draw_reliability(const StageContext& context, const std::string& data,
                                          const std::vector<Classified>& all);

}  // namespace bissl::host
