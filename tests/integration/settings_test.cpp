// Settings that are exchanged, taken away, written in other ways, or not done as asked for: what
// the program makes of them and says of them.

#include "program.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <thread>
#include <vector>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

class SettingsTest : public testing::Test {
 protected:
  SettingsTest() { write_file(file_, small_pipeline()); }

  Outcome call(const char* command, const std::vector<std::string>& more) const {
    std::vector<std::string> words = {command, file_.string(), "--out",
                                      (folder_.path() / "runs").string()};
    words.insert(words.end(), more.begin(), more.end());
    return run_bissl(words);
  }
  Outcome check(std::vector<std::string> sets, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words = {"--threads", "1"};
    for (const std::string& set : sets) {
      words.insert(words.end(), {"--set", set});
    }
    words.insert(words.end(), more.begin(), more.end());
    return call("check", words);
  }
  static bool says(const Outcome& outcome, const std::string& text) {
    return outcome.err.find(text) != std::string::npos;
  }

  TemporaryFolder folder_;
  fs::path file_ = folder_.path() / "small.toml";
};

/// "nan" is neither less nor more than any bound: days that nothing is younger than, or minutes
/// that never end.
TEST_F(SettingsTest, NumbersOfOptionsAreFinite) {
  const std::string store = (folder_.path() / "runs").string();
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"store", "pixels", "--prune", "--dry-run", "--older-than", "nan"},
        {"store", "prune", "--unused", "--out", store, "--older-than", "nan"},
        {"compare", store, "--minutes", "nan"},
        {"bench", "data", file_.string(), "--seconds", "nan"}}) {
    const Outcome outcome = run_bissl(words);
    EXPECT_EQ(outcome.code, 2) << words[1];
    EXPECT_TRUE(says(outcome, words.back() + " is not a finite number")) << outcome.err;
  }
}

TEST_F(SettingsTest, KeysAreExchangedAndTakenAway) {
  for (const char* set : {"stage.pretrain.epochs=1", "stage.bissl.head_warmup.epochs=1",
                          "stage.bissl.lower.schedule.warmup_epochs=0.5"}) {
    const Outcome outcome = check({set});
    EXPECT_EQ(outcome.code, 0) << set << outcome.err;
  }
  EXPECT_EQ(
      check({}, {"--unset", "stage.pretrain.schedule", "--unset", "stage.bissl.head_warmup"}).code,
      0);
  const Outcome none = check({}, {"--unset", "stage.pretrain.epochs"});
  EXPECT_EQ(none.code, 2);
  EXPECT_TRUE(says(none, "this key is not there, so it cannot be taken away")) << none.err;
  fs::create_directories(folder_.path() / "runs" / ".store");
  EXPECT_EQ(run_bissl({"store", "explain", file_.string(), "--out",
                       (folder_.path() / "runs").string(), "--unset", "stage.finetune.schedule"})
                .code,
            0);
}

TEST_F(SettingsTest, CheckSaysWhatIsShortenedOrRounded) {
  const Outcome outcome =
      check({"stage.pretrain.schedule.warmup_steps=100", "stage.finetune.epochs=0.001",
             "stage.bissl.lower.schedule.warmup_epochs=0.01", "stage.bissl.adaptation_every=50"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_TRUE(says(outcome,
                   "warning: stage.pretrain: schedule.warmup_steps = 100 is 100 steps, and "
                   "the stage has 8"))
      << outcome.err;
  EXPECT_TRUE(says(outcome, "stage.finetune: epochs = 0.001 of")) << outcome.err;
  EXPECT_TRUE(says(outcome, "stage.bissl: lower.schedule.warmup_epochs = 0.01 is")) << outcome.err;
  EXPECT_TRUE(says(outcome, "stage.bissl: adaptation_every = 50 is more than the 3 rounds"))
      << outcome.err;
  EXPECT_FALSE(says(check({}), "warning: stage.pretrain")) << "nothing of this is in the file";
}

TEST_F(SettingsTest, StepsBeyondAnyNumberAreRefusedBeforeAnythingRuns) {
  for (const char* set :
       {"stage.pretrain.epochs=1e300", "stage.bissl.rounds=9e15", "stage.finetune.steps=9e15",
        "stage.bissl.head_warmup.epochs=1e30", "stage.bissl.upper.steps=9e15"}) {
    for (const char* command : {"check", "run"}) {
      const Outcome outcome = call(command, {"--threads", "1", "--set", set});
      EXPECT_EQ(outcome.code, 2) << set << outcome.err;
      EXPECT_TRUE(says(outcome, "a stage can have 10^12 at most")) << set << outcome.err;
    }
  }
  EXPECT_FALSE(fs::exists(folder_.path() / "runs" / "small" / "pretrain"));
}

TEST_F(SettingsTest, MoreThreadsThanProcessorsAreSaid) {
  const std::string more = std::to_string(std::thread::hardware_concurrency() + 1);
  const Outcome outcome = call("check", {"--threads", more});
  EXPECT_TRUE(says(outcome, "warning: --threads " + more + ": this process may use "))
      << outcome.err;
  EXPECT_FALSE(says(check({}), "--threads"));
}

TEST_F(SettingsTest, APathIsRelativeToItsFileAndTheLockIsNot) {
  fs::create_directories(folder_.path() / "data");
  write_file(folder_.path() / "small.toml",
             small_pipeline() + "[data.digits]\nuse = \"mnist\"\nroot = \"data/none\"\n");
  const Outcome outcome = call("check", {"--threads", "1", "--set", "stage.pretrain.data=digits"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_TRUE(says(outcome, (folder_.path() / "data/none").string())) << outcome.err;
}

}  // namespace
}  // namespace bissl::host::test
