// What fine-tuning does along its steps besides training: averages of the weights.

#include "program.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

namespace bissl::test {
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
  std::istringstream lines(read_file(stage / "run-0" / "events.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    events.push_back(nlohmann::json::parse(line));
  }
  return events;
}

TEST_F(TrainingTest, AnAverageOfTheWeightsIsScoredAndKept) {
  const std::filesystem::path weights = out_ / "small/baseline/run-0/head.safetensors";
  const auto run = [&](const std::string& ema) {
    const Outcome outcome = run_bissl(
        call("run", {"--set", "stage.baseline.ema=" + ema, "--set", "stage.baseline.repeats=1"}));
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

}  // namespace
}  // namespace bissl::test
