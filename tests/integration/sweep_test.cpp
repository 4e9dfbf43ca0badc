// `bissl sweep` as a user calls it, on grids of seconds.

#include "core/store/failing_disk.h"
#include "program.h"
#include "support/temporary_folder.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

namespace bissl::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class SweepTest : public ::testing::Test {
 protected:
  SweepTest() { write_file(folder_.path() / "small.toml", small_pipeline()); }

  /// Writes an ablation of the small pipeline and returns its path.
  std::string ablation(const std::string& text, const std::string& name = "grid") const {
    const fs::path file = folder_.path() / (name + ".toml");
    write_file(file, "pipeline = \"small.toml\"\nmetric = \"finetune.test.top1\"\n" + text);
    return file.string();
  }
  Outcome sweep(const std::string& file, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> call = {"sweep", file, "--out", out_.string(), "--threads", "1"};
    call.insert(call.end(), more.begin(), more.end());
    return run_bissl(call);
  }
  /// Lines of all workers' logs that hold this text.
  size_t logged(const std::string& text, const std::string& name = "grid") const {
    size_t count = 0;
    for (const auto& entry : fs::directory_iterator(out_ / name / "logs")) {
      std::istringstream lines(read_file(entry.path()));
      for (std::string line; std::getline(lines, line);) {
        count += line.find(text) != std::string::npos ? 1 : 0;
      }
    }
    return count;
  }
  /// The same while the sweep may not have made its folder yet.
  size_t logged_safely(const std::string& text) const {
    return fs::exists(out_ / "grid" / "logs") ? logged(text) : 0;
  }
  static std::map<std::string, json> cells(const Outcome& outcome) {
    std::map<std::string, json> found;
    const json answer = json::parse(outcome.out);
    for (const json& cell : answer.at("cells")) {
      found[cell.at("id")] = cell;
    }
    return found;
  }

  TemporaryFolder folder_;
  fs::path out_ = folder_.path() / "runs";
};

const std::string grid = R"(stages = ["finetune"]
[axes]
"stage.bissl.hypergradient" = [{ use = "cg", iterations = 1 }, { use = "identity" }]
"stage.bissl.lambda" = [0.1, 1]
seed = [0, 1]
[[exclude]]
"stage.bissl.hypergradient" = { use = "identity" }
"stage.bissl.lambda" = 1.0
)";

/// A stage that takes long, so that a test can look at it while it is computed.
const std::string slow = R"(stages = ["finetune"]
[set]
"stage.pretrain.steps" = 1000000
[axes]
seed = [0]
"stage.bissl.lambda" = [0.1, 1.0]
)";

