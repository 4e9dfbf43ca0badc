#include "stages/bissl/stage_watch.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace bissl::host::test {
namespace {

using Texts = std::vector<std::string>;

StageWatch::Setting setting(Texts& told) {
  return {.rounds = 2,
          .warmup_steps = 3,
          .constant_loss = 1.0,
          .guard = 10,
          .warn = [&told](const std::string& text) { told.push_back(text); }};
}

UpperStep upper(double loss, double u_norm, double guard = 1) {
  UpperStep step;
  step.loss = loss;
  step.u_norm = u_norm;
  step.guard = guard;
  return step;
}

TEST(StageWatch, IsSilentWhereNothingIsWrong) {
  Texts told;
  StageWatch watch(setting(told));
  for (int64_t i = 0; i < 3; ++i) {
    watch.head_step(i, 1.05 - 0.1 * static_cast<double>(i));
  }
  watch.lower_step(true, 1.0);
  watch.lower_step(false, 3.0);
  watch.lower_step(false, std::numeric_limits<double>::infinity());  // a step that was left out
  EXPECT_EQ(watch.pretext_norm(), 2.0);
  EXPECT_EQ(watch.limit(), 20.0);
  watch.upper_step(0, upper(0.8, 4.0));
  watch.lower_step(true, 1.0);  // a new round, a new mean
  EXPECT_EQ(watch.pretext_norm(), 1.0);
  watch.upper_step(1, upper(0.7, 4.0));
  watch.finished(0.5, 2.0);
  EXPECT_EQ(told, Texts{});

  nlohmann::json details;
  watch.report(details);
  EXPECT_FALSE(details.contains("warnings"));
  EXPECT_EQ(details["head_warmup"]["fit"], "sgd");
  EXPECT_EQ(details["upper_loss"]["first_round"], 0.8);
  EXPECT_EQ(details["upper_loss"]["last_round"], 0.7);
  EXPECT_EQ(details["balance"]["u_over_pretext_gradient"], 3.0);
  EXPECT_EQ(details["balance"]["largest_u_over_pretext_gradient"], 4.0);
  EXPECT_EQ(details["balance"]["displacement_ratio"], 0.25);
}

/// A loss above ln K, one above where it began, a backbone that is thrown off.
TEST(StageWatch, SaysWhatDoesHarm) {
  Texts told;
  StageWatch watch(setting(told));
  watch.head_step(0, 2.0);
  watch.head_step(1, 4.0);
  watch.head_step(2, 5.9);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_NE(told[0].find("the head's warm-up ends at a loss of 5.9, above ln K = 1"),
            std::string::npos)
      << told[0];
  watch.lower_step(true, 1.0);
  watch.upper_step(0, upper(0.5, 40.0, 0.25));
  watch.upper_step(1, upper(0.9, 4.0));
  watch.finished(3.0, 1.5);
  ASSERT_EQ(told.size(), 4U);
  EXPECT_NE(told[1].find("2 times as far as the stage before"), std::string::npos) << told[1];
  EXPECT_NE(told[2].find("the upper level ends at a loss of 0.9, above 0.5, where it began"),
            std::string::npos)
      << told[2];
  EXPECT_NE(told[3].find("shortened in 1 of 2 upper steps"), std::string::npos) << told[3];
  nlohmann::json details;
  watch.report(details);
  EXPECT_EQ(details["warnings"], nlohmann::json(told));
}

TEST(StageWatch, ComparesLossesBelowZero) {
  for (const auto& [last, warnings] : {std::pair(-1.05, size_t{0}), std::pair(-0.5, size_t{1})}) {
    Texts told;
    StageWatch watch(setting(told));
    watch.lower_step(true, 1.0);
    watch.upper_step(0, upper(-1.0, 4.0));
    watch.upper_step(1, upper(last, 4.0));
    watch.finished(0.5, 2.0);
    EXPECT_EQ(told.size(), warnings) << last;
  }
}

TEST(StageWatch, ContinuesFromACheckpoint) {
  Texts told;
  StageWatch whole(setting(told));
  StageWatch first(setting(told));
  for (StageWatch* watch : {&whole, &first}) {
    watch->head_step(0, 2.0);
    watch->head_step(1, 2.0);
    watch->head_step(2, 2.0);
    watch->lower_step(true, 1.0);
    watch->upper_step(0, upper(0.5, 2.0));
  }
  StageWatch second(setting(told));
  second.load(nlohmann::json::parse(first.save().dump()));
  for (StageWatch* watch : {&whole, &second}) {
    watch->upper_step(1, upper(0.7, 3.0));
    watch->finished(1.0, std::nullopt);
  }
  nlohmann::json expected;
  nlohmann::json found;
  whole.report(expected);
  second.report(found);
  EXPECT_EQ(found, expected);
  EXPECT_EQ(found["warnings"].size(), 2U);
}

}  // namespace
}  // namespace bissl::host::test
