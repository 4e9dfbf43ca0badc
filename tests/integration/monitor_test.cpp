// Figures of the backbone while it is trained.

#include "run_fixture.h"

#include <algorithm>
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
    replace_first(text, "steps     = 8", "steps     = 6");
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
  /// Those of the last step count all numbers.
  void expect_histograms() const {
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
  }
  std::string weights() const { return read_file(out_ / "small/pretrain/backbone.safetensors"); }
  json results(const std::string& stage) const {
    return json::parse(read_file(out_ / "small/results.json")).at("stages").at(stage).at("monitor");
  }
};

TEST_F(MonitorTest, LooksLeaveTheTrainingAsItIsUnlessTheBestWeightsAreKept) {
  const std::string looking = R"(every = 1
figures = ["knn", "rankme", "feature_std"]
k = 5
histograms = true
warn_below = 1.0
)";
  write_pipeline(looking);
  const Outcome watched = run_bissl(call("run"));
  ASSERT_EQ(watched.code, 0) << watched.err;
  const auto found = looks("pretrain");
  ASSERT_EQ(found.size(), 6U);
  // A figure of which the last look is not the best.
  std::string keep;
  size_t best_step = 0;
  double best = 0;
  for (const char* figure : {"knn", "rankme", "feature_std"}) {
    const auto highest =
        std::max_element(found.begin(), found.end(), [&](const auto& one, const auto& other) {
          return one.second.at(figure).template get<double>() <
                 other.second.at(figure).template get<double>();
        });
    EXPECT_GT(highest->second.at(figure).get<double>(), 0) << figure;
    if (highest->first != 6) {
      keep = figure;
      best_step = highest->first;
      best = highest->second.at(figure).get<double>();
    }
  }
  ASSERT_FALSE(keep.empty()) << "the last look is the best by all figures: this says nothing";
  EXPECT_EQ(results("pretrain").at("last"), found.back().second);
  expect_histograms();
  const size_t first =
      watched.err.find("warning: stage.pretrain: the features collapse: after step 2 ");
  ASSERT_NE(first, std::string::npos) << watched.err;
  EXPECT_EQ(watched.err.find("the features collapse", first + 30), std::string::npos);
  const std::string with = weights();

  write_pipeline("");
  ASSERT_EQ(run_bissl(call("run")).code, 0);
  EXPECT_TRUE(weights() == with);

  write_pipeline(looking + "keep_best = \"" + keep + "\"\n");
  ASSERT_EQ(run_bissl(call("run")).code, 0);
  const json kept = results("pretrain").at("best");
  EXPECT_EQ(kept.at("figure"), keep);
  EXPECT_EQ(kept.at("value").get<double>(), best);
  EXPECT_EQ(kept.at("step").get<size_t>(), best_step);
  EXPECT_FALSE(weights() == with);
}

TEST_F(MonitorTest, ACollapseIsWarnedOfByWhateverFigures) {
  write_pipeline("every = 1\nfigures = [\"rankme\"]\nwarn_below = 1.0\n");
  const Outcome watched = run_bissl(call("run"));
  ASSERT_EQ(watched.code, 0) << watched.err;
  EXPECT_NE(watched.err.find("warning: stage.pretrain: the features collapse: after step 2 "),
            std::string::npos)
      << watched.err;
  EXPECT_FALSE(looks("pretrain").back().second.contains("feature_std"));
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

/// Each source has a table, its figures carry its name, and they are those of a table alone.
TEST_F(MonitorTest, SeveralSourcesAreLookedAt) {
  write_pipeline("every = 2\nfigures = [\"knn\"]\nk = 5\n");
  const Outcome alone = run_bissl(call("run"));
  ASSERT_EQ(alone.code, 0) << alone.err;
  const auto of_one = looks("pretrain");
  ASSERT_EQ(of_one.size(), 3U);
  const std::string weights_alone = weights();

  const std::string two =
      "[[stage.pretrain.monitor]]\ndata = \"labelled\"\nsamples = 48\nevery = 2\n"
      "augment = { use = \"evaluation\", size = 8 }\nfigures = [\"knn\"]\nk = 5\n"
      "warn_below = 1.0\n"
      "[[stage.pretrain.monitor]]\ndata = \"images\"\nsamples = 32\nevery = 3\n"
      "augment = { use = \"evaluation\", size = 8 }\nfigures = [\"rankme\"]\n";
  write_pipeline("");
  const std::string without = read_file(file_);
  write_file(file_, without + two);
  const Outcome watched = run_bissl(call("run"));
  ASSERT_EQ(watched.code, 0) << watched.err;
  EXPECT_TRUE(weights() == weights_alone);
  EXPECT_NE(watched.err.find("the features of data.labelled collapse: after step 4 "),
            std::string::npos)
      << watched.err;
  const auto found = looks("pretrain");
  ASSERT_EQ(found.size(), 4U);  // after steps 2, 3, 4 and 6
  EXPECT_EQ(found[0].second, (json{{"labelled.knn", of_one[0].second.at("knn")}}));
  EXPECT_EQ(found[1].first, 3U);
  EXPECT_TRUE(found[1].second.contains("images.rankme")) << found[1].second;
  EXPECT_EQ(found[1].second.size(), 1U);
  EXPECT_EQ(found[3].second.size(), 2U);
  EXPECT_EQ(found[3].second.at("labelled.knn"), of_one[2].second.at("knn"));
  const json sources = results("pretrain").at("sources");
  EXPECT_EQ(sources.at("labelled").at("last"), of_one[2].second);
  EXPECT_EQ(sources.at("images").at("last_step"), 6);

  write_file(file_, without + two + "keep_best = \"rankme\"\n");
  const Outcome kept = run_bissl(call("run"));
  ASSERT_EQ(kept.code, 0) << kept.err;
  EXPECT_EQ(results("pretrain").at("best").at("figure"), "images.rankme");
  const Outcome preview =
      run_bissl({"preview", file_.string(), "--samples", "1", "--to", (out_ / "sheets").string()});
  EXPECT_EQ(preview.code, 0) << preview.err;
  EXPECT_TRUE(fs::exists(out_ / "sheets" / "pretrain.monitor.1.png")) << preview.out;
}

TEST_F(MonitorTest, WhatCannotBeIsRefusedBeforeTraining) {
  write_pipeline("every = 2\nfigures = [\"rankme\", \"rankme\"]\nkeep_best = \"knn\"\n");
  const Outcome outcome = run_bissl(call("check"));
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("one of `figures` only"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("a figure is given twice"), std::string::npos) << outcome.err;
  const Outcome described = run_bissl({"describe", "pretrain"});
  EXPECT_NE(described.out.find("a table, or an array of such tables; may be left out"),
            std::string::npos)
      << described.out;
}

}  // namespace
}  // namespace bissl::host::test
