// What a report reads from the folder of a sweep.

#include "report/gather.h"
#include "store/run_results.h"
#include "store/sweep_plan.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace bissl::host::test {
namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// A sweep of one cell with two stages, "a" and "b", that are scored.
class SweepsReport : public testing::Test {
 protected:
  SweepsReport() {
    plan_.name = "study";
    plan_.metrics = {"a.test.top1", "b.test.top1"};
    plan_.units.push_back({.lock = "", .stages = {{"a", "key-a"}, {"b", "key-b"}}});
    plan_.cells.push_back(
        {.id = "cell", .choices = {}, .seed = 0, .unit = size_t{0}, .trials = {}, .finals = {}});
    for (const char* stage : {"a", "b"}) {
      plan_.nodes.push_back({.key = std::string("key-") + stage,
                             .stage = stage,
                             .kind = "finetune",
                             .parent = "",
                             .unit = 0});
    }
  }

  /// The report where "a" has these scores of its networks.
  ReportData report(const std::vector<double>& scores, const std::string& metric = "") const {
    RunResults results{.pipeline = "study", .seed = 0};
    for (const char* name : {"a", "b"}) {
      StageResults& stage = results.stages[name];
      stage.kind = "finetune";
      stage.key = std::string("key-") + name;
      stage.seconds = 20;
      stage.metrics.push_back(summarised(
          {.data = "test",
           .metric = "top1",
           .higher_is_better = true,
           .values = name[0] == 'a' ? scores : std::vector<double>(scores.size(), 0.5)}));
    }
    write_file(folder_.path() / "plan.json", plan_.to_json().dump());
    write_file(folder_.path() / "cells" / "cell" / "results.json", results.to_json().dump());
    return gather({folder_.path()}, metric);
  }

  TemporaryFolder folder_;
  SweepPlan plan_;
};

TEST_F(SweepsReport, SecondsOfAReferenceAmongTheMetricsAreCountedOnce) {
  plan_.reference = "b.test.top1";
  const ReportData data = report({0.25});
  ASSERT_EQ(data.observations.size(), 1U);
  EXPECT_EQ(data.observations[0].seconds.at("a.test.top1"), 20);
  EXPECT_EQ(data.observations[0].seconds.at("b.test.top1"), 20);
}

TEST_F(SweepsReport, NetworksWithoutAValueAreNamed) {
  EXPECT_TRUE(report({0.25, 0.5}).missing.empty());
  for (const auto& [scores, id] :
       {std::pair(std::vector<double>{not_a_number, 0.5}, "cell, repeat 0"),
        {std::vector<double>{0.5, not_a_number}, "cell, repeat 1"},
        {std::vector<double>{not_a_number, not_a_number}, "cell"},
        {std::vector<double>{not_a_number}, "cell"}}) {
    const ReportData data = report(scores);
    ASSERT_EQ(data.missing.size(), 1U) << id;
    EXPECT_EQ(data.missing[0].id, id);
    EXPECT_EQ(data.missing[0].cause.rfind("a.test.top1 is not finite: nan", 0), 0U)
        << data.missing[0].cause;
  }
}

TEST_F(SweepsReport, TheGoalIsThatOfTheFirstMetricAlsoWhereItIsNamed) {
  plan_.maximise = false;
  EXPECT_EQ(report({0.25}).higher_is_better, false);
  EXPECT_EQ(report({0.25}, "a.test.top1").higher_is_better, false);
  EXPECT_EQ(report({0.25}, "b.test.top1").higher_is_better, true);
}

}  // namespace
}  // namespace bissl::host::test
