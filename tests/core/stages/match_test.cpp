#include "stages/match.h"

#include <gtest/gtest.h>

namespace bissl::host {
namespace {

TEST(MatchDoubt, IsOfStepsFarFromThoseOfTheOtherStage) {
  EXPECT_EQ(match_doubt("long", 9.0, 9), "");
  EXPECT_EQ(match_doubt("long", 100.4, 100), "");
  EXPECT_EQ(match_doubt("long", 0.2, 1),
            "match: 0.2 steps make this stage as long as stage.long; 1 is taken");
  EXPECT_EQ(match_doubt("long", 1.6, 2),
            "match: 1.6 steps make this stage as long as stage.long; 2 are taken");
  EXPECT_EQ(match_doubt("long", 0, 1),
            "match: 0 steps make this stage as long as stage.long; 1 is taken");
}

TEST(MatchedBudget, BySecondsIsAtTheSpeedOfTheOtherStagesOwnSteps) {
  const MatchOptions by_seconds{.stage = "long", .by = "seconds"};
  TrainingCost matched{.images = 40, .gradient_images = 90, .seconds = 20, .pretext_seconds = 8};
  const TrainingCost parent{.images = 100, .gradient_images = 100, .seconds = 50};
  EXPECT_EQ(matched_budget(by_seconds, matched, parent), 100) << "5 images a second";
  EXPECT_EQ(match_record(by_seconds, matched, parent, 100).at("gradient_images_per_second"), 5);
  matched.pretext_seconds = 0;  // as in results from before it was measured
  EXPECT_EQ(matched_budget(by_seconds, matched, parent), 40) << "2 images a second";
  EXPECT_EQ(matched_budget(by_seconds, matched, {}), 90);
}

}  // namespace
}  // namespace bissl::host
