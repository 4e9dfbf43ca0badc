// Where the steps of a bissl stage are, by their numbers.

#include "stages/bissl/step_plan.h"

#include <gtest/gtest.h>

namespace bissl::host {
namespace {

using Phase = StepPlan::Phase;

TEST(StepPlan, NumbersWarmupThenRoundsOfLowerAndUpperSteps) {
  const StepPlan plan{.head_warmup = 2, .rounds = 3, .lower = 4, .upper = 2};
  EXPECT_EQ(plan.total(), 20);
  EXPECT_EQ(plan.lower_total(), 12);
  EXPECT_EQ(plan.upper_batches(), 8);
  EXPECT_EQ(plan.place(1).phase, Phase::head_warmup);
  EXPECT_EQ(plan.place(1).number, 1);
  const StepPlan::Place last_lower = plan.place(2 + 6 + 3);
  EXPECT_EQ(last_lower.phase, Phase::lower);
  EXPECT_EQ(last_lower.round, 1);
  EXPECT_EQ(last_lower.within, 3);
  EXPECT_EQ(last_lower.number, 7);
  const StepPlan::Place upper = plan.place(2 + 6 + 5);
  EXPECT_EQ(upper.phase, Phase::upper);
  EXPECT_EQ(upper.round, 1);
  EXPECT_EQ(upper.within, 1);
  EXPECT_EQ(upper.number, 3);
}

TEST(StepPlan, WhatIsDoneBeforeAStepIsWhatWasCounted) {
  for (const StepPlan& plan : {StepPlan{.head_warmup = 2, .rounds = 3, .lower = 4, .upper = 2},
                               StepPlan{.head_warmup = 0, .rounds = 2, .lower = 1, .upper = 5},
                               StepPlan{.head_warmup = 3,
                               .rounds = 2,
                               .lower = 2,
                               .upper = 3,
                               .lower_parts = 4,
                               .upper_parts = 5}}) {
    int64_t lower = 0;
    int64_t upper = 0;
    for (int64_t step = 0; step < plan.total(); ++step) {
      EXPECT_EQ(plan.lower_batches_done(step), lower) << step;
      EXPECT_EQ(plan.upper_batches_done(step), upper) << step;
      const Phase phase = plan.place(step).phase;
      lower += phase == Phase::lower ? plan.lower_parts : 0;
      upper += phase == Phase::upper ? plan.upper_parts : 0;
      upper += phase == Phase::head_warmup ? 1 : 0;
    }
    EXPECT_EQ(lower, plan.lower_batches());
    EXPECT_EQ(upper, plan.upper_batches());
  }
}

}  // namespace
}  // namespace bissl::host
