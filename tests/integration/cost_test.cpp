// What a run says of its cost: profiles, the choice of threads, memory.

#include "run_fixture.h"
#include "support/sanitizers.h"

#include <nlohmann/json.hpp>
#include <regex>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class CostTest : public RunTest {
 protected:
  json results() const { return json::parse(read_file(out_ / "small" / "results.json")); }
};

bool has_row(const std::string& tables, const std::string& row) {
  return std::regex_search(tables, std::regex("\n" + row + " "));
}

TEST_F(CostTest, AProfileHasPhasesOperationsAndATraceOfEachStage) {
  ASSERT_EQ(run_bissl(call("run", {"--profile"})).code, 0);
  const fs::path folder = out_ / "small" / "profile";
  const std::string pretrain = read_file(folder / "pretrain.txt");
  for (const char* row : {"step +8", "wait for a batch +8", "forward +8", "backward +8",
                          "optimizer +8", "aten::convolution +[0-9]+"}) {
    EXPECT_TRUE(has_row(pretrain, row)) << row << "\n" << pretrain;
  }
  const std::string bissl = read_file(folder / "bissl.txt");
  for (const char* row : {"solve +6", "Hessian product +[0-9]+", "upper gradient +12"}) {
    EXPECT_TRUE(has_row(bissl, row)) << row << "\n" << bissl;
  }
  const json trace = json::parse(read_file(folder / "finetune.trace.json"));
  EXPECT_GT(trace.at("traceEvents").size(), 100U);

  const Outcome again = run_bissl(call("run", {"--profile"}));
  EXPECT_EQ(again.code, 0);
  EXPECT_NE(again.err.find("all stages are in the store"), std::string::npos) << again.err;
}

TEST_F(CostTest, AutomaticThreadsTrainWhatTheirNumberTrains) {
  const auto run = [&](const std::string& out, const std::string& threads) {
    const Outcome outcome =
        run_bissl({"run", file_.string(), "--out", (folder_.path() / out).string(), "--threads",
                   threads, "--set", "stage.pretrain.steps=40"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return outcome;
  };
  run("automatic", "auto:2");
  const json stages =
      json::parse(read_file(folder_.path() / "automatic" / "small" / "results.json"))["stages"];
  const int chosen = stages["pretrain"]["environments"].back()["threads"]["compute"].get<int>();
  EXPECT_GE(chosen, 1);
  EXPECT_LE(chosen, 2);
  run("fixed", std::to_string(chosen));
  const auto weights = [&](const char* out) {
    return read_file(folder_.path() / out / "small" / "pretrain" / "backbone.safetensors");
  };
  EXPECT_TRUE(weights("automatic") == weights("fixed"));
}

TEST_F(CostTest, WrongNumbersOfThreadsAreRefused) {
  for (const char* text : {"many", "auto:0", "auto:", "auto:x", "-1", "1025", "2x", "automatic"}) {
    const Outcome outcome = run_bissl(
        {"check", file_.string(), "--out", out_.string(), std::string("--threads=") + text});
    EXPECT_EQ(outcome.code, 2) << text;
    EXPECT_NE(outcome.err.find("expected auto"), std::string::npos) << text << outcome.err;
  }
}

/// A network whose activations are most of what the process takes.
const std::vector<std::string> larger = {"--set", "model.backbone.width=16",
                                         "--set", "stage.pretrain.augment.size=32",
                                         "--set", "stage.pretrain.batch=96",
                                         "--set", "stage.pretrain.steps=2",
                                         "--set", "stage.bissl.rounds=1",
                                         "--set", "stage.bissl.lower.steps=1",
                                         "--set", "stage.bissl.upper.steps=1",
                                         "--set", "stage.bissl.upper.augment.size=32",
                                         "--set", "stage.bissl.upper.batch=96",
                                         "--set", "stage.finetune.augment.size=32",
                                         "--set", "stage.finetune.evaluate.augment.size=32",
                                         "--set", "stage.finetune.batch=96",
                                         "--set", "stage.finetune.steps=2"};

TEST_F(CostTest, TheMemoryOfAStageIsKnownBeforeItIsTrained) {
  if (sanitized) {
    GTEST_SKIP() << "a sanitizer keeps what is freed";
  }
  std::vector<std::string> words = call("check", larger);
  words.emplace_back("--json");
  const Outcome checked = run_bissl(words);
  ASSERT_EQ(checked.code, 0) << checked.err;
  ASSERT_EQ(run_bissl(call("run", larger)).code, 0);
  const json stages = results()["stages"];
  for (const json& plan : json::parse(checked.out).at("stages")) {
    const auto name = plan.at("name").get<std::string>();
    const auto found = stages.at(name).at("peak_memory_bytes").get<double>();
    EXPECT_NEAR(plan.at("estimated_peak_bytes").get<double>(), found, 0.15 * found) << name;
  }
}

TEST_F(CostTest, ABatchBeyondMemoryIsRefusedBeforeItIsTried) {
  if (sanitized) {
    GTEST_SKIP() << "a sanitizer reserves terabytes of address space";
  }
  for (const auto& [key, name] :
       {std::pair{"stage.pretrain.batch", "batch"},
        std::pair{"stage.bissl.upper.batch", "upper.batch"},
        std::pair{"stage.bissl.lower.hessian_batch", "lower.hessian_batch"},
        std::pair{"stage.finetune.batch", "batch"}}) {
    std::vector<std::string> words = call("run");
    words.insert(words.end(), {"--set", std::string(key) + "=100000"});
    const Outcome outcome = run_bissl_under("ulimit -v 2000000", words);
    EXPECT_EQ(outcome.code, 2) << key << outcome.err;
    EXPECT_NE(outcome.err.find(std::string(name) + " = 100000: a step on such a batch takes about"),
              std::string::npos)
        << outcome.err;
    EXPECT_NE(outcome.err.find("address space, which `ulimit -v` limits"), std::string::npos)
        << outcome.err;
  }
}

}  // namespace
}  // namespace bissl::host::test
