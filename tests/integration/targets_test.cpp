// Stages on targets that are no single class, from the example that reads CSV files: training,
// scores, and what is refused before the training.

#include "program.h"
#include "support/paths.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

/// Images of 8 x 8 pixels, each half dark or bright. The first columns say which halves are bright,
/// or how bright the image is; in every seventh line the second one is left open. With `constant`
/// the first column is the same in all lines.
std::string csv(int samples, int first, bool labels, bool constant) {
  std::string text = labels ? "left,right" : "level,contrast";
  for (int pixel = 0; pixel < 64; ++pixel) {
    text += fmt::format(",p{}", pixel);
  }
  for (int sample = first; sample < first + samples; ++sample) {
    const bool left = sample % 2 == 0;
    const bool right = sample % 3 == 0;
    const std::string second =
        labels ? std::to_string(int(right)) : fmt::format("{}", (int(left) - int(right)) * 3);
    const int level = labels ? int(left) : 100 * (int(left) + int(right));
    text += fmt::format("\n{},{}", constant ? 1 : level, sample % 7 == 0 ? "" : second);
    for (int pixel = 0; pixel < 64; ++pixel) {
      const bool bright = pixel % 8 < 4 ? left : right;
      text += fmt::format(",{}", (bright ? 180 : 40) + (sample * 37 + pixel * 11) % 40);
    }
  }
  return text + "\n";
}

/// A stage that fine-tunes random weights for a task, below the data for it.
std::string pipeline(const std::string& kind, const std::string& task) {
  return fmt::format(R"(name = "targets"
seed = 1

[data.train]
use     = "csv-images"
file    = "train.csv"
targets = "{0}"
columns = 2

[data.test]
use     = "csv-images"
file    = "test.csv"
targets = "{0}"
columns = 2

[model.backbone]
use   = "resnet18"
stem  = "small"
width = 4

[stage.tune]
kind       = "finetune"
from       = "scratch"
data       = "train"
augment    = {{ use = "evaluation", size = 8 }}
downstream = {{ {1} }}
optimizer  = {{ use = "adamw", lr = 0.01 }}
batch      = 16
steps      = 40
evaluate   = {{ data = "test", augment = {{ use = "evaluation", size = 8 }} }}
)",
                     kind, task);
}

class TargetsTest : public testing::Test {
 protected:
  /// Writes pipeline and data, and calls `run` or `check`.
  Outcome call(const std::string& name, const std::string& text, bool labels,
               const std::vector<std::string>& sets = {}) const {
    const fs::path plugins = folder_.path() / "plugins";
    fs::create_directories(plugins);
    fs::copy(fs::path(fixture_plugin_folder) / "csv_images.so", plugins / "csv_images.so",
             fs::copy_options::overwrite_existing);
    write_file(folder_.path() / "train.csv", csv(96, 0, labels, constant_));
    write_file(folder_.path() / "test.csv", csv(42, 500, labels, constant_));
    write_file(folder_.path() / "p.toml", text);
    std::vector<std::string> arguments{"--plugin-path",
                                       plugins.string(),
                                       name,
                                       (folder_.path() / "p.toml").string(),
                                       "--out",
                                       (folder_.path() / "runs").string(),
                                       "--threads",
                                       "1"};
    for (const std::string& set : sets) {
      arguments.insert(arguments.end(), {"--set", set});
    }
    return run_bissl(arguments);
  }

  /// The text of the check that refuses it.
  std::string refusal(const std::string& text, bool labels,
                      const std::vector<std::string>& sets = {}) const {
    const Outcome outcome = call("check", text, labels, sets);
    EXPECT_EQ(outcome.code, 2) << outcome.out << outcome.err;
    return outcome.err;
  }

  nlohmann::json metrics() const {
    const auto results =
        nlohmann::json::parse(read_file(folder_.path() / "runs/targets/results.json"));
    return results.at("stages").at("tune").at("metrics").at("test");
  }

  TemporaryFolder folder_;
  bool constant_ = false;  ///< of the first column of the data
};

TEST_F(TargetsTest, WhatIsTheSameInAllSamplesIsDoubtful) {
  const std::string label = "warning: data.train: 1 of 2 labels are of all 96 samples: ";
  const std::string value = "warning: data.train: 1 of 2 values are the same in all 96 samples: ";
  for (const bool constant : {false, true}) {
    constant_ = constant;
    const Outcome labels = call("check", pipeline("multi-label", "use = \"multi-label\""), true);
    EXPECT_EQ(labels.err.find(label) != std::string::npos, constant) << labels.err;
    const Outcome values = call("check", pipeline("values", "use = \"regression\""), false);
    EXPECT_EQ(values.err.find(value) != std::string::npos, constant) << values.err;
  }
}

TEST_F(TargetsTest, SeveralLabelsAreLearntAndScored) {
  const Outcome outcome =
      call("run", pipeline("multi-label", "use = \"multi-label\""), /*labels=*/true);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const nlohmann::json found = metrics();
  EXPECT_EQ(found.size(), 3U);
  EXPECT_GT(found.at("mAP").at("mean").get<double>(), 0.95) << found;
  EXPECT_GT(found.at("mAP11").at("mean").get<double>(), 0.95) << found;
  EXPECT_LT(found.at("loss").at("mean").get<double>(), 0.5) << found;
}

