// `bissl sweep` as a user calls it, on grids of seconds: what is run, shared and chosen.

#include "sweep_fixture.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace bissl::host::test {
namespace {

TEST_F(SweepTest, TrainsEachSharedStageOnce) {
  const Outcome first = sweep(ablation(grid), {"--jobs", "2", "--json"});
  ASSERT_EQ(first.code, 0) << first.err;
  const auto found = cells(first);
  EXPECT_EQ(found.size(), 6U);           // 8 without the two that are excluded
  EXPECT_EQ(logged("pretrain of"), 4U);  // begins and done, for two seeds
  EXPECT_EQ(logged("bissl of") - logged(": warning: "), 12U);  // training may give some of these
  EXPECT_EQ(logged(": begins"), 14U);
  // Each is counted by itself, also where several end between two looks.
  std::vector<std::string> counts;
  std::istringstream lines(first.err);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('[')) {
      counts.push_back(line.substr(0, line.find(' ')));
    }
  }
  ASSERT_EQ(counts.size(), 14U) << first.err;
  for (size_t i = 0; i < counts.size(); ++i) {
    EXPECT_EQ(counts[i], "[" + std::to_string(i + 1) + "/14]");
  }

  // A cell is what a run with the same settings gives.
  const Outcome run = run_bissl({"run", (folder_.path() / "small.toml").string(), "--out",
                                 (folder_.path() / "other").string(), "--threads", "1", "--json",
                                 "--set", "stage.bissl.hypergradient.use=identity", "--set",
                                 "stage.bissl.lambda=0.1", "--set", "seed=1"});
  ASSERT_EQ(run.code, 0) << run.err;
  const json stages = json::parse(run.out).at("stages");
  const std::string id = "hypergradient=identity,lambda=0.1,seed=1";
  ASSERT_TRUE(found.contains(id)) << first.out;
  EXPECT_EQ(found.at(id).at("metrics").at("finetune.test.top1"),
            stages.at("finetune").at("metrics").at("test").at("top1").at("mean"));
  for (const char* name : {"pipeline.lock.toml", "results.json", "finetune/results.json"}) {
    EXPECT_TRUE(fs::exists(out_ / "grid" / "cells" / id / name)) << name;
  }
  const json results = json::parse(read_file(out_ / "grid" / "cells" / id / "results.json"));
  EXPECT_EQ(results.at("stages").at("bissl").at("from"), "pretrain");
  EXPECT_FALSE(results.at("stages").contains("baseline"));  // not asked for
  const Outcome printed = sweep(ablation(grid), {"--cell", id});
  EXPECT_EQ(printed.code, 0) << printed.err;
  EXPECT_NE(printed.out.find("lambda = 0.1"), std::string::npos) << printed.out;
  EXPECT_TRUE(
      read_file(out_ / "grid" / "cells" / id / "pipeline.lock.toml").starts_with(printed.out));

  const Outcome again = sweep(ablation(grid), {"--jobs", "2", "--json"});
  EXPECT_EQ(again.code, 0);
  EXPECT_EQ(cells(again), found);
  EXPECT_EQ(logged(": begins"), 14U);
}

TEST_F(SweepTest, ContinuingDoesOnlyWhatIsMissing) {
  const std::string file = ablation(grid);
  ASSERT_EQ(sweep(file).code, 0);
  const fs::path cell = out_ / "grid" / "cells" / "hypergradient=identity,lambda=0.1,seed=0";
  fs::remove_all(fs::canonical(cell / "finetune"));
  const std::string before = read_file(cell / "results.json");
  const Outcome status = sweep(file, {"--status", "--json"});
  EXPECT_EQ(status.code, 0);
  EXPECT_EQ(cells(status).at(cell.filename()).at("state"), "done");  // its results are there
  ASSERT_EQ(sweep(file).code, 0);
  EXPECT_EQ(logged(": begins"), 15U);
  EXPECT_EQ(logged("finetune of hypergradient=identity,lambda=0.1,seed=0: begins"), 2U);
  const json old = json::parse(before).at("stages").at("finetune").at("per_repeat");
  EXPECT_EQ(
      json::parse(read_file(cell / "results.json")).at("stages").at("finetune").at("per_repeat"),
      old);
  // One more value: what is there already is not done again.
  ASSERT_EQ(sweep(ablation(R"(stages = ["finetune"]
[axes]
seed = [0, 1, 2]
"stage.bissl.lambda" = [0.1]
"stage.bissl.hypergradient" = ["identity"]
)",
                           "other"))
                .code,
            2);  // a text is no table
  ASSERT_EQ(sweep(ablation(R"(stages = ["finetune"]
[axes]
seed = [0, 1, 2]
"stage.bissl.lambda" = [0.1]
"stage.bissl.hypergradient.use" = ["identity"]
)",
                           "other"))
                .code,
            0);
  EXPECT_EQ(logged(": begins", "other"), 3U);
}

