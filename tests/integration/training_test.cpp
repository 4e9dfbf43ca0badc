// What fine-tuning does along its steps besides training: averages of the weights, validation.

#include "program.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

namespace bissl::host::test {
namespace {

class TrainingTest : public ::testing::Test {
 protected:
  TrainingTest() { write_file(file_, small_pipeline()); }

  std::vector<std::string> call(const std::string& name,
                                const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {name,          file_.string(), "--out",
                                          out_.string(), "--threads",    "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  TemporaryFolder folder_;
  std::filesystem::path file_ = folder_.path() / "small.toml";
  std::filesystem::path out_ = folder_.path() / "runs";
};

/// The log of a stage's first repeat.
std::vector<nlohmann::json> events_of(const std::filesystem::path& stage) {
  std::vector<nlohmann::json> events;
  std::istringstream lines(read_file(stage / "repeat-0" / "events.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    events.push_back(nlohmann::json::parse(line));
  }
  return events;
}

TEST_F(TrainingTest, AnAverageOfTheWeightsIsScoredAndKept) {
  const std::filesystem::path weights = out_ / "small/baseline/repeat-0/head.safetensors";
  const auto run = [&](const std::string& ema) {
    const Outcome outcome = run_bissl(call(
        "run", {"--set", "stage.baseline.ema_decay=" + ema, "--set", "stage.baseline.repeats=1"}));
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    std::vector<double> losses;
    for (const nlohmann::json& event : events_of(out_ / "small" / "baseline")) {
      losses.push_back(event["loss"].get<double>());
    }
    return std::make_pair(losses, read_file(weights));
  };
  const auto last = run("0");
  const auto averaged = run("0.9");
  EXPECT_EQ(averaged.first, last.first) << "the training itself is the same";
  EXPECT_FALSE(averaged.second == last.second);
}

/// Fine-tuning that is validated after every second step, on data of its own.
std::string validated(const std::string& more) {
  return small_pipeline() +
         R"(
[data.val]
use       = "synthetic"
samples   = 96
size      = 8
per_class = 6
skip_per_class = 12

[stage.validated]
like = "baseline"
repeats = 1
)" + more +
         R"(
[stage.validated.validate]
data    = "val"
augment = { use = "evaluation", size = 8 }
every   = 2
)";
}

TEST_F(TrainingTest, ValidationChoosesTheBestWeights) {
  write_file(file_, validated("optimizer = { use = \"sgd\", lr = 0.5 }") + "metric = \"loss\"\n");
  const Outcome outcome = run_bissl(call("run"));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const std::vector<nlohmann::json> events = events_of(out_ / "small" / "validated");
  ASSERT_EQ(events.size(), 6U);
  double best = std::numeric_limits<double>::infinity();
  int64_t best_step = 0;
  for (size_t i = 0; i < events.size(); ++i) {
    ASSERT_EQ(events[i].contains("validation"), i % 2 == 1) << i;
    if (i % 2 == 1) {
      EXPECT_TRUE(events[i]["validation"].contains("top1"));
      const double loss = events[i]["validation"]["loss"].get<double>();
      best_step = loss < best ? static_cast<int64_t>(i) + 1 : best_step;
      best = std::min(best, loss);
    }
  }
  const auto results = nlohmann::json::parse(read_file(out_ / "small" / "results.json"));
  const auto& found = results["stages"]["validated"]["validation"][0];
  EXPECT_EQ(found["best"].get<double>(), best);
  EXPECT_EQ(found["best_step"], best_step);
  EXPECT_EQ(found["steps"], 6);
}

TEST_F(TrainingTest, TrainingEndsWhenItIsNoLongerWorthIt) {
  // Without a learning rate no validation is better than the first.
  write_file(file_, validated("optimizer = { use = \"sgd\", lr = 0.0 }") +
                        "metric = \"loss\"\npatience = 1\n");
  const Outcome outcome = run_bissl(call("run", {"--set", "stage.validated.steps=100", "--set",
                                                 "stage.validated.freeze_backbone=true"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(events_of(out_ / "small" / "validated").size(), 4U);
  const auto results = nlohmann::json::parse(read_file(out_ / "small" / "results.json"));
  EXPECT_EQ(results["stages"]["validated"]["validation"][0]["best_step"], 2);
}

TEST_F(TrainingTest, AValidationThatCannotBeIsRefusedBeforeTraining) {
  write_file(file_, validated("") + "metric = \"top9\"\n");
  const Outcome outcome = run_bissl(call("run"));
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(
      outcome.err.find("validate.metric: the downstream task has no metric \"top9\"; it has "),
      std::string::npos)
      << outcome.err;
  EXPECT_FALSE(std::filesystem::exists(out_ / "small"));
}

}  // namespace
}  // namespace bissl::host::test
