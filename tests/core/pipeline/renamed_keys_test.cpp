// Keys of earlier versions: each is refused with the name that it has now.

#include "fixture.h"

#include <nlohmann/json.hpp>

namespace bissl::host::test {
namespace {

class RenamedKeys : public PipelineTest {
 protected:
  RenamedKeys() {
    TableSpec schedule;
    schedule.parameters = {parameter("end", 0.0)};
    schedule.parameters.front().traits["formerly"] = std::vector<std::string>{"final"};
    StageKindSpec train;
    train.name = "train";
    train.table.parameters = {parameter("size", int64_t{3})};
    train.table.tables = {{"schedule", schedule, false, "over time"}};
    train.table.renamed = {{"batch", "size"}, {"rate", "schedule"}};
    train.hands_on = {"backbone"};
    kinds_ = {train};
  }
};

const std::string stage = "[stage.a]\nkind = \"train\"\n";

TEST_F(RenamedKeys, AreRefusedWithTheNameThatTheyHaveNow) {
  EXPECT_EQ(faults_of(head + stage + "batch = 3\nschedule = { final = 2 }\n"),
            (Lines{"p.toml:8:1: error: stage.a.batch: renamed: `batch` is `size` now",
                   "p.toml:9:14: error: stage.a.schedule.final: renamed: `final` is `end` now"}));
  EXPECT_EQ(faults_of(head + stage + "[stage.a.rate]\nend = 1\n"),
            Lines{"p.toml:8:10: error: stage.a.rate: renamed: `rate` is `schedule` now"});
}

TEST_F(RenamedKeys, AreToldOnceWhereverTheyComeFrom) {
  EXPECT_EQ(faults_of(head + stage + "batch = 3\n[stage.b]\nlike = \"a\"\n"),
            Lines{"p.toml:8:1: error: stage.a.batch: renamed: `batch` is `size` now"});
  EXPECT_EQ(faults_of(head + stage, {"stage.a.schedule.final=1"}),
            Lines{"--set stage.a.schedule.final=1: error: stage.a.schedule.final: renamed: `final` "
                  "is `end` now"});
}

TEST_F(RenamedKeys, OtherKeysAreUnknownAsEver) {
  const Lines faults = faults_of(head + stage + "batches = 3\n");
  ASSERT_EQ(faults.size(), 1U);
  EXPECT_NE(faults[0].find("stage.a.batches: unknown key; accepted: "), std::string::npos);
  EXPECT_TRUE(read_text(head + stage + "size = 3\nschedule = { end = 2 }\n").pipeline);
}

}  // namespace
}  // namespace bissl::host::test
