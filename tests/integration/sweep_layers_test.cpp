// What an ablation lays on its pipeline: keys that exclude each other, keys that are taken away,
// paths.

#include "sweep_fixture.h"

namespace bissl::host::test {
namespace {

std::string lock_of(const fs::path& cell) { return read_file(cell / "pipeline.lock.toml"); }

/// The table of that header in a lock.
std::string table_of(const std::string& lock, const std::string& header) {
  const size_t begin = lock.find("\n[" + header + "]\n");
  return begin == std::string::npos ? "" : lock.substr(begin, lock.find("\n[", begin + 1) - begin);
}

TEST_F(SweepTest, AxesExchangeKeysAndTakeThemAway) {
  const Outcome outcome = sweep(ablation(R"(stages = ["finetune"]
[set]
unset = ["stage.bissl.head_warmup"]
"stage.finetune.epochs" = 0.5
[axes]
"stage.pretrain.epochs" = [1, 0.5]
"stage.pretrain.unset" = [[], ["schedule"]]
)"),
                                {"--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  ASSERT_EQ(cells(outcome).size(), 4U);
  size_t with_schedule = 0;
  for (const auto& [id, cell] : cells(outcome)) {
    const std::string lock = lock_of(out_ / "grid" / "cells" / id);
    EXPECT_NE(table_of(lock, "stage.pretrain").find("\nepochs = "), std::string::npos) << lock;
    EXPECT_EQ(table_of(lock, "stage.pretrain").find("\nsteps = "), std::string::npos) << lock;
    EXPECT_EQ(table_of(lock, "stage.finetune").find("\nsteps = "), std::string::npos) << lock;
    EXPECT_EQ(table_of(lock, "stage.bissl.head_warmup"), "");
    EXPECT_EQ(lock.find("unset"), std::string::npos);
    with_schedule += table_of(lock, "stage.pretrain.schedule").empty() ? 0 : 1;
  }
  EXPECT_EQ(with_schedule, 2U);
}

TEST_F(SweepTest, KeysOfOneCellThatExcludeEachOtherAreAnError) {
  const Outcome zip =
      sweep(ablation("[[zip]]\n\"stage.pretrain.epochs\" = [1, 2]\n"
                     "\"stage.pretrain.steps\" = [3, 4]\n"));
  EXPECT_EQ(zip.code, 2);
  EXPECT_NE(zip.err.find("epochs and steps are both given"), std::string::npos) << zip.err;
}

TEST_F(SweepTest, AnExclusionDoesNotSeeWhatIsOverruled) {
  const Outcome outcome = sweep(ablation("[axes]\n\"stage.pretrain.epochs\" = [1, 2]\n[[exclude]]\n"
                                         "\"stage.pretrain.steps\" = 8\n"),
                                {"--check", "--json"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(json::parse(outcome.out).at("cells"), 2);
}

TEST_F(SweepTest, WhatNoCellHasCannotBeTakenAway) {
  const std::string file =
      ablation("[set]\nunset = [\"stage.pretrain.stesp\"]\n[axes]\nseed = [0]\n");
  const Outcome outcome = sweep(file, {"--check"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("did you mean \"stage.pretrain.steps\"?"), std::string::npos)
      << outcome.err;
  EXPECT_EQ(sweep(ablation("[axes]\nseed = [0]\n", "plain"),
                  {"--check", "--unset", "stage.finetune.schedule"})
                .code,
            0);
}

TEST_F(SweepTest, PathsOfAxesAreRelativeToTheAblation) {
  fs::create_directories(folder_.path() / "studies");
  const fs::path file = folder_.path() / "studies" / "grid.toml";
  write_file(file,
             "pipeline = \"../small.toml\"\nmetric = \"finetune.test.top1\"\n[set]\n"
             "\"data.images.use\" = \"mnist\"\n[axes]\n\"data.images.root\" = [\"a\", \"b\"]\n");
  const Outcome outcome = sweep(file.string(), {"--check"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find((folder_.path() / "studies" / "a").string()), std::string::npos)
      << outcome.err;
}

TEST_F(SweepTest, BoundsInTheWrongOrderAreSaid) {
  const Outcome outcome = sweep(ablation(R"([search]
draws = 2
select = "finetune.test.top1"
"stage.finetune.optimizer.lr" = { log_uniform = [1.0, 1e-3] }
"stage.bissl.lambda" = { uniform = [0.1, inf] }
)"),
                                {"--check"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("the bounds [1.0, 0.001] are in the wrong order: the smaller number "
                             "comes first"),
            std::string::npos)
      << outcome.err;
  EXPECT_NE(outcome.err.find("[0.1, inf]"), std::string::npos) << outcome.err;
}

}  // namespace
}  // namespace bissl::host::test
