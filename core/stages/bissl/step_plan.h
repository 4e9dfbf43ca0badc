#pragma once

#include <algorithm>
#include <cstdint>

namespace bissl::host {

/// The steps of a bissl stage by their numbers: first those of the head's warm-up, then, round by
/// round, the lower and the upper ones. Each can be the last before an interruption, so where to
/// continue follows from the number alone.
struct StepPlan {
  int64_t head_warmup = 0;  ///< steps
  int64_t rounds = 0;
  int64_t lower = 0;  ///< steps of a round
  int64_t upper = 0;
  int64_t lower_parts = 1;  ///< batches of a step
  int64_t upper_parts = 1;  ///< likewise; the warm-up's steps have one

  int64_t per_round() const { return lower + upper; }
  int64_t total() const { return head_warmup + rounds * per_round(); }
  /// All steps of the lower level.
  int64_t lower_total() const { return rounds * lower; }
  /// All batches of the upper level's data, those of the warm-up included.
  int64_t upper_batches() const { return head_warmup + rounds * upper * upper_parts; }
  /// All batches of the lower level's data.
  int64_t lower_batches() const { return lower_total() * lower_parts; }

  enum class Phase { head_warmup, lower, upper };
  struct Place {
    Phase phase = Phase::head_warmup;
    int64_t round = 0;
    int64_t within = 0;  ///< number in the phase of its round
    int64_t number = 0;  ///< number among all steps of its level
  };

  /// Where step `step` is.
  Place place(int64_t step) const {
    if (step < head_warmup) {
      return {Phase::head_warmup, 0, step, step};
    }
    const int64_t round = (step - head_warmup) / per_round();
    const int64_t within = (step - head_warmup) % per_round();
    if (within < lower) {
      return {Phase::lower, round, within, round * lower + within};
    }
    return {Phase::upper, round, within - lower, round * upper + within - lower};
  }

  /// How many batches of the lower level's data are used before step `step`.
  int64_t lower_batches_done(int64_t step) const {
    const int64_t in_rounds = std::max<int64_t>(0, step - head_warmup);
    return (in_rounds / per_round() * lower + std::min(in_rounds % per_round(), lower)) *
           lower_parts;
  }

  /// How many batches of the upper level's data are used before step `step`.
  int64_t upper_batches_done(int64_t step) const {
    const int64_t in_rounds = std::max<int64_t>(0, step - head_warmup);
    return std::min(step, head_warmup) + (in_rounds / per_round() * upper +
                                          std::max<int64_t>(0, in_rounds % per_round() - lower)) *
                                             upper_parts;
  }
};

}  // namespace bissl::host
