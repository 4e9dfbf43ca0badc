#pragma once

#include <string>
#include <vector>

namespace bissl::host {

/// A figure of an analyse stage that is no function of features alone: of neighbours in a bank, of
/// a probe, of a picture. What help and documentation say of it.
struct ScoreInfo {
  /// With K for the number of neighbours, PROBE for the name of a probe and PLANE for that of a
  /// picture in a plane.
  const char* name;
  const char* formula;
  const char* source;
  const char* range;
  bool higher_is_better;
  const char* says;  ///< what it tells

  /// "higher is better", "lower is better".
  const char* direction() const;
  /// Whether it is called so: by its own name, or with a number, a probe or a picture in its place:
  /// "knn20_top1", "moco_ece", "pca_trustworthiness".
  bool is_called(const std::string& metric) const;
  /// Whether each probe has one.
  bool is_of_probes() const;
};

/// All of them, in the order in which they are shown.
const std::vector<ScoreInfo>& scores();

}  // namespace bissl::host
