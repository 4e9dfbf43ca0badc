#include "stages/schedule.h"

#include "support/paths.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace bissl::host {
namespace {

TEST(Schedule, ConstantStays) {
  const Schedule schedule({}, 10, 2.5);
  for (int64_t step = 0; step < 10; ++step) {
    EXPECT_EQ(schedule.lr_scale(step), 1.0);
  }
}

TEST(Schedule, WarmUpRisesFromTheFirstStepOn) {
  for (const char* use : {"constant", "cosine"}) {
    const Schedule schedule({.use = use, .warmup_steps = 4}, 10, 1);
    EXPECT_EQ(schedule.lr_scale(0), 0.25);
    EXPECT_EQ(schedule.lr_scale(1), 0.5);
    EXPECT_EQ(schedule.lr_scale(2), 0.75);
    EXPECT_EQ(schedule.lr_scale(3), 1.0);
    EXPECT_EQ(schedule.lr_scale(4), 1.0) << "the cosine begins at its height";
  }
  const Schedule constant({.warmup_steps = 4}, 10, 1);
  EXPECT_EQ(constant.lr_scale(9), 1.0);
}

ScheduleOptions options_of(const nlohmann::json& json) {
  ScheduleOptions options;
  options.use = json.at("use");
  options.warmup_steps = json.value("warmup_steps", options.warmup_steps);
  options.end_factor = json.value("end_factor", options.end_factor);
  options.power = json.value("power", options.power);
  options.milestones = json.value("milestones", options.milestones);
  options.factor = json.value("factor", options.factor);
  options.start_factor = json.value("start_factor", options.start_factor);
  options.rise = json.value("rise", options.rise);
  options.cycles = json.value("cycles", options.cycles);
  options.cycle_growth = json.value("cycle_growth", options.cycle_growth);
  return options;
}

TEST(Schedule, HasTheNumbersOfPyTorchs) {
  const auto golden = nlohmann::json::parse(
      test::read_file(std::string(test::source_folder) + "/tests/reference/golden/schedules.json"));
  ASSERT_EQ(golden["cases"].size(), 14U);
  for (const nlohmann::json& expected : golden["cases"]) {
    SCOPED_TRACE(expected["options"].dump());
    const int64_t steps = expected["steps"];
    const Schedule schedule(options_of(expected["options"]), steps, 1);
    for (int64_t step = 0; step < steps; ++step) {
      EXPECT_NEAR(schedule.lr_scale(step), expected["factors"][static_cast<size_t>(step)], 1e-14)
          << step;
    }
  }
}

TEST(Schedule, CyclesFillTheStageAlsoWhereTheyAreNoWholeSteps) {
  // 10 steps in 3 cycles: they begin at 0, 3⅓ and 6⅔.
  const Schedule schedule({.use = "warm-restarts", .end_factor = 0, .cycles = 3}, 10, 1);
  for (int64_t step = 1; step < 10; ++step) {
    EXPECT_EQ(schedule.lr_scale(step) > schedule.lr_scale(step - 1), step == 4 || step == 7)
        << step;
  }
}

TEST(Schedule, FewStepsAreEnoughForEachShape) {
  for (const char* use :
       {"constant", "cosine", "step", "polynomial", "exponential", "one-cycle", "warm-restarts"}) {
    for (const int64_t steps : {1, 2, 3}) {
      const Schedule schedule({.use = use, .milestones = {0.5}, .cycles = 7}, steps, 1);
      for (int64_t step = 0; step < steps + 2; ++step) {
        const double scale = schedule.lr_scale(step);
        EXPECT_TRUE(scale >= 0 && scale <= 1) << use << " " << steps << " " << step;
      }
    }
  }
}

TEST(Schedule, TheAuthorsCodeIsFollowedWhereAsked) {
  // One step of warm-up; the fall over 4 steps ends after the last one: cos(π·k/4).
  const ScheduleOptions open{.use = "cosine", .warmup_steps = 1, .end_factor = 0, .open_end = true};
  const Schedule schedule(open, 5, 1);
  for (int64_t step = 1; step < 5; ++step) {
    const double angle = M_PI * static_cast<double>(step - 1) / 4;
    EXPECT_NEAR(schedule.lr_scale(step), 0.5 * (1 + std::cos(angle)), 1e-15) << step;
  }
  // Set after the step: the first has the base rate, whatever the warm-up.
  ScheduleOptions after{.use = "cosine", .warmup_steps = 2, .end_factor = 0};
  const Schedule before_step(after, 5, 1);
  after.set_after_step = true;
  const Schedule after_step(after, 5, 1);
  EXPECT_EQ(after_step.lr_scale(0), 1.0);
  for (int64_t step = 1; step < 5; ++step) {
    EXPECT_EQ(after_step.lr_scale(step), before_step.lr_scale(step - 1)) << step;
  }
}

TEST(Schedule, WarmUpMayBeGivenInEpochs) {
  // 1.5 epochs of 2.5 steps are 3.75 steps, so 4.
  const Schedule schedule({.warmup_epochs = 1.5}, 20, 2.5);
  EXPECT_EQ(schedule.lr_scale(0), 0.25);
  EXPECT_EQ(schedule.lr_scale(2), 0.75);
  EXPECT_EQ(schedule.lr_scale(3), 1.0);
  // A warm-up of much less than a step is none.
  EXPECT_EQ(Schedule({.warmup_epochs = 0.1}, 20, 2.5).lr_scale(0), 1.0);
}

TEST(Schedule, CosineEndsAtItsFinalValue) {
  for (const double end : {0.0, 0.001, 0.3, 1.0}) {
    const Schedule schedule({.use = "cosine", .end_factor = end}, 11, 1);
    EXPECT_EQ(schedule.lr_scale(0), 1.0);
    // Half way in the middle, a quarter of the angle at a quarter of the way.
    EXPECT_NEAR(schedule.lr_scale(5), (1 + end) / 2, 1e-15);
    EXPECT_NEAR(schedule.lr_scale(10), end, 1e-15);
    for (int64_t step = 0; step < 11; ++step) {
      EXPECT_NEAR(schedule.lr_scale(step), end + (1 - end) * (1 + std::cos(M_PI * step / 10)) / 2,
                  1e-15);
    }
  }
}

TEST(Schedule, CosineFallsAfterTheWarmUp) {
  const Schedule schedule({.use = "cosine", .warmup_steps = 3, .end_factor = 0.1}, 30, 1);
  for (int64_t step = 1; step < 30; ++step) {
    const double change = schedule.lr_scale(step) - schedule.lr_scale(step - 1);
    if (step < 3) {
      EXPECT_GT(change, 0) << step;
    } else if (step == 3) {
      EXPECT_EQ(change, 0);
    } else {
      EXPECT_LT(change, 0) << step;
    }
  }
  EXPECT_NEAR(schedule.lr_scale(29), 0.1, 1e-15);
}

TEST(Schedule, AStepBeyondTheEndStaysAtTheFinalValue) {
  const Schedule schedule({.use = "cosine", .end_factor = 0.1}, 5, 1);
  EXPECT_NEAR(schedule.lr_scale(5), 0.1, 1e-15);
  EXPECT_NEAR(schedule.lr_scale(100), 0.1, 1e-15);
}

TEST(Schedule, AStageOfOneStepTakesIt) {
  EXPECT_EQ(Schedule({.use = "cosine"}, 1, 1).lr_scale(0), 1.0);
  EXPECT_EQ(Schedule({.use = "cosine", .warmup_steps = 1}, 1, 1).lr_scale(0), 1.0);
  EXPECT_EQ(Schedule({.use = "cosine", .warmup_steps = 9}, 10, 1).lr_scale(9), 1.0);
}

TEST(Schedule, AWarmUpLongerThanTheStageFillsIt) {
  for (const char* use : {"constant", "cosine"}) {
    for (const ScheduleOptions& options : {ScheduleOptions{.use = use, .warmup_steps = 1000},
                                           ScheduleOptions{.use = use, .warmup_epochs = 500}}) {
      const Schedule schedule(options, 5, 2);
      for (int64_t step = 0; step < 5; ++step) {
        EXPECT_EQ(schedule.lr_scale(step), static_cast<double>(step + 1) / 5);
      }
    }
  }
}

TEST(Schedule, AWarmUpBeyondAnyIntegerFillsTheStage) {
  for (const ScheduleOptions& options :
       {ScheduleOptions{.warmup_epochs = 1e300}, ScheduleOptions{.warmup_steps = INT64_MAX}}) {
    EXPECT_EQ(Schedule(options, 4, 2.5).lr_scale(0), 0.25);
  }
}

// --- what becomes otherwise than asked for is said ---

using Texts = std::vector<std::string>;

TEST(ScheduleDoubts, NoneWhereAllIsAsAskedFor) {
  EXPECT_EQ(doubts({}, 10, 2.5), Texts{});
  EXPECT_EQ(doubts({.use = "cosine", .warmup_epochs = 2}, 20, 5), Texts{});
  EXPECT_EQ(doubts({.warmup_steps = 10}, 10, 2.5), Texts{});
}

TEST(ScheduleDoubts, AWarmUpLongerThanTheStage) {
  EXPECT_EQ(doubts({.warmup_steps = 100}, 3, 4),
            Texts{"warmup_steps = 100 is 100 steps, and the stage has 3: the warm-up is shortened "
                  "to the stage, and the learning rate is at its base in the last step only"});
  EXPECT_EQ(doubts({.use = "cosine", .warmup_epochs = 2.5}, 3, 4).size(), 2U);
  EXPECT_EQ(doubts({.warmup_epochs = 1e300}, 3, 4).size(), 1U);
}

TEST(ScheduleDoubts, AWarmUpThatRoundingChanges) {
  EXPECT_EQ(doubts({.warmup_epochs = 0.1}, 20, 2.5),
            Texts{"warmup_epochs = 0.1 is 0.25 steps, less than half of one: there is no warm-up"});
  EXPECT_EQ(doubts({.warmup_epochs = 0.6}, 20, 2.5),
            Texts{"warmup_epochs = 0.6 is 1.5 steps; the warm-up takes 2"});
}

TEST(ScheduleDoubts, ACosineWithoutSteps) {
  EXPECT_EQ(doubts({.use = "cosine", .warmup_steps = 10}, 10, 2.5),
            Texts{"warmup_steps = 10 leaves none of the stage's 10 steps to the cosine"});
}

TEST(ScheduleDoubts, ShapesThatTheStepsDoNotHold) {
  EXPECT_EQ(
      doubts({.use = "step", .warmup_steps = 5, .milestones = {0.2, 0.8}}, 20, 1),
      Texts{"milestones: the first one, 0.2 of 20 steps, lies within the warm-up of 5 steps"});
  EXPECT_EQ(doubts({.use = "step", .warmup_steps = 4, .milestones = {0.2, 0.8}}, 20, 1), Texts{});
  EXPECT_EQ(doubts({.use = "warm-restarts", .cycles = 9}, 8, 1),
            Texts{"cycles = 9 is more than the 8 steps after the warm-up"});
  EXPECT_EQ(
      doubts({.use = "one-cycle", .rise = 0.2}, 5, 1),
      Texts{"rise = 0.2 of 5 steps is not more than one: the learning rate does not rise, the "
            "first step has its base"});
  EXPECT_EQ(doubts({.use = "one-cycle", .rise = 0.2}, 10, 1), Texts{});
  EXPECT_EQ(doubts({.use = "one-cycle", .rise = 0}, 5, 1), Texts{});
}

TEST(ScheduleDoubts, MilestonesThatRoundingMoves) {
  EXPECT_EQ(doubts({.use = "step", .milestones = {0.05, 0.5, 0.55, 0.95}}, 8, 1),
            (Texts{"milestones: 0.05 of 8 steps rounds to the first step, so no step has the base "
                   "learning rate",
                   "milestones: 0.55 of 8 steps rounds to step 4, as the one before it: the "
                   "learning rate is multiplied twice at once",
                   "milestones: 0.95 of 8 steps rounds to the stage's end and has no effect"}));
}

}  // namespace
}  // namespace bissl::host
