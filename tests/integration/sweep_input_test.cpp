// What `bissl sweep` says of wrong files, cells and stores.

#include "core/store/failing_disk.h"
#include "sweep_fixture.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace bissl::test {
namespace {

TEST_F(SweepTest, WrongInputIsFoundInAllCellsBeforeAnythingRuns) {
  const Outcome key = sweep(ablation("[axes]\n\"stage.bisl.lambda\" = [1, 2]\n"));
  EXPECT_EQ(key.code, 2);
  EXPECT_NE(key.err.find("grid.toml:4:1: error: stage.bisl.lambda: "), std::string::npos)
      << key.err;
  EXPECT_NE(key.err.find("did you mean \"bissl\"?"), std::string::npos) << key.err;

  const Outcome value = sweep(ablation(R"([axes]
"stage.bissl.hypergradient" = [{ use = "cg", iterations = 0 }, { use = "neuman" }, { use = "cg" }]
"stage.bissl.lamda" = [1.0, 2.0]
seed = [0, 1]
)"));
  EXPECT_EQ(value.code, 2);
  for (const char* text : {"grid.toml:4:", "grid.toml:5:1: error: stage.bissl.lamda",
                           "(in 4 of 12 cells: hypergradient=cg_iterations=0,lamda=1,seed=0, …)",
                           "there is no hypergradient \"neuman\"", "did you mean \"lambda\"?"}) {
    EXPECT_NE(value.err.find(text), std::string::npos) << text << "\n" << value.err;
  }
  // What only a trial pass can tell.
  const Outcome shape = sweep(ablation(R"([axes]
"stage.finetune.evaluate.augment.size" = [8, 12]
"stage.finetune.repeats" = [1, 2]
)"));
  EXPECT_EQ(shape.code, 2) << shape.out;
  EXPECT_NE(shape.err.find("its augmentation gives views of 1x12x12"), std::string::npos)
      << shape.err;
  EXPECT_NE(shape.err.find("(in 2 of 4 cells: size=12,repeats=1, …)"), std::string::npos)
      << shape.err;
  const Outcome images = sweep(ablation(R"([axes]
"data.labelled.per_class" = [12, 1000]
)"));
  EXPECT_EQ(images.code, 2) << images.out;
  EXPECT_NE(images.err.find("per_class = 1000"), std::string::npos) << images.err;
  EXPECT_NE(images.err.find("(in 1 of 2 cells: per_class=1000)"), std::string::npos) << images.err;
  EXPECT_FALSE(fs::exists(out_ / "grid" / "logs")) << shape.out;
}

TEST_F(SweepTest, FaultsOfTheFileAreReportedTogether) {
  const fs::path file = folder_.path() / "grid.toml";
  write_file(file, R"(pipeline = "small.toml"
metrik = "finetune.test.top1"
[axes]
seed = 3
"stage.bissl.lambda" = []
"stage.bissl.gamma" = [0.1, 0.1]
[[zip]]
"stage.bissl.rounds" = [1, 2]
"stage.finetune.steps" = [1, 2, 3]
[search]
draws = 0
select = "top1"
"stage.finetune.optimizer.lr" = { log_uniform = [0, 1] }
[baseline]
"stage.bissl.gamma" = 5
)");
  const Outcome outcome = sweep(file.string());
  EXPECT_EQ(outcome.code, 2);
  for (const char* text :
       {"grid.toml:2:1: error: metrik: there is no such key", "did you mean \"metric\"?",
        "metric: this required key is missing", "grid.toml:4:8: error: axes.seed",
        "grid.toml:5:24: error: axes.\"stage.bissl.lambda\": the list has 0 values",
        "the value 0.1 stands there twice", "the list has 3 values; accepted: 2",
        "grid.toml:11:9: error: search.draws", "grid.toml:12:10: error: search.select",
        "grid.toml:13:49: error: search.\"stage.finetune.optimizer.lr\"",
        "grid.toml:15:23: error: baseline.\"stage.bissl.gamma\": 5 is not among"}) {
    EXPECT_NE(outcome.err.find(text), std::string::npos) << text << "\n" << outcome.err;
  }
}

TEST_F(SweepTest, AMetricThatNoStageGivesIsRefused) {
  const fs::path file = folder_.path() / "grid.toml";
  write_file(file,
             "pipeline = \"small.toml\"\nmetric = \"finetune.val.top1\"\n[axes]\nseed = [0]\n");
  const Outcome outcome = sweep(file.string());
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("no stage gives \"finetune.val.top1\""), std::string::npos)
      << outcome.err;
  EXPECT_NE(outcome.err.find("\"finetune.test\""), std::string::npos);
}

TEST_F(SweepTest, ARuleThatMeetsNoCellIsDoubtful) {
  const Outcome outcome = sweep(ablation(R"([axes]
seed = [0, 1]
[[exclude]]
"stage.bissl.lambda" = 7
)"),
                                {"--check"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("grid.toml:6:1: warning: exclude: this rule meets no cell"),
            std::string::npos)
      << outcome.err;
}

TEST_F(SweepTest, UnusableStoresAreToldFrom) {
  write_file(out_ / ".store" / "store.json", "{\"format\": 9}");
  const Outcome version = sweep(ablation(grid));
  EXPECT_EQ(version.code, 2);
  EXPECT_NE(version.err.find("has the format version 9"), std::string::npos) << version.err;
  fs::remove_all(out_);
  fs::create_directories(out_);
  const std::string file = ablation(grid);
  const std::string answer = on_small_disk(out_, 200 << 10, [&] {
    const Outcome full = sweep(file);
    return fmt::format("{}|{}|{}", full.code, full.out, full.err);
  });
  if (answer != "unavailable") {
    EXPECT_TRUE(answer.starts_with("1|")) << answer;
    EXPECT_NE(answer.find("No space left on device"), std::string::npos) << answer;
  }
}

}  // namespace
}  // namespace bissl::test
