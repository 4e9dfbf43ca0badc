// Several processes at a sweep, and what is left when they are stopped.

#include "sweep_fixture.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

namespace bissl::host::test {
namespace {

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
                             "ended without an error of its own before it got any further; the "
                             "last one was killed by signal 9 (SIGKILL, Killed)"),
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
}  // namespace bissl::host::test
