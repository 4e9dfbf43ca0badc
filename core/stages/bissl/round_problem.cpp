#include "stages/bissl/round_problem.h"

#include "models/precision.h"

#include <fmt/format.h>

namespace bissl::host {

uint64_t RoundProblem::noise_seed(int64_t round) const {
  return context_.seed_for(fmt::format("hessian-noise#{}", round));
}

PretextProblem::Setting RoundProblem::setting(int64_t round) const {
  return {.lambda = parts_.options.lambda,
          .noise_seed = noise_seed(round),
          .recompute_graph = parts_.lower_options.hessian_graph == "recomputed"};
}

PretextProblem& RoundProblem::of(int64_t round, int64_t upper_step) {
  upper_step_ = upper_step;
  if (!problem_) {
    batches_.clear();
    const LowerOptions& lower = parts_.lower_options;
    const int64_t first = round / lower.hessian_rounds * lower.hessian_batches;
    for (int64_t i = 0; i < lower.hessian_batches; ++i) {
      batches_.push_back(parts_.hessian_source->make(first + i, round % lower.hessian_rounds));
    }
    problem_ = parts_.make_problem(batches_, setting(round), [this] { return upper_step_; });
  }
  return *problem_;
}

void RoundProblem::clear() { problem_.reset(); }

nlohmann::json RoundProblem::audit(int64_t round, const TensorList& u,
                                   const HypergradientSolution& solution) {
  AuditOutcome outcome = parts_.auditor->audit(*parts_.lower_backbone, *parts_.pretext, batches_,
                                               setting(round), u, solution);
  if (outcome.report) {
    outcome.report->precision = to_string(precision_of_hypergradients());
    solves_.add(*outcome.report);
    return to_json(*outcome.report);
  }
  if (solves_.add_failed_audit(outcome.failure) && context_.settings.warn) {
    context_.settings.warn(
        fmt::format("audit: an audit cannot be made: {}. Training does not need it and "
                    "continues; results.json counts such audits under solves.audit.failed",
                    outcome.failure));
  }
  return {{"failed", outcome.failure}};
}

}  // namespace bissl::host
