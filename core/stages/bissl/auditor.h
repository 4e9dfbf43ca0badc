#pragma once

#include "bilevel/audit.h"
#include "bilevel/pretext_problem.h"
#include "stages/context.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace bissl::host {

struct AuditOptions;
struct PretextUse;

/// The result of an audit: its report, or why there is none.
struct AuditOutcome {
  std::optional<AuditReport> report;
  std::string failure;  ///< empty if there is a report
};

/// Audits the solves of a bissl stage with copies of the lower level's models in double precision.
/// Leaves the models and LibTorch's random generator as they were, so training with and without it
/// ends with the same bits. Throws nothing: an audit that cannot be made (a loss that fails in
/// double precision, memory) is no reason to end the training that it watches.
class Auditor {
 public:
  /// For the lower level's pretext task, as it was made.
  Auditor(const StageContext& context, const ComponentChoice& pretext, const PretextUse& use,
          const AuditOptions& options);

  /// Whether upper step number `step` of the stage is to be audited.
  bool due(int64_t step) const { return step % every_ == 0; }

  /// Compares a solution with a reference on the given Hessian batches, of the system with the
  /// table's damping, the solution's, or 10, whichever is known first. The loss draws from the
  /// solve's seed.
  AuditOutcome audit(Backbone& backbone, Pretext& pretext, const std::vector<Batch>& batches,
                     const PretextProblem::Setting& setting, const TensorList& u,
                     const HypergradientSolution& solution);

 private:
  void build(const StageContext& context, const ComponentChoice& pretext, const PretextUse& use,
             const AuditOptions& options);

  int64_t every_;
  std::string not_built_;  ///< why there are no copies; empty if there are
  AuditSetting setting_;
  std::optional<double> damping_;  ///< of the table
  std::shared_ptr<Backbone> backbone_;
  std::shared_ptr<Pretext> pretext_;
};

}  // namespace bissl::host
