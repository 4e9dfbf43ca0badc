#pragma once

#include "sweep/stage_states.h"

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

/// Which draw of a cell's search was chosen.
struct Selection {
  size_t draw = 0;
  bool maximise = true;                       ///< whether it has the highest score
  std::vector<std::optional<double>> scores;  ///< by draw; none where it failed
};

/// Chooses among the draws of a search by the scores of their stages. For one thread.
class DrawChooser {
 public:
  /// All must outlive it.
  DrawChooser(const SweepPlan& plan, StageStore& store, const SweepFolder& files,
              StageStates& stages)
      : plan_(plan), store_(store), files_(files), stages_(stages) {}

  /// The draw of a cell's search, once all of its trials are done or have failed. None before, and
  /// if all failed.
  std::optional<Selection> selection(const PlanCell& cell);
  /// Whether all stages of a trial are done or have failed.
  bool is_settled(size_t unit);
  /// What a trial was scored by; none if it failed or has no finite mean.
  std::optional<MetricResult> score(const PlanUnit& unit);
  /// Forgets what was chosen: draws that failed are tried again.
  void forget() { selections_.clear(); }

 private:
  bool maximises(const MetricResult& score) const;
  std::optional<Selection> recorded(const PlanCell& cell);

  const SweepPlan& plan_;
  StageStore& store_;
  const SweepFolder& files_;
  StageStates& stages_;
  std::map<std::string, std::optional<Selection>> selections_;  ///< by cell; settled ones only
};

}  // namespace bissl::host
