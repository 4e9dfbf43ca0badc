// What a report reads from the folders of runs.

#include "store/run_results.h"
#include "bissl/error.h"
#include "report/gather.h"
#include "report/report.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

class RunsReport : public testing::Test {
 protected:
  /// A run of one fine-tuning with a score, whose pipeline has the stages of `lock`.
  fs::path run(const std::string& name, const std::string& lock, double score = 0.5) const {
    RunResults results{.pipeline = name, .seed = 0};
    StageResults stage;
    stage.kind = "finetune";
    stage.metrics.push_back(summarised(
        {.data = "test", .metric = "top1", .higher_is_better = true, .values = {score}}));
    results.stages["tune"] = stage;
    const fs::path folder = folder_.path() / name;
    write_file(folder / "results.json", results.to_json().dump());
    write_file(folder / "pipeline.lock.toml", lock);
    return folder;
  }

  TemporaryFolder folder_;
};

TEST_F(RunsReport, StagesWithoutResultsAreNamed) {
  const fs::path whole = run("whole", "name = \"w\"\n[stage.tune]\nkind = \"finetune\"\n");
  const fs::path part = run("part",
                            "name = \"p\"\n[stage.tune]\nkind = \"finetune\"\n"
                            "[stage.\"tune.v1\"]\nkind = \"finetune\"\n");
  EXPECT_TRUE(gather({whole}, "").missing.empty());
  const ReportData one = gather({part}, "");
  ASSERT_EQ(one.missing.size(), 1U);
  EXPECT_EQ(one.missing[0].id, "stage.\"tune.v1\"");
  EXPECT_NE(one.missing[0].cause.find("it has no result: it failed"), std::string::npos);
  const ReportData two = gather({whole, part}, "");
  ASSERT_EQ(two.missing.size(), 1U);
  EXPECT_EQ(two.missing[0].axes.at("stage"), "tune.v1");
  EXPECT_TRUE(two.missing[0].axes.at("run").ends_with("part")) << two.missing[0].id;
  // A lock that cannot be read hides no results.
  EXPECT_TRUE(gather({run("broken", "[stage")}, "").missing.empty());
}

/// Every score of a training that went wrong may be NaN: that is what there is to report.
TEST_F(RunsReport, RunsWithoutAnyFiniteValueAreReported) {
  const std::string lock = "name = \"r\"\n[stage.tune]\nkind = \"finetune\"\n";
  const fs::path lost = run("lost", lock, std::nan(""));
  for (const char* metric : {"", "test.top1"}) {
    const ReportData data = gather({lost}, metric);
    EXPECT_EQ(data.metrics, std::vector<std::string>{"test.top1"});
    ASSERT_EQ(data.missing.size(), 1U);
    EXPECT_EQ(data.missing[0].cause, "test.top1 is not finite: nan");
    const std::string text = to_terminal(build_report(data));
    EXPECT_NE(text.find("No cell has a result of test.top1"), std::string::npos) << text;
  }
  try {
    gather({lost}, "test.top2");
    FAIL() << "a metric was taken that no result has";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("the results have test.top1; did you mean"),
              std::string::npos)
        << error.what();
  }
  // Beside a run that has values it takes nobody's place.
  EXPECT_EQ(gather({lost, run("whole", lock)}, "").missing.size(), 1U);
}

}  // namespace
}  // namespace bissl::host::test
