#include "sweep/state.h"

#include <gtest/gtest.h>

namespace bissl {
namespace {

const nlohmann::json stages = nlohmann::json::parse(R"({
  "ft": {"metrics": {"test": {
    "top1": {"mean": 0.5, "std": 0.0},
    "loss": {"mean": null, "std": null, "not_finite": {"mean": "inf in run 0"}}}}},
  "a.b": {"metrics": {"test": {"top1": {"mean": 0.25}}}},
  "pre": {"steps": 3}})");

TEST(MetricOf, IsAFiniteMeanOrNothing) {
  EXPECT_EQ(metric_of(stages, "ft.test.top1"), 0.5);
  EXPECT_EQ(metric_of(stages, R"("a.b".test.top1)"), 0.25);
  for (const char* name : {"ft.test.loss", "ft.test.top5", "pre.test.top1", "ft.other.top1", "top1",
                           "", ".", "x.test.top1"}) {
    EXPECT_EQ(metric_of(stages, name), std::nullopt) << name;
  }
}

TEST(MetricOf, HasAReasonOnlyWhereItIsNotFinite) {
  EXPECT_EQ(reason_of(stages, "ft.test.loss"), "inf in run 0");
  for (const char* name : {"ft.test.top1", "ft.test.top5", "pre.test.top1", "top1", "."}) {
    EXPECT_EQ(reason_of(stages, name), "") << name;
  }
}

}  // namespace
}  // namespace bissl
