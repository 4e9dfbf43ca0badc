// Runs by several processes of one machine: what they compute, and what happens when one is lost.

#include "program.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <csignal>
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
  BackgroundCall run(call("killed", 3, {"--set", "stage.pretrain.steps=100000"}));
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
