#pragma once

#include "report/results.h"
#include "report/statistics.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

/// A difference over pairs of repetitions, one of each side with the same seed.
struct Comparison {
  std::vector<double> differences;
  Estimate difference;
  SignFlipTest test;
  double adjusted = 1;  ///< p after Holm's adjustment for the comparisons of the same table
};

/// A cell with all of its repetitions.
struct CellSummary {
  std::vector<size_t> choices;
  std::map<std::string, Estimate> metrics;
  std::vector<double> values;              ///< of the first metric
  std::optional<Comparison> to_baseline;   ///< none for the baseline itself, and without pairs
  std::optional<Comparison> to_reference;  ///< the first metric minus the reference
};

/// What choosing one label of an axis does, over everything else.
struct MarginalEffect {
  std::string label;
  /// Of the means over the other axes' cells, one for each repetition.
  Estimate mean;
  /// Against the axis' baseline label: for each repetition the mean difference over those cells
  /// that both labels have. None for the baseline and without common cells.
  std::optional<Comparison> effect;
};

struct AxisEffects {
  std::string axis;
  std::vector<MarginalEffect> labels;
};

/// The cells in the order of their axes' labels. Repetitions are paired by their name; a value that
/// is missing on one side leaves its pair out.
std::vector<CellSummary> summarise(const ReportData& data);

/// For every axis with at least two labels.
std::vector<AxisEffects> marginal_effects(const ReportData& data);

}  // namespace bissl::host
