#pragma once

#include "stages/bissl/parts.h"
#include "stages/bissl/solve_summary.h"
#include "stages/context.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace bissl::host {

/// The lower problem that the upper steps of a round are solved with, and the audits of its solves.
/// Parts, context and summary must outlive it.
class RoundProblem {
 public:
  RoundProblem(const StageContext& context, const BisslParts& parts, SolveSummary& solves)
      : context_(context), parts_(parts), solves_(solves) {}

  /// That of a round, made when it is first asked for; `upper_step` is the number among all upper
  /// steps of the one that it solves for now. Its batches are functions of these numbers, so a
  /// round that continues after an interruption finds the same ones.
  PretextProblem& of(int64_t round, int64_t upper_step);

  /// Forgets it: θ_P moves.
  void clear();

  /// Fixes what is random in the losses of a round's upper steps.
  uint64_t noise_seed(int64_t round) const;

  /// Audits a solve of that round; the report, or why there is none, for the event log.
  nlohmann::json audit(int64_t round, const TensorList& u, const HypergradientSolution& solution);

 private:
  PretextProblem::Setting setting(int64_t round) const;

  const StageContext& context_;
  const BisslParts& parts_;
  SolveSummary& solves_;
  std::vector<Batch> batches_;
  int64_t upper_step_ = 0;
  std::unique_ptr<PretextProblem> problem_;
};

}  // namespace bissl::host
