#pragma once

#include "report/results.h"

#include <string>
#include <vector>

namespace bissl::host {

/// A loss over the steps of a stage, averaged over repetitions.
struct Curve {
  std::string label;
  std::vector<double> steps;  ///< the middle of each bin
  std::vector<double> values;
};

/// The curves of one kind of loss of one stage.
struct CurveGroup {
  std::string stage;
  std::string loss;  ///< "loss", "lower", "upper"
  std::vector<Curve> curves;
};

/// A stage of which some logs are gone.
struct MissingLogs {
  std::string stage;
  int64_t stages = 0;   ///< how often it was computed, by its keys
  int64_t without = 0;  ///< how many of them have no log
  std::filesystem::path example;
};

/// Stages that learning_curves leaves out because their files are not there.
std::vector<MissingLogs> missing_logs(const ReportData& data);

/// Reads the stages' events.jsonl. Cells that share a stage have one curve; where more than
/// `most_curves` would come out, the cells with the same label of the first axis are averaged.
/// Stages whose files are gone are left out.
std::vector<CurveGroup> learning_curves(const ReportData& data, size_t most_curves = 12,
                                        size_t bins = 60);

}  // namespace bissl::host
