#pragma once

#include "stages/analyse/parts.h"

namespace bissl::host {

/// What an analyse stage takes beside its networks and batches, in bytes.
struct AnalyseMemory {
  /// Features that are kept: of the bank and of all samples of one source at a time, of those that
  /// figures are of also by the compared networks.
  double kept = 0;
  /// The most that a figure, a picture, a probe or the neighbours take at a time.
  double working = 0;
};

AnalyseMemory analyse_memory(const AnalyseParts& parts);

/// Throws Error(input) where a stage's features and what is computed of them are beyond what there
/// is.
void refuse_beyond_memory(const AnalyseParts& parts);

}  // namespace bissl::host
