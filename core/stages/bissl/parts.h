#pragma once

#include "bilevel/bissl_coupling.h"
#include "bilevel/lower_level.h"
#include "bilevel/lower_trajectory.h"
#include "bilevel/pretext_problem.h"
#include "bilevel/upper_level.h"
#include "bissl/backbone.h"
#include "bissl/downstream.h"
#include "bissl/hypergradient.h"
#include "bissl/optimizer.h"
#include "bissl/pretext.h"
#include "data/batches.h"
#include "stages/bissl/auditor.h"
#include "stages/bissl/options.h"
#include "stages/context.h"
#include "stages/schedule.h"

#include <cstdint>
#include <memory>
#include <optional>

namespace bissl {

/// What a bissl stage consists of before its first step; for its run and its check.
class BisslParts {
 public:
  /// Throws Error.
  explicit BisslParts(const StageContext& context);
  BisslParts(const BisslParts&) = delete;
  BisslParts& operator=(const BisslParts&) = delete;

  const Table& lower_table;
  const Table& upper_table;
  BisslOptions options;
  LowerOptions lower_options;
  UpperOptions upper_options;
  std::optional<WarmupOptions> warmup_options;
  int64_t warmup_steps = 0;

  std::shared_ptr<BatchSource> lower_source;
  std::shared_ptr<BatchSource> hessian_source;
  std::shared_ptr<BatchSource> upper_source;

  std::shared_ptr<Backbone> lower_backbone;
  std::shared_ptr<Backbone> upper_backbone;
  std::shared_ptr<Pretext> pretext;
  std::shared_ptr<Downstream> downstream;
  std::shared_ptr<Optimizer> warmup_optimizer;  ///< null without a warm-up
  std::shared_ptr<Optimizer> lower_optimizer;
  std::shared_ptr<Optimizer> upper_optimizer;
  std::shared_ptr<Hypergradient> hypergradient;
  std::unique_ptr<LowerTrajectory> trajectory;  ///< where the approximator asks for one
  std::unique_ptr<Auditor> auditor;             ///< null without audits
  std::unique_ptr<LowerLevel> lower_level;
  std::unique_ptr<OuterProblem> outer_problem;
  std::unique_ptr<UpperLevel> upper_level;

  std::optional<Schedule> warmup_schedule;
  std::optional<Schedule> lower_schedule;
  std::optional<Schedule> upper_schedule;

  int64_t hessian_batch() const {
    return lower_options.hessian_batch > 0 ? lower_options.hessian_batch : lower_options.batch;
  }

  /// Steps of the lower level in all rounds.
  int64_t lower_steps() const { return options.rounds * lower_options.steps; }

  /// Step number `number` of the lower level, which the trajectory records; the first of a round
  /// begins a new one.
  PretextStep lower_step(const Views& views, int64_t number, bool first_of_round, double lr_scale);

  /// The lower problem of a round on these Hessian batches.
  std::unique_ptr<PretextProblem> make_problem(std::vector<Views> batches,
                                               const PretextProblem::Setting& setting) const;

 private:
  /// Throws where the rounds have more steps than can be counted.
  void check_lengths() const;
  void build_models(const StageContext& context, const std::vector<ImageShape>& views);
  void build_levels(const StageContext& context, const std::vector<ImageShape>& views);
  void build_schedules(const Table& table);
};

}  // namespace bissl
