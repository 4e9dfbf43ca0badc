#pragma once

#include "bilevel/audit.h"
#include "bilevel/upper_level.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>

namespace bissl::host {

/// Sums over the upper steps of a stage and its audits, for results and checkpoints.
class SolveSummary {
 public:
  void add(const UpperStep& step);
  void add(const AuditReport& report);
  /// An audit that could not be made, and why. Returns whether it is the first one.
  bool add_failed_audit(const std::string& reason);
  /// The memory of a round's kept graph, in bytes; the largest one is reported.
  void note_graph(int64_t bytes) { graph_bytes_ = std::max(graph_bytes_, bytes); }

  /// How long a step of the lower or the upper level took, solve included.
  void note_step(double seconds, bool lower) {
    step_seconds_ += seconds;
    lower_seconds_ += lower ? seconds : 0;
  }
  double lower_seconds() const { return lower_seconds_; }

  /// Everything, for a checkpoint, and back.
  nlohmann::json save() const;
  void load(const nlohmann::json& saved);

  /// What is in the stage's results.json under "solves".
  nlohmann::json report() const;

 private:
  nlohmann::json audit_report() const;

  int64_t steps_ = 0;
  int64_t products_ = 0;
  int64_t fewest_products_ = 0;  ///< of a step
  int64_t most_products_ = 0;
  int64_t gradients_ = 0;
  double cosine_ = 0;
  double residual_ = 0;
  int64_t residuals_ = 0;
  std::map<std::string, int64_t> ended_;
  double solve_seconds_ = 0;
  double step_seconds_ = 0;
  double lower_seconds_ = 0;
  int64_t graph_bytes_ = 0;
  int64_t audits_ = 0;
  int64_t failed_audits_ = 0;
  std::string failed_audit_;               ///< why the first one could not be made
  std::map<std::string, double> audited_;  ///< sums
  std::string audited_precision_;          ///< of what was audited
};

/// An audit for the event log.
nlohmann::json to_json(const AuditReport& report);

}  // namespace bissl::host
