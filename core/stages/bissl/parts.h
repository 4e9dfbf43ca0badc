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
#include "stages/bissl/head_fit.h"
#include "stages/bissl/options.h"
#include "stages/context.h"
#include "stages/mix.h"
#include "stages/networks.h"
#include "stages/pace.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

namespace bissl::host {

/// What one level of the training takes its steps from.
struct TrainingLevel {
  std::shared_ptr<BatchSource> source;
  std::shared_ptr<Optimizer> optimizer;
  std::optional<Pace> pace;
  int64_t steps = 0;     ///< in all rounds
  double lr_factor = 1;  ///< on the optimizer's learning rate, beside the schedule's

  /// To be called before step `step`: returns its `lr_scale`.
  double begin(int64_t step) const { return lr_factor * pace->begin(step); }
};

/// How the head is made ready for the first upper step.
enum class HeadWarmup { none, convex, sgd };

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
  std::optional<HeadWarmupOptions> head_warmup_options;  ///< where the table is given

  HeadWarmup warmup = HeadWarmup::none;
  std::optional<LinearHead> linear;  ///< the head's parameters, for HeadWarmup::convex
  TrainingLevel head_warmup;  ///< of the head; without steps and optimizer but for HeadWarmup::sgd
  TrainingLevel lower;
  TrainingLevel upper;
  std::optional<BatchMix> upper_mix;  ///< of its steps; the head's warm-up sees images as they are
  std::shared_ptr<BatchSource> hessian_source;
  std::shared_ptr<BatchSource> fresh_source;  ///< of batches for one solve each

  std::shared_ptr<Backbone> lower_backbone;
  std::shared_ptr<Backbone> upper_backbone;
  std::shared_ptr<Pretext> pretext;
  std::shared_ptr<Downstream> downstream;
  std::shared_ptr<Hypergradient> hypergradient;
  int64_t fresh_batches = 0;                    ///< that the approximator asks for, of one solve
  std::unique_ptr<LowerTrajectory> trajectory;  ///< where the approximator asks for one
  std::unique_ptr<Auditor> auditor;             ///< null without audits
  std::unique_ptr<LowerLevel> lower_level;
  std::unique_ptr<OuterProblem> outer_problem;
  std::unique_ptr<UpperLevel> upper_level;

  int64_t hessian_batch() const {
    return lower_options.hessian_batch > 0 ? lower_options.hessian_batch : lower_options.batch;
  }

  /// Sets λ, before the first step or when a checkpoint is loaded; for a λ that is chosen.
  void set_lambda(double lambda);

  /// What the convex fit of the head takes.
  HeadFitData head_fit_data() const;

  /// Step number `number` of the lower level, on the mean over `parts` batches. The trajectory
  /// records it; the first of a round begins a new one.
  PretextStep lower_step(int64_t parts, const std::function<Batch()>& next, int64_t number,
                         bool first_of_round, double lr_scale);

  /// The lower problem of a round on these Hessian batches. `upper_step` tells the number among all
  /// upper steps of the one under way, which decides its fresh batches. This must outlive it.
  std::unique_ptr<PretextProblem> make_problem(std::vector<Batch> batches,
                                               const PretextProblem::Setting& setting,
                                               std::function<int64_t()> upper_step) const;

 private:
  /// Throws where the rounds have more steps than can be counted.
  void check_lengths() const;
  void build_models(const StageContext& context, const PretextUse& use);
  /// Decides how the head is warmed up. Throws Error(input) for a way that it does not take.
  void choose_warmup(const Table& table);
  void build_levels(const StageContext& context, const PretextUse& use);
  void build_paces(const Table& table);
};

}  // namespace bissl::host