TEST_F(SweepTest, AFailedCellIsReportedAndTheOthersGoOn) {
  const std::string file = ablation(R"(stages = ["finetune"]
[axes]
"stage.bissl.upper.optimizer.lr" = [0.01, 1e30]
seed = [0, 1]
)");
  const Outcome outcome = sweep(file, {"--jobs", "2"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_NE(outcome.out.find("4 cells: 2 done, 2 failed"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("failed: bissl of lr=1e+30,seed=0: stage.bissl"), std::string::npos)
      << outcome.out;
  EXPECT_NE(outcome.err.find("bissl of lr=1e+30,seed=1 failed: "), std::string::npos)
      << outcome.err;
  const Outcome report = run_bissl({"report", (out_ / "grid").string()});
  EXPECT_EQ(report.code, 0) << report.err;
  EXPECT_NE(report.out.find("Missing cells"), std::string::npos);
  EXPECT_NE(report.out.find("lr=1e+30,seed=1  bissl failed: "), std::string::npos) << report.out;

  // Tried again by the next call, and by that call alone.
  const size_t begins = logged("bissl of lr=1e+30,seed=0: begins");
  EXPECT_EQ(begins, 1U);
  EXPECT_EQ(sweep(file).code, 1);
  EXPECT_EQ(logged("bissl of lr=1e+30,seed=0: begins"), 2U);
  EXPECT_EQ(logged("bissl of lr=0.01,seed=0: begins"), 1U);
}

TEST_F(SweepTest, StopsAtTheFirstFailureIfAskedTo) {
  const std::string file = ablation(R"(stages = ["finetune"]
[axes]
"stage.bissl.upper.optimizer.lr" = [1e30, 0.01]
seed = [0, 1, 2]
)");
  const Outcome outcome = sweep(file, {"--stop-on-failure", "--json"});
  EXPECT_EQ(outcome.code, 1);
  size_t waiting = 0;
  for (const auto& [id, cell] : cells(outcome)) {
    waiting += cell.at("state") == "waiting" ? 1 : 0;
  }
  EXPECT_GE(waiting, 4U) << outcome.out;
  ASSERT_EQ(json::parse(outcome.out).at("failures").size(), 1U);
}

TEST_F(SweepTest, LinkedValuesGoTogether) {
  const Outcome outcome = sweep(ablation(R"(stages = ["finetune"]
[[zip]]
"stage.bissl.lambda" = [0.1, 1.0]
"stage.bissl.gamma" = [0.5, 0.05]
[axes]
seed = [0]
)"),
                                {"--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto found = cells(outcome);
  ASSERT_EQ(found.size(), 2U);
  const fs::path cell = out_ / "grid" / "cells" / "seed=0,lambda+gamma=1+0.05";
  ASSERT_TRUE(fs::exists(cell)) << outcome.out;
  const std::string lock = read_file(cell / "pipeline.lock.toml");
  EXPECT_NE(lock.find("lambda = 1.0"), std::string::npos);
  EXPECT_NE(lock.find("gamma = 0.05"), std::string::npos);
}

TEST_F(SweepTest, SearchChoosesOnTheValidationSplitAndScoresTheChosenDrawOnce) {
  std::string pipeline = small_pipeline();
  const std::string evaluate = R"(evaluate   = { data = "test")";
  pipeline.replace(pipeline.find(evaluate), evaluate.size(), R"(evaluate   = { data = "val")");
  pipeline +=
      "\n[data.val]\nuse = \"synthetic\"\nsamples = 96\nsize = 8\n"
      "per_class = 10\nskip_per_class = 12\n";
  write_file(folder_.path() / "small.toml", pipeline);
  const std::string file = ablation(R"(stages = ["finetune"]
[axes]
"stage.bissl.lambda" = [0.1, 1.0]
seed = [0, 1]
[search]
draws  = 5
select = "finetune.val.loss"
"stage.finetune.optimizer.lr" = { log_uniform = [1e-4, 1.0] }
"stage.finetune.optimizer.weight_decay" = { choice = [0.0, 1e-4] }
[search.final]
"stage.finetune.evaluate.data" = "test"
)");
  const Outcome outcome = sweep(file, {"--jobs", "2", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(cells(outcome).size(), 4U);
  // 2 pretrain, 4 bissl, 5 draws and one final fine-tuning in each of 4 cells.
  EXPECT_EQ(logged(": begins"), 30U);
  std::map<std::string, json> values;
  for (const auto& [id, cell] : cells(outcome)) {
    const json results =
        json::parse(read_file(fs::path(cell.at("folder").get<std::string>()) / "results.json"));
    const json& search = results.at("search");
    const auto scores = search.at("scores").get<std::vector<double>>();
    ASSERT_EQ(scores.size(), 5U);
    EXPECT_EQ(search.at("chosen").get<size_t>(),
              static_cast<size_t>(std::min_element(scores.begin(), scores.end()) - scores.begin()));
    const json& metrics = results.at("stages").at("finetune").at("metrics");
    EXPECT_TRUE(metrics.contains("test"));
    EXPECT_FALSE(metrics.contains("val"));
    const std::string lock =
        read_file(fs::path(cell.at("folder").get<std::string>()) / "pipeline.lock.toml");
    EXPECT_NE(lock.find("data = \"test\""), std::string::npos);
  }
  const Outcome again = sweep(file, {"--json"});
  EXPECT_EQ(cells(again), cells(outcome));
  EXPECT_EQ(logged(": begins"), 30U);
  const Outcome report = run_bissl({"report", (out_ / "grid").string()});
  EXPECT_EQ(report.code, 0) << report.err;
  EXPECT_NE(report.out.find("Chosen draws"), std::string::npos) << report.out;
  EXPECT_NE(report.out.find("stage.finetune.optimizer.weight_decay"), std::string::npos);
}

TEST_F(SweepTest, ScoringTheChosenDrawInAStageOfItsOwnTrainsNothing) {
  write_file(folder_.path() / "small.toml", small_pipeline() + R"(
[data.val]
use = "synthetic"
samples = 96
size = 8
per_class = 10
skip_per_class = 12
[stage.score]
kind    = "evaluate"
from    = "finetune"
data    = "val"
augment = { use = "evaluation", size = 8 }
)");
  const fs::path file = folder_.path() / "grid.toml";
  write_file(file, R"(pipeline = "small.toml"
metric = "score.test.top1"
stages = ["score"]
[set]
"stage.finetune.unset" = ["evaluate"]
[axes]
seed = [0, 1]
[search]
draws  = 3
select = "score.val.loss"
"stage.finetune.optimizer.lr" = { log_uniform = [1e-4, 1.0] }
[search.final]
"stage.score.data" = "test"
)");
  const Outcome outcome = sweep(file.string(), {"--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  // For each of two seeds pretrain, bissl, and fine-tuning with scoring of three draws.
  EXPECT_EQ(logged(": begins"), 2U * (2 + 3 * 2 + 1));
  EXPECT_EQ(logged("finetune of "), 2U * 2 * 3);  // begins and done
  for (const auto& [id, cell] : cells(outcome)) {
    const json results =
        json::parse(read_file(fs::path(cell.at("folder").get<std::string>()) / "results.json"));
    const auto scores = results.at("search").at("scores").get<std::vector<double>>();
    EXPECT_EQ(results.at("search").at("maximise"), false);  // as the loss declares it
    EXPECT_EQ(results.at("search").at("chosen").get<size_t>(),
              static_cast<size_t>(std::min_element(scores.begin(), scores.end()) - scores.begin()));
    EXPECT_TRUE(results.at("stages").at("score").at("metrics").contains("test"));
  }
}

TEST_F(SweepTest, OneChoiceForAllSeedsTriesTheFirstOnly) {
  std::string pipeline = small_pipeline();
  pipeline += "\n[stage.probe]\nlike = \"finetune\"\n";
  write_file(folder_.path() / "small.toml", pipeline);
  const Outcome outcome = sweep(ablation(R"(stages = ["finetune"]
[axes]
seed = [0, 1, 2]
[search]
draws    = 2
select   = "finetune.test.top1"
per_seed = false
"stage.finetune.optimizer.lr" = { uniform = [0.01, 0.1] }
)"),
                                {"--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  // Seed 0: pretrain, bissl, two draws, the better of which is the final one. Seeds 1 and 2: one
  // fine-tuning each.
  EXPECT_EQ(logged(": begins"), 4U + 2U * 3U);
}

TEST_F(SweepTest, PlanTellsWhatIsSharedAndWhatItCosts) {
  const Outcome outcome = sweep(ablation(grid), {"--plan", "--jobs", "2"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("6 cells (2 excluded); 14 stages instead of 18 without sharing; 0 in "
                             "the store"),
            std::string::npos)
      << outcome.out;
  EXPECT_NE(outcome.out.find("\n  bissl "), std::string::npos) << outcome.out;
  EXPECT_FALSE(fs::exists(out_ / "grid" / "plan.json"));
  const json plan = json::parse(sweep(ablation(grid), {"--plan", "--json"}).out);
  EXPECT_EQ(plan.at("stages").size(), 14U);
  double sum = 0;
  for (const json& stage : plan.at("stages")) {
    EXPECT_GT(stage.at("estimated_seconds").get<double>(), 0.0);
    sum += stage.at("estimated_seconds").get<double>();
  }
  EXPECT_NEAR(plan.at("estimated_work_seconds").get<double>(), sum, 1e-9);
  EXPECT_GT(plan.at("estimated_seconds_without_sharing").get<double>(), sum);
}

TEST_F(SweepTest, OnlyCellsOfThePlanArePrinted) {
  const Outcome excluded =
      sweep(ablation(grid), {"--cell", "hypergradient=identity,lambda=1,seed=0"});
  EXPECT_EQ(excluded.code, 2);
  EXPECT_NE(excluded.err.find("there is no cell with this id; did you mean hypergradient="),
            std::string::npos)
      << excluded.err;
  const Outcome draw =
      sweep(ablation(grid), {"--cell", "hypergradient=cg,lambda=1,seed=0", "--draw", "0"});
  EXPECT_EQ(draw.code, 2);
  EXPECT_NE(draw.err.find("has no [search]"), std::string::npos) << draw.err;
  EXPECT_FALSE(fs::exists(out_));
}

TEST_F(SweepTest, DamagedStagesAreComputedAgain) {
  const std::string file = ablation(grid);
  const Outcome first = sweep(file, {"--json"});
  ASSERT_EQ(first.code, 0) << first.err;
  const fs::path cell = out_ / "grid" / "cells" / "hypergradient=cg,lambda=0.1,seed=0";
  const fs::path pretrain = fs::canonical(cell / "pretrain");
  std::string weights = read_file(pretrain / "backbone.safetensors");
  weights.back() = static_cast<char>(weights.back() + 1);
  write_file(pretrain / "backbone.safetensors", weights);
  fs::remove_all(fs::canonical(cell / "bissl"));
  fs::remove_all(fs::canonical(cell / "finetune"));
  const Outcome second = sweep(file, {"--json"});
  ASSERT_EQ(second.code, 0) << second.err;
  EXPECT_EQ(cells(second), cells(first));
  EXPECT_EQ(logged("pretrain of hypergradient=cg,lambda=0.1,seed=0: begins"), 2U);
  EXPECT_EQ(logged("is damaged (backbone.safetensors has the checksum"), 1U);
  EXPECT_EQ(logged(": begins"), 14U + 3U);
}

}  // namespace
}  // namespace bissl::host::test
