#include "stages/work_record.h"

#include "support/temporary_folder.h"

#include <gtest/gtest.h>

namespace bissl::host::test {
namespace {

using nlohmann::json;

StageResults results_of(const WorkRecord& record) {
  StageResults results;
  record.add_to(results);
  return results;
}

TEST(WorkRecord, KeepsWhoWorkedOnAnInterruptedStage) {
  const TemporaryFolder folder;
  const json first = {{"threads", {{"compute", 1}}}};
  const json second = {{"threads", {{"compute", 2}}}};
  {
    const WorkRecord record(folder.path(), first);
    write_file(folder.path() / "checkpoint.safetensors", "state");
    record.save();
  }
  EXPECT_EQ(results_of(WorkRecord(folder.path(), first)).environments, json::array({first}));
  const WorkRecord record(folder.path(), second);
  EXPECT_EQ(results_of(record).environments, json::array({first, second}));
  EXPECT_GE(results_of(record).seconds, 0.0);
}

TEST(WorkRecord, ForgetsWorkThatLeftNothing) {
  const TemporaryFolder folder;
  { const WorkRecord record(folder.path(), {{"a", 1}}); }
  EXPECT_EQ(results_of(WorkRecord(folder.path(), {{"a", 2}})).environments,
            json::array({{{"a", 2}}}));
}

/// A process that was killed while it published the stage leaves its results, which are not
/// continued, and perhaps no checkpoint.
TEST(WorkRecord, ResultsAreProgressInTheFolderOfARepeatAlone) {
  const TemporaryFolder folder;
  write_file(folder.path() / "results.json", "{}");
  EXPECT_FALSE(has_progress(folder.path()));
  { const WorkRecord record(folder.path(), {{"a", 1}}); }
  EXPECT_EQ(results_of(WorkRecord(folder.path(), {{"a", 2}})).environments,
            json::array({{{"a", 2}}}));
  write_file(folder.path() / "repeat-0" / "results.json", "{}");
  EXPECT_TRUE(has_progress(folder.path()));
}

TEST(WorkRecord, ADamagedRecordIsNoRecord) {
  for (const char* content : {"", "[1]", "{\"seconds\": \"x\", \"environments\": 3}", "{"}) {
    const TemporaryFolder folder;
    write_file(folder.path() / "work.json", content);
    write_file(folder.path() / "checkpoint.safetensors", "state");
    EXPECT_EQ(results_of(WorkRecord(folder.path(), {{"a", 2}})).environments,
              json::array({{{"a", 2}}}))
        << content;
  }
}

}  // namespace
}  // namespace bissl::host::test
