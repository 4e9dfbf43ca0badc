// How often the stages of a sweep were begun, and how the processes ended that computed them.

#include "sweep/attempts.h"

#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

namespace bissl::host::test {
namespace {

/// Processes of several machines and containers, which work on one sweep, have the same numbers.
TEST(Attempts, TheEndOfAProcessIsThatOfAStageOfThisMachine) {
  const TemporaryFolder folder;
  SweepPlan plan;
  plan.nodes = {{.key = "a", .stage = "pre", .kind = "pretrain", .parent = "", .unit = 0}};
  const SweepFolder files(plan, folder.path());
  Attempts attempts(plan, files);
  EXPECT_EQ(attempts.begin("a", folder.path() / "stage"), 0);
  EXPECT_TRUE(attempts.note_end(getpid(), "was killed"));
  EXPECT_EQ(attempts.last_end("a"), "was killed");

  attempts.end("a");
  EXPECT_EQ(attempts.begin("a", folder.path() / "stage"), 0);
  const std::filesystem::path file = files.state_file("a", "attempts");
  nlohmann::json record = nlohmann::json::parse(read_file(file));
  record["host"] = "another machine";
  write_file(file, record.dump());
  EXPECT_FALSE(attempts.note_end(getpid(), "was killed"));
  EXPECT_EQ(attempts.last_end("a"), "");
}

}  // namespace
}  // namespace bissl::host::test
