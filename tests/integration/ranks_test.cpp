// Runs by several processes of one machine: what they compute, and what happens when one is lost.

#include "program.h"
#include "support/free_port.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

namespace bissl::host::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

class RanksTest : public ::testing::Test {
 protected:
  RanksTest() {
    std::string text = small_pipeline();
    text.erase(text.find("[stage.baseline]"));
    replace_first(text, "repeats    = 2", "repeats    = 1");
    replace_first(text, "rounds = 3", "rounds = 2");
    // Rates at which training does not multiply what rounding leaves.
    for (const char* optimizer : {"\"lars\", lr = 0.5", "\"sgd\", lr = 0.1", "\"adamw\", lr = 0.01",
                                  "\"sgd\", lr = 0.05"}) {
      replace_first(text, optimizer, "\"sgd\", lr = 0.001");
    }
    write_file(file_, text);
  }

  std::vector<std::string> call(const std::string& out, int ranks,
                                const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {"run",     file_.string(),       "--out",
                                          path(out), "--threads",          "1",
                                          "--ranks", std::to_string(ranks)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  std::string path(const std::string& out) const { return (folder_.path() / out).string(); }
  std::filesystem::path stage_file(const std::string& out, const std::string& name) const {
    return folder_.path() / out / "small" / name;
  }

  /// The values of `key` in a stage's events.
  std::vector<double> values_of(const std::string& out, const std::string& log,
                                const std::string& key) const {
    std::vector<double> values;
    std::istringstream lines(read_file(stage_file(out, log)));
    for (std::string line; std::getline(lines, line);) {
      const auto event = nlohmann::json::parse(line);
      if (event.contains(key)) {
        values.push_back(event.at(key).get<double>());
      }
    }
    return values;
  }

  void expect_same_losses(const std::string& left, const std::string& right) const {
    for (const auto& [log, key] :
         {std::pair("pretrain/events.jsonl", "loss"), std::pair("bissl/events.jsonl", "lower"),
          std::pair("bissl/events.jsonl", "upper"),
          std::pair("finetune/repeat-0/events.jsonl", "loss")}) {
      const std::vector<double> a = values_of(left, log, key);
      const std::vector<double> b = values_of(right, log, key);
      ASSERT_EQ(a.size(), b.size()) << log;
      ASSERT_FALSE(a.empty()) << log;
      for (size_t i = 0; i < a.size(); ++i) {
        EXPECT_NEAR(a[i], b[i], 1e-4 * std::abs(a[i])) << log << ", " << key << " " << i;
      }
    }
  }

  /// Waits until a stage has logged steps; false after a minute.
  bool wait_for_steps(const std::string& out) const {
    const auto end = Clock::now() + 60s;
    const std::filesystem::path log = stage_file(out, "pretrain/events.jsonl");
    while (!std::filesystem::exists(log) || std::filesystem::file_size(log) < 200) {
      if (Clock::now() > end) {
        return false;
      }
      std::this_thread::sleep_for(10ms);
    }
    return true;
  }

  TemporaryFolder folder_;
  std::filesystem::path file_ = folder_.path() / "small.toml";
};

/// Two processes are stopped by a signal to one of them, three continue: as one process without a
/// break.
TEST_F(RanksTest, StoppedAndContinuedWithAnotherNumberTheyDoWhatOneDoes) {
  ASSERT_EQ(run_bissl(call("one", 1)).code, 0);
  {
    BackgroundCall stopped(call("several", 2));
    ASSERT_TRUE(wait_for_steps("several"));
    const std::vector<pid_t> children = stopped.children();
    ASSERT_EQ(children.size(), 1);
    ::kill(children[0], SIGTERM);
    const Outcome outcome = stopped.wait();
    ASSERT_TRUE(outcome.code == 130 || outcome.code == 0) << outcome.err;
  }
  const Outcome outcome = run_bissl(call("several", 3));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out.find("run folder: "), outcome.out.rfind("run folder: "))
      << "one process prints:\n"
      << outcome.out;
  expect_same_losses("one", "several");
}

TEST_F(RanksTest, AProcessThatIsKilledEndsAllWithOneError) {
  const std::filesystem::path temporary = folder_.path() / "temporary";
  std::filesystem::create_directory(temporary);
  BackgroundCall run(call("killed", 3, {"--set", "stage.pretrain.steps=100000"}),
                     {{"TMPDIR", temporary.string()}});
  ASSERT_TRUE(wait_for_steps("killed"));
  const std::vector<pid_t> children = run.children();
  ASSERT_EQ(children.size(), 2);
  const auto begin = Clock::now();
  ::kill(children[1], SIGKILL);
  const Outcome outcome = run.wait();
  EXPECT_LT(Clock::now() - begin, 20s);
  EXPECT_EQ(outcome.code, 1);
  EXPECT_NE(outcome.err.find("was ended by the signal 9"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("the same call continues"), std::string::npos) << outcome.err;
  EXPECT_EQ(outcome.err.find("error: "), outcome.err.rfind("error: ")) << outcome.err;
  for (const pid_t child : children) {
    EXPECT_NE(::kill(child, 0), 0) << "process " << child << " is left";
  }
  EXPECT_TRUE(std::filesystem::is_empty(temporary)) << "the killed process has left its files";
}

/// Calls as srun or torchrun make them: each process learns from variables which one it is.
class LaunchedRanksTest : public RanksTest {
 protected:
  LaunchedRanksTest() {
    std::string text = read_file(file_);
    text.erase(text.find("[stage.bissl]"));
    write_file(file_, text);
  }

  /// Of process `rank` of two.
  std::map<std::string, std::string> variables(int rank) const {
    return {{"RANK", std::to_string(rank)},
            {"WORLD_SIZE", "2"},
            {"MASTER_ADDR", "127.0.0.1"},
            {"MASTER_PORT", std::to_string(port_)}};
  }

  static bool ends_soon(BackgroundCall& call) {
    const auto end = Clock::now() + 20s;
    while (call.running() && Clock::now() < end) {
      std::this_thread::sleep_for(10ms);
    }
    return !call.running();
  }

 private:
  int port_ = free_port();
};

TEST_F(LaunchedRanksTest, TheyEndWithoutErrors) {
  BackgroundCall second(call("launched", 2), variables(1));
  const Outcome first = run_bissl(call("launched", 2), variables(0));
  EXPECT_EQ(first.code, 0) << first.err;
  ASSERT_TRUE(ends_soon(second));
  const Outcome other = second.wait();
  EXPECT_EQ(other.code, 0);
  EXPECT_EQ(other.err.find("error"), std::string::npos) << other.err;
  EXPECT_EQ(other.out, "");
}

TEST_F(LaunchedRanksTest, WhatTheCheckOfTheFirstFindsEndsTheOthers) {
  const std::vector<std::string> arguments =
      call("checked", 2, {"--set", "stage.pretrain.batch=1"});
  BackgroundCall second(arguments, variables(1));
  const Outcome first = run_bissl(arguments, variables(0));
  EXPECT_EQ(first.code, 2);
  EXPECT_NE(first.err.find("a step with batch = 1"), std::string::npos) << first.err;
  ASSERT_TRUE(ends_soon(second)) << "it waits for the first one";
  const Outcome other = second.wait();
  EXPECT_EQ(other.code, 2);
  EXPECT_EQ(other.err.find("error"), std::string::npos) << "the first one says it: " << other.err;
}

/// One that began from the start would add up gradients of its first step and of the others' later
/// ones.
TEST_F(LaunchedRanksTest, OneThatCannotCopyTheCheckpointEndsAll) {
  const std::vector<std::string> longer = {"--set", "stage.pretrain.steps=100000"};
  const Outcome begun = run_bissl_until(call("copied", 1, longer),
                                        stage_file("copied", "pretrain/events.jsonl"), 200);
  ASSERT_EQ(begun.code, 130) << begun.err;
  const std::vector<std::string> arguments = call("copied", 2, longer);
  BackgroundCall first(arguments, variables(0));
  const Outcome second = run_bissl_under("ulimit -f 8", arguments, variables(1));
  EXPECT_EQ(second.code, 1) << second.err;
  ASSERT_TRUE(ends_soon(first));
  const Outcome outcome = first.wait();
  EXPECT_EQ(outcome.code, 1);
  EXPECT_NE(outcome.err.find("process 1 of 2: cannot copy "), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("checkpoint.safetensors"), std::string::npos) << outcome.err;
}

/// The first one waits for a stage that another call computes, the second one for what the first
/// one announces.
TEST_F(LaunchedRanksTest, ASignalToTheFirstEndsTheOthersBetweenStages) {
  const std::vector<std::string> longer = {"--set", "stage.pretrain.steps=100000"};
  BackgroundCall owner(call("waited", 1, longer));
  ASSERT_TRUE(wait_for_steps("waited"));
  const std::vector<std::string> arguments = call("waited", 2, longer);
  BackgroundCall first(arguments, variables(0));
  BackgroundCall second(arguments, variables(1));
  const auto end = Clock::now() + 60s;
  while (first.said().find("waiting for the stage") == std::string::npos) {
    ASSERT_LT(Clock::now(), end);
    ASSERT_TRUE(first.running()) << first.wait().err;
    std::this_thread::sleep_for(10ms);
  }
  first.signal(SIGTERM);
  const Outcome outcome = first.wait();
  EXPECT_EQ(outcome.code, 130) << outcome.err;
  ASSERT_TRUE(ends_soon(second));
  const Outcome other = second.wait();
  EXPECT_EQ(other.code, 130);
  EXPECT_EQ(other.err.find("error"), std::string::npos) << other.err;
}

/// A stage that scores has no steps after which processes agree on more than that.
TEST_F(RanksTest, ASignalToOneEndsAllWhileTheyScore) {
  std::string text = read_file(file_);
  text.erase(text.find("[stage.bissl]"));
  replace_first(text, "samples = 64", "samples = 8000");
  write_file(file_, text + R"(
[stage.near]
kind    = "knn"
from    = "pretrain"
bank    = "labelled"
data    = "test"
augment = { use = "evaluation", size = 8 }
k       = 3
batch   = 4
)");
  BackgroundCall run(call("scored", 2));
  const auto end = Clock::now() + 60s;
  while (!std::filesystem::exists(stage_file("scored", "near"))) {
    ASSERT_LT(Clock::now(), end);
    ASSERT_TRUE(run.running()) << run.wait().err;
    std::this_thread::sleep_for(10ms);
  }
  std::this_thread::sleep_for(300ms);
  const std::vector<pid_t> children = run.children();
  ASSERT_EQ(children.size(), 1);
  ::kill(children[0], SIGTERM);
  const Outcome outcome = run.wait();
  EXPECT_EQ(outcome.code, 130) << outcome.err;
  EXPECT_EQ(outcome.err.find("error: "), std::string::npos) << outcome.err;
}

/// Monitors, budgets and analyses are computed as in one process: by the first one, of what all of
/// them have trained.
TEST_F(RanksTest, MonitorsBudgetsAndAnalysesAreThoseOfOneProcess) {
  std::string text = read_file(file_);
  text.erase(text.find("[stage.finetune]"));
  const std::string monitor =
      ".monitor]\ndata = \"labelled\"\naugment = { use = \"evaluation\", size = 8 }\n"
      "samples = 48\nevery = 2\nfigures = [\"knn\", \"rankme\"]\n";
  write_file(file_, text + "[stage.pretrain" + monitor + "[stage.bissl" + monitor + R"(
[stage.longer]
like  = "pretrain"
from  = "pretrain"
match = { stage = "bissl", by = "gradients" }
[stage.look]
kind     = "analyse"
from     = "pretrain"
data     = "test"
bank     = "labelled"
compare  = "bissl"
augment  = { use = "evaluation", size = 8 }
pictures = ["pca", "saliency"]
figures  = ["rankme", "cka"]
)");
  const auto arguments = [&](const std::string& out, int ranks) {
    return call(out, ranks, {"--unset", "stage.longer.steps"});
  };
  for (const auto& [out, ranks] : {std::pair("alone", 1), std::pair("both", 2)}) {
    const Outcome outcome = run_bissl(arguments(out, ranks));
    ASSERT_EQ(outcome.code, 0) << ranks << outcome.err;
  }
  const auto stages = [&](const std::string& out) {
    return nlohmann::json::parse(read_file(stage_file(out, "results.json"))).at("stages");
  };
  const auto alone = stages("alone");
  const auto both = stages("both");
  EXPECT_EQ(alone.at("longer").at("steps"), both.at("longer").at("steps"));
  EXPECT_TRUE(both.at("look").at("metrics").at("test").contains("logistic_top1"));
  // Of few steps: over more of them training multiplies what rounding leaves.
  for (const char* metric : {"rankme", "cka_bissl"}) {
    const auto value = [&](const nlohmann::json& of) {
      return of.at("look").at("metrics").at("test").at(metric).at("mean").get<double>();
    };
    EXPECT_NEAR(value(alone), value(both), 1e-2 * std::abs(value(alone))) << metric;
  }
  for (const char* log : {"pretrain/events.jsonl", "bissl/events.jsonl"}) {
    EXPECT_NE(read_file(stage_file("both", log)).find("\"monitor\""), std::string::npos) << log;
  }
  EXPECT_TRUE(std::filesystem::exists(stage_file("both", "look/saliency-test.png")));
}

/// Sweeps whose worker is a group of two processes.
class SweepOfRanksTest : public RanksTest {
 protected:
  std::vector<std::string> sweep(const std::string& ablation) const {
    const std::filesystem::path file = folder_.path() / "grid.toml";
    write_file(file,
               "pipeline = \"small.toml\"\nmetric = \"finetune.test.top1\"\n"
               "stages = [\"finetune\"]\n" +
                   ablation);
    return {"sweep", file.string(), "--out", path("swept"), "--threads", "1", "--ranks", "2"};
  }
  /// Stages of the cells' results that two processes have computed.
  int stages_of_two() const {
    int found = 0;
    for (const auto& cell :
         std::filesystem::directory_iterator(folder_.path() / "swept" / "grid" / "cells")) {
      const auto results = nlohmann::json::parse(read_file(cell.path() / "results.json"));
      for (const auto& [name, stage] : results.at("stages").items()) {
        const auto& threads = stage.at("environments").back().at("threads");
        found += threads.value("processes", 1) == 2 ? 1 : 0;
      }
    }
    return found;
  }
  /// A process that a worker of the call has started for its group; 0 while there is none.
  static pid_t process_of_group(const BackgroundCall& call) {
    for (const pid_t worker : call.children()) {
      const std::string number = std::to_string(worker);
      std::ifstream children("/proc/" + number + "/task/" + number + "/children");
      for (pid_t child = 0; children >> child;) {
        std::ifstream file("/proc/" + std::to_string(child) + "/environ", std::ios::binary);
        const std::string environment{std::istreambuf_iterator<char>(file), {}};
        if (environment.find("BISSL_STARTED_BY=") != std::string::npos) {
          return child;
        }
      }
    }
    return 0;
  }
};

TEST_F(SweepOfRanksTest, EachStageIsComputedByAllProcessesOfTheWorker) {
  const Outcome outcome = run_bissl(sweep("[axes]\nseed = [0, 1]\n"));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(stages_of_two(), 6)
      << "a pretraining, a bissl stage, a fine-tuning of each of two seeds";
}

TEST_F(SweepOfRanksTest, AProcessThatIsKilledIsReplaced) {
  BackgroundCall run(sweep("[set]\n\"stage.pretrain.steps\" = 400\n[axes]\nseed = [0]\n"));
  pid_t killed = 0;
  const auto end = Clock::now() + 60s;
  while (killed == 0) {
    ASSERT_LT(Clock::now(), end);
    ASSERT_TRUE(run.running()) << run.wait().err;
    killed = process_of_group(run);
    std::this_thread::sleep_for(10ms);
  }
  std::this_thread::sleep_for(500ms);
  ::kill(killed, SIGKILL);
  const Outcome outcome = run.wait();
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(read_file(folder_.path() / "swept" / "grid" / "logs" / "worker-0.log")
                .find("was ended by the signal 9"),
            std::string::npos);
  EXPECT_EQ(stages_of_two(), 3);
}

TEST_F(SweepOfRanksTest, AWorkerStartsItsProcessesItself) {
  const Outcome outcome = run_bissl(
      sweep("[axes]\nseed = [0]\n"),
      {{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "localhost"}, {"MASTER_PORT", "1"}});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("each worker of a sweep starts its processes itself"),
            std::string::npos)
      << outcome.err;
}

TEST_F(RanksTest, AFolderWhoseNameIsNotUtf8HoldsTheirRun) {
  std::string text = read_file(file_);
  text.erase(text.find("[stage.bissl]"));
  write_file(file_, text);
  const Outcome outcome = run_bissl(call("runs \xff", 2));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_TRUE(std::filesystem::exists(stage_file("runs \xff", "pretrain/backbone.safetensors")));
}

TEST_F(RanksTest, VariablesThatContradictTheCallAreRefused) {
  const Outcome outcome = run_bissl(
      call("refused", 3),
      {{"RANK", "1"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "localhost"}, {"MASTER_PORT", "1"}});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("--ranks 3, but the environment variable WORLD_SIZE is 2"),
            std::string::npos)
      << outcome.err;
}

}  // namespace
}  // namespace bissl::host::test
