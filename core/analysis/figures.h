#pragma once

#include "analysis/measured.h"

#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

/// What a figure is computed from.
enum class FigureInput {
  features,  ///< (N, D)
  classes,   ///< features and labels (N)
  views,     ///< (N, q, D): several views of each image
  networks,  ///< the features of two networks on the same samples
};

/// A figure of what a backbone has learnt, declared once: the computation, and what help and
/// documentation say of it.
struct FigureInfo {
  const char* name;  ///< of the metric
  FigureInput input;
  const char* formula;
  const char* source;
  const char* range;
  std::optional<bool> higher_is_better;  ///< unset: neither is better by itself
  const char* says;                      ///< what it tells
  /// Of features or of views.
  Measured (*of_one)(const at::Tensor&) = nullptr;
  /// Of features and labels, or of the features of two networks.
  Measured (*of_two)(const at::Tensor&, const at::Tensor&) = nullptr;

  /// "higher is better", "lower is better", "no direction".
  std::string direction() const;
  /// All of it but the name, in one line.
  std::string text() const;
};

/// All figures, in the order in which they are shown.
const std::vector<FigureInfo>& figures();

}  // namespace bissl::host
