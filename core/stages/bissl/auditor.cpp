#include "stages/bissl/auditor.h"

#include "base/exception_text.h"
#include "bissl/error.h"
#include "data/batches.h"
#include "models/divided.h"
#include "models/evaluation_guard.h"
#include "models/module_state.h"
#include "stages/bissl/options.h"
#include "stages/networks.h"

#include <cmath>

namespace bissl::host {
namespace {

/// Calls `work`; whatever it throws becomes the reason, without the dumps of libraries.
template <class Work>
std::string reason_of_failure(const Work& work) {
  try {
    work();
    return "";
  } catch (...) {
    return current_exception_text();
  }
}

bool is_finite(const AuditReport& report) {
  for (const AuditScore& score : {report.approximation, report.identity}) {
    if (!std::isfinite(score.cosine) || !std::isfinite(score.norm_ratio) ||
        !std::isfinite(score.residual)) {
      return false;
    }
  }
  return std::isfinite(report.reference_residual);
}

}  // namespace

Auditor::Auditor(const StageContext& context, const ComponentChoice& pretext, const PretextUse& use,
                 const AuditOptions& options)
    : every_(options.every), damping_(options.damping) {
  not_built_ = reason_of_failure([&] { build(context, pretext, use, options); });
}

void Auditor::build(const StageContext& context, const ComponentChoice& pretext,
                    const PretextUse& use, const AuditOptions& options) {
  setting_.dense_below = options.dense_below;
  setting_.iterations = options.iterations;
  setting_.tolerance = options.tolerance;
  const EvaluationGuard guard({}, 0);
  backbone_ = make_backbone(context, use.views.front(), 0);
  pretext_ = make_pretext(context, pretext, *backbone_, use);
  convert_to_double(backbone_->module());
  convert_to_double(pretext_->module());
}

AuditOutcome Auditor::audit(Backbone& backbone, Pretext& pretext, const std::vector<Batch>& batches,
                            const PretextProblem::Setting& setting, const TensorList& u,
                            const HypergradientSolution& solution) {
  AuditOutcome outcome;
  if (!not_built_.empty()) {
    outcome.failure = not_built_;
    return outcome;
  }
  // What fails here is counted and not thrown, so no other process may wait for this one.
  const Undivided on_its_own;
  outcome.failure = reason_of_failure([&] {
    const EvaluationGuard guard({}, setting.noise_seed);
    copy_state(backbone.module(), backbone_->module());
    copy_state(pretext.module(), pretext_->module());
    std::vector<Batch> doubles;
    for (const Batch& batch : batches) {
      doubles.push_back(converted_batch(batch, at::kDouble));
    }
    PretextProblem problem(*backbone_, *pretext_, std::move(doubles), setting);
    AuditSetting of_system = setting_;
    of_system.damping = damping_.value_or(solution.damping.value_or(setting_.damping));
    AuditReport report = host::audit(u, solution.v, problem, of_system);
    if (!is_finite(report)) {
      fail_run(
          "its numbers are not finite: the loss, its second derivative or the solution overflows "
          "in double precision");
    }
    outcome.report = std::move(report);
  });
  return outcome;
}

}  // namespace bissl::host