TEST_F(TargetsTest, ValuesAreLearntAndScored) {
  const Outcome outcome = call(
      "run", pipeline("values", "use = \"regression\", mean = [100, 0], std = [80, 2]"), false);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const nlohmann::json found = metrics();
  EXPECT_EQ(found.size(), 3U);
  EXPECT_GT(found.at("r2").at("mean").get<double>(), 0.8) << found;
  EXPECT_GT(found.at("mse").at("mean").get<double>(), 0.0);
  EXPECT_LT(found.at("mae").at("mean").get<double>(), 30.0) << found;
}

TEST_F(TargetsTest, AnUpperLevelTakesThemAsWell) {
  std::string text = pipeline("multi-label", "use = \"multi-label\"");
  text = text.substr(0, text.find("[stage.tune]")) + R"([stage.pretrain]
kind      = "pretrain"
data      = "train"
augment   = { use = "simclr", size = 8 }
pretext   = { use = "simclr", projector = [8, 8] }
optimizer = { use = "sgd", lr = 0.05 }
batch     = 8
steps     = 1

[stage.bissl]
kind          = "bissl"
from          = "pretrain"
rounds        = 1
hypergradient = { use = "identity" }

[stage.bissl.head_warmup]
steps     = 1
optimizer = { use = "sgd", lr = 0.1 }

[stage.bissl.lower]
steps = 1

[stage.bissl.upper]
data       = "train"
steps      = 1
batch      = 8
augment    = { use = "evaluation", size = 8 }
downstream = { use = "multi-label" }
optimizer  = { use = "sgd", lr = 0.01 }
)";
  const Outcome outcome = call("run", text, true);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
}

TEST_F(TargetsTest, ATaskForOtherTargetsIsRefusedWithBothPlaces) {
  const std::string text =
      refusal(pipeline("multi-label", "use = \"classification\""), /*labels=*/true);
  const std::string file = (folder_.path() / "p.toml").string();
  EXPECT_NE(text.find("downstream classification (library "), std::string::npos) << text;
  EXPECT_NE(text.find(fmt::format("used at {}:26:", file)), std::string::npos) << text;
  EXPECT_NE(text.find(fmt::format("takes category targets, but data.train (dataset csv-images, "
                                  "used at {}:5:",
                                  file)),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("has multi-label targets (\"left\", \"right\")"), std::string::npos) << text;
  const std::string other = refusal(pipeline("values", "use = \"multi-label\""), false);
  EXPECT_NE(other.find("takes multi-label targets, but data.train"), std::string::npos) << other;
  EXPECT_NE(other.find("has values targets (\"level\", \"contrast\")"), std::string::npos) << other;
}

TEST_F(TargetsTest, EvaluationDataOfOtherTargetsIsRefused) {
  const std::string text = pipeline("multi-label", "use = \"multi-label\"");
  for (const std::string set : {"data.test.columns=1", "data.test.targets=\"values\"",
                                "data.test.classes=[\"right\", \"left\"]"}) {
    // One column less leaves a pixel more than a square.
    const std::string error = refusal(text, true, {set});
    EXPECT_NE(error.find(set == "data.test.columns=1" ? "not 1 targets and a square image"
                                                      : "evaluate.data: data.test"),
              std::string::npos)
        << set << error;
  }
}

TEST_F(TargetsTest, NeighboursVoteForCategoriesAlone) {
  for (const std::string kind : {"multi-label", "values"}) {
    std::string text = pipeline(kind, "use = \"classification\"");
    text = text.substr(0, text.find("[stage.tune]")) + R"([stage.near]
kind    = "knn"
from    = "scratch"
bank    = "train"
data    = "test"
augment = { use = "evaluation", size = 8 }
k       = 5
)";
    const std::string error = refusal(text, /*labels=*/kind == "multi-label");
    EXPECT_NE(error.find("stage.near ("), std::string::npos) << error;
    EXPECT_NE(error.find("bank: data.train has " + kind + " targets"), std::string::npos) << error;
    EXPECT_NE(error.find(", and neighbours vote for one class of an image"), std::string::npos)
        << error;
  }
}

TEST_F(TargetsTest, AChoiceWithoutMeaningIsRefused) {
  const std::string labels = pipeline("multi-label", "use = \"multi-label\"");
  EXPECT_NE(refusal(labels, true, {"data.train.per_class=3"})
                .find("`per_class` and `skip_per_class` count the samples of a category"),
            std::string::npos);
  const std::string values = pipeline("values", "use = \"regression\"");
  EXPECT_NE(refusal(values, false, {"data.train.classes=[\"level\"]"})
                .find("`classes` chooses categories or labels"),
            std::string::npos);
  EXPECT_NE(refusal(values, false, {"stage.tune.downstream.mean=[1]"})
                .find("mean has 1 numbers, but the data has 2 values"),
            std::string::npos);
}

TEST_F(TargetsTest, DescriptionsSayWhatATaskTakes) {
  const Outcome text = run_bissl({"describe", "multi-label"});
  EXPECT_NE(text.out.find("\nTakes: multi-label targets\n"), std::string::npos) << text.out;
  const Outcome json = run_bissl({"describe", "regression", "--json"});
  EXPECT_EQ(nlohmann::json::parse(json.out).at("components").at(0).at("takes"),
            nlohmann::json::array({"values"}));
}

TEST_F(TargetsTest, LabelsThatNoSampleHasAreWarnedOf) {
  const std::string labels = pipeline("multi-label", "use = \"multi-label\"");
  const Outcome outcome = call("check", labels, true, {"data.test.limit=1"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("labels are of no sample that is left"), std::string::npos)
      << outcome.err;
}

}  // namespace
}  // namespace bissl::host::test
