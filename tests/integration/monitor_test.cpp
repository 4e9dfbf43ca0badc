// Figures of the backbone while it is trained.

#include "run_fixture.h"

#include <nlohmann/json.hpp>

#include <sstream>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class MonitorTest : public RunTest {
 protected:
  /// The small pipeline's pretraining alone, with these lines in its table `monitor`.
  void write_pipeline(const std::string& monitor) const {
    const std::string whole = small_pipeline();
    std::string text = whole.substr(0, whole.find("[stage.bissl]"));
    if (!monitor.empty()) {
      text += table("pretrain") + monitor;
    }
    write_file(file_, text);
  }
  static std::string table(const std::string& stage) {
    return "[stage." + stage +
           ".monitor]\ndata = \"labelled\"\naugment = { use = \"evaluation\", size = 8 }\n"
           "samples = 48\n";
  }

  /// What the monitor said, by the number of steps that were done.
  std::vector<std::pair<size_t, json>> looks(const std::string& stage) const {
    std::vector<std::pair<size_t, json>> looks;
    std::istringstream lines(read_file(out_ / "small" / stage / "events.jsonl"));
    size_t done = 0;
    for (std::string line; std::getline(lines, line);) {
      const json event = json::parse(line);
      ++done;
      if (event.contains("monitor")) {
        looks.emplace_back(done, event.at("monitor"));
      }
    }
    return looks;
  }
  std::string weights() const { return read_file(out_ / "small/pretrain/backbone.safetensors"); }
  json results(const std::string& stage) const {
    return json::parse(read_file(out_ / "small/results.json")).at("stages").at(stage).at("monitor");
  }
};

TEST_F(MonitorTest, LooksLeaveTheTrainingAsItIs) {
  write_pipeline(
      "every = 3\nfigures = [\"knn\", \"rankme\", \"feature_std\"]\nk = 5\nhistograms = true\n");
  const Outcome watched = run_bissl(call("run"));
  ASSERT_EQ(watched.code, 0) << watched.err;
  const auto found = looks("pretrain");
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].first, 3U);
  EXPECT_EQ(found[2].first, 8U);  // the last step
  for (const auto& [step, figures] : found) {
    EXPECT_GE(figures.at("knn").get<double>(), 0);
    EXPECT_LE(figures.at("knn").get<double>(), 1);
    EXPECT_GE(figures.at("rankme").get<double>(), 1);
    EXPECT_GT(figures.at("feature_std").get<double>(), 0);
  }
  EXPECT_EQ(results("pretrain").at("last"), found[2].second);
  const std::string log = read_file(out_ / "small/pretrain/events.jsonl");
  const json last = json::parse(log.substr(log.rfind('\n', log.size() - 2) + 1));
  for (const char* name : {"weights/backbone.conv1.weight", "gradients/backbone.conv1.weight"}) {
    const json& histogram = last.at("histograms").at(name);
    double sum = 0;
    for (const json& count : histogram.at("counts")) {
      sum += count.get<double>();
    }
    EXPECT_EQ(sum, histogram.at("num").get<double>()) << name;
    EXPECT_EQ(histogram.at("limits").back(), histogram.at("max")) << name;
  }
  EXPECT_NE(watched.err.find("rankme"), std::string::npos) << watched.err;  // the progress
  const std::string with = weights();
  write_pipeline("");
  ASSERT_EQ(run_bissl(call("run")).code, 0);
  EXPECT_TRUE(weights() == with);
}

TEST_F(MonitorTest, TheBestWeightsAreKept) {
  const std::string every = "every = 1\nfigures = [\"feature_std\"]\n";
  write_pipeline(every + "keep_best = \"feature_std\"\n");
  const Outcome outcome = run_bissl(call("run", {"--set", "stage.pretrain.optimizer.lr=5.0"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  double best = 0;
  size_t best_step = 0;
  for (const auto& [step, figures] : looks("pretrain")) {
    const double value = figures.at("feature_std").get<double>();
    best_step = value > best ? step : best_step;
    best = std::max(best, value);
  }
  const json kept = results("pretrain").at("best");
  EXPECT_EQ(kept.at("value").get<double>(), best);
  EXPECT_EQ(kept.at("step").get<size_t>(), best_step);
  ASSERT_NE(best_step, 8U) << "the last weights are the best: this says nothing";
  // They are those of a training that ends there, apart from its schedule: not the last ones.
  const std::string of_best = weights();
  write_pipeline(every);
  ASSERT_EQ(run_bissl(call("run", {"--set", "stage.pretrain.optimizer.lr=5.0"})).code, 0);
  EXPECT_FALSE(weights() == of_best);
}

TEST_F(MonitorTest, ACollapseIsReportedOnce) {
  write_pipeline("every = 2\nwarn_below = 1.0\n");
  const Outcome outcome = run_bissl(call("run"));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const size_t first =
      outcome.err.find("warning: stage.pretrain: the features collapse: after step 4");
  ASSERT_NE(first, std::string::npos) << outcome.err;
  EXPECT_EQ(outcome.err.find("the features collapse", first + 30), std::string::npos);
}

TEST_F(MonitorTest, BisslStagesHaveOne) {
  write_file(file_, small_pipeline() + table("bissl") +
                        "every = 5\nkeep_best = \"knn\"\nfigures = [\"knn\", \"silhouette\"]\n");
  const Outcome outcome = run_bissl(call("run"));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto found = looks("bissl");
  ASSERT_FALSE(found.empty());
  EXPECT_TRUE(found.back().second.contains("silhouette"));
  EXPECT_TRUE(results("bissl").at("best").contains("step"));
}

TEST_F(MonitorTest, InterruptedItContinues) {
  write_pipeline("every = 2\nkeep_best = \"rankme\"\nfigures = [\"knn\", \"rankme\"]\n");
  const std::vector<std::string> run = call("run", {"--set", "stage.pretrain.steps=24"});
  ASSERT_EQ(run_bissl(run).code, 0);
  const auto expected = looks("pretrain");
  const json result = results("pretrain");
  const std::string of_whole = weights();
  fs::remove_all(out_);
  const Outcome stopped = run_bissl_until(run, out_ / "small" / "pretrain" / "events.jsonl", 200);
  ASSERT_TRUE(stopped.code == 130 || stopped.code == 0) << stopped.err;
  const Outcome resumed = run_bissl(run);
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_EQ(looks("pretrain"), expected);
  EXPECT_EQ(results("pretrain"), result);
  EXPECT_TRUE(weights() == of_whole);
}

TEST_F(MonitorTest, WhatCannotBeIsRefusedBeforeTraining) {
  struct Case {
    const char* lines;
    const char* expected;
  };
  for (const Case& one : {Case{"every = 2\nkeep_best = \"knn\"\n", "one of `figures` only"},
                          Case{"every = 2\nfigures = []\n", "there is no figure to take"},
                          Case{"every = 2\nfigures = [\"rankme\", \"rankme\"]\n", "given twice"},
                          Case{"every = 2\nfigures = [\"rank\"]\n", "rankme"},
                          Case{"figures = [\"knn\"]\n", "every"}}) {
    write_pipeline(one.lines);
    const Outcome outcome = run_bissl(call("check"));
    EXPECT_EQ(outcome.code, 2) << one.lines;
    EXPECT_NE(outcome.err.find(one.expected), std::string::npos) << outcome.err;
  }
}

}  // namespace
}  // namespace bissl::host::test