TEST_F(SweepTest, TrainsEachSharedStageOnce) {
  const Outcome first = sweep(ablation(grid), {"--jobs", "2", "--json"});
  ASSERT_EQ(first.code, 0) << first.err;
  const auto found = cells(first);
  EXPECT_EQ(found.size(), 6U);           // 8 without the two that are excluded
  EXPECT_EQ(logged("pretrain of"), 4U);  // begins and done, for two seeds
  EXPECT_EQ(logged("bissl of"), 12U);
  EXPECT_EQ(logged(": begins"), 14U);

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
  EXPECT_EQ(cells(status).at(cell.filename()).at("state"), "waiting");
  ASSERT_EQ(sweep(file).code, 0);
  EXPECT_EQ(logged(": begins"), 15U);
  EXPECT_EQ(logged("finetune of hypergradient=identity,lambda=0.1,seed=0: begins"), 2U);
  const json old = json::parse(before).at("stages").at("finetune").at("runs");
  EXPECT_EQ(json::parse(read_file(cell / "results.json")).at("stages").at("finetune").at("runs"),
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

TEST_F(SweepTest, TwoSweepsAtOnceShareTheStore) {
  const std::string first = ablation(grid, "first");
  const std::string second = ablation(R"(stages = ["finetune"]
[axes]
"stage.bissl.lambda" = [0.1, 1.0]
seed = [1, 0]
"stage.bissl.hypergradient" = [{ use = "cg", iterations = 1 }]
)",
                                      "second");
  const auto call = [&](const std::string& file) -> std::vector<std::string> {
    return {"sweep", file, "--out", out_.string(), "--threads", "1", "--jobs", "2", "--json"};
  };
  BackgroundCall one(call(first));
  BackgroundCall two(call(second));
  BackgroundCall helper(call(first));
  const Outcome of_one = one.wait();
  const Outcome of_two = two.wait();
  const Outcome of_helper = helper.wait();
  ASSERT_EQ(of_one.code, 0) << of_one.err;
  ASSERT_EQ(of_two.code, 0) << of_two.err;
  ASSERT_EQ(of_helper.code, 0) << of_helper.err;
  // All stages of the second are among those of the first: 14 in all, each computed once.
  EXPECT_EQ(logged(": begins", "first") + logged(": begins", "second"), 14U);
  EXPECT_EQ(cells(of_one), cells(of_helper));
  for (const auto& [id, cell] : cells(of_two)) {
    const json axes = cell.at("axes");
    const std::string same = "hypergradient=cg,lambda=" + axes.at("lambda").get<std::string>() +
                             ",seed=" + axes.at("seed").get<std::string>();
    EXPECT_EQ(cell.at("metrics"), cells(of_one).at(same).at("metrics")) << id;
  }
}

TEST_F(SweepTest, ASweepThatRunsIsNotReplacedByAnotherPlan) {
  BackgroundCall running({"sweep", ablation(slow), "--out", out_.string(), "--threads", "1"});
  while (running.running() && !fs::exists(out_ / "grid" / "plan.json")) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  const Outcome other = sweep(ablation("[axes]\nseed = [5]\n"));
  EXPECT_EQ(other.code, 2) << other.err;
  EXPECT_NE(other.err.find("with another plan"), std::string::npos) << other.err;
  running.signal(SIGINT);
  EXPECT_EQ(running.wait().code, 130);
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

TEST_F(SweepTest, StatesSurviveAKillOfEverything) {
  const std::string file = ablation(slow);
  EXPECT_EQ(cells(sweep(file, {"--status", "--json"})).begin()->second.at("state"), "waiting");
  {
    BackgroundCall running({"sweep", file, "--out", out_.string(), "--threads", "1"});
    while (running.running() && logged_safely(": begins") < 1) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    for (const auto& [id, cell] : cells(sweep(file, {"--status", "--json"}))) {
      EXPECT_EQ(cell.at("state"), "running") << id;
    }
    for (const pid_t worker : running.children()) {
      kill(worker, SIGSTOP);  // so that it does not get to end in good order
      running.signal(SIGKILL);
      kill(worker, SIGKILL);
    }
    running.wait();
  }
  std::string state = "running";
  for (int look = 0; look < 100 && state == "running"; ++look) {
    state = cells(sweep(file, {"--status", "--json"})).begin()->second.at("state");
  }
  EXPECT_EQ(state, "stale");
  EXPECT_NE(sweep(file, {"--status"}).out.find("2 cells: 2 stale"), std::string::npos);
}

TEST_F(SweepTest, AStageWhoseProcessVanishesAgainAndAgainHasFailed) {
  BackgroundCall running(
      {"sweep", ablation(slow), "--out", out_.string(), "--threads", "1", "--attempts", "2"});
  for (size_t attempt = 1; attempt <= 2; ++attempt) {
    while (running.running() && logged_safely(": begins") < attempt) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    for (const pid_t worker : running.children()) {
      kill(worker, SIGKILL);
    }
  }
  const Outcome outcome = running.wait();
  EXPECT_EQ(outcome.code, 1) << outcome.err;
  EXPECT_NE(outcome.out.find("it was begun 2 times, and each time the process that computed it "
                             "ended without a word before it got any further; the last one was "
                             "killed by signal 9 (Killed)"),
            std::string::npos)
      << outcome.out;
  EXPECT_NE(outcome.out.find("2 cells: 2 failed"), std::string::npos) << outcome.out;
}

TEST_F(SweepTest, InterruptionStopsTheWorkersAndTheNextCallGoesOn) {
  const std::string file = ablation(grid);
  BackgroundCall running({"sweep", file, "--out", out_.string(), "--threads", "1", "--jobs", "2"});
  while (running.running() && logged_safely(": begins") < 2) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  running.signal(SIGINT);
  const Outcome stopped = running.wait();
  EXPECT_EQ(stopped.code, 130) << stopped.err;
  const Outcome finished = sweep(file, {"--json"});
  EXPECT_EQ(finished.code, 0) << finished.err;
  EXPECT_EQ(cells(finished).size(), 6U);
}

}  // namespace
}  // namespace bissl::test
