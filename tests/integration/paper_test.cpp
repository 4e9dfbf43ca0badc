// The paper's pipelines: on made-up data in the official layouts, from the check to the table.

#include "dataset_trees.h"
#include "program.h"
#include "support/paths.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

/// The folder of the paper's files beside made-up data.
class Paper : public testing::Test {
 protected:
  Paper() {
    fs::copy(fs::path(source_folder) / "pipelines/paper", folder_.path());
    const fs::path data = folder_.path() / "data";
    fs::create_directories(data);
    make_stl10(data);
    make_flowers102(data);
  }
  Outcome call(const std::string& name, const std::string& file,
               const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words = {name,        (folder_.path() / file).string(),
                                      "--out",     (folder_.path() / "runs").string(),
                                      "--threads", "1"};
    words.insert(words.end(), more.begin(), more.end());
    return run_bissl(words);
  }

  TemporaryFolder folder_;
};

/// What makes seconds of weeks: 16 pixels, two channels, a few steps.
std::vector<std::string> shrunken() {
  std::vector<std::string> words;
  for (const char* change :
       {"model.backbone.width=2", "stage.pretrain.views.0.augment.size=16",
        "stage.pretrain.views.1.augment.size=16", "stage.pretrain.batch=2",
        "stage.pretrain.steps=2", "stage.pretrain.schedule.warmup_steps=1",
        "stage.baseline.steps=3", "stage.bissl.rounds=2", "stage.bissl.lower.steps=2",
        "stage.bissl.lower.schedule.warmup_steps=1", "stage.bissl.upper.steps=1",
        "stage.bissl.upper.batch=2", "stage.bissl.upper.augment.size=16",
        "stage.bissl.head_warmup.steps=2", "stage.finetune.steps=2", "stage.finetune.batch=2",
        "stage.finetune.augment.size=16", "stage.score.augment.size=16"}) {
    words.emplace_back("--set");
    words.emplace_back(change);
  }
  return words;
}

/// With the departures of the authors' code, whose file includes the other one.
TEST_F(Paper, RunsFromEndToEndWhenShrunken) {
  std::vector<std::string> words = shrunken();
  words.emplace_back("--json");
  const Outcome run = call("run", "compat-iclr.toml", words);
  ASSERT_EQ(run.code, 0) << run.err;
  const auto stages = nlohmann::json::parse(run.out)["stages"];
  EXPECT_EQ(stages["bissl"]["solves"]["upper_steps"], 2);
  EXPECT_EQ(stages["score"]["metrics"]["validation"].count("top1"), 1U);
}

TEST_F(Paper, TheSearchIsPlannedOnTheOfficialLayouts) {
  // The same ablation with the sets that are here, two draws and two seeds.
  write_file(folder_.path() / "small-tasks.toml", R"(include = ["iclr-tasks.toml"]
[axes]
seed = [0, 1]
[[zip]]
name = "task"
labels = ["flowers-102", "stl10"]
"data.labelled" = [{ use = "flowers-102", root = "data" }, { use = "stl10", root = "data" }]
"data.validation" = [{ use = "flowers-102", root = "data", split = "val" }, { use = "stl10", root = "data", split = "test", limit = 1 }]
"data.test" = [{ use = "flowers-102", root = "data", split = "test" }, { use = "stl10", root = "data", split = "test" }]
[search]
draws = 2
)");
  std::vector<std::string> words = shrunken();
  words.emplace_back("--check");
  const Outcome check = call("sweep", "small-tasks.toml", words);
  EXPECT_EQ(check.code, 0) << check.err;
  EXPECT_NE(check.out.find("8 cells"), std::string::npos) << check.out;
}

TEST_F(Paper, TheOtherPipelineIsReadWithImagesInFolders) {
  const fs::path images = folder_.path() / "data/imagenet/train/dogs";
  fs::create_directories(images);
  for (int i = 0; i < 3; ++i) {
    std::string text = "P6 20 20 255\n";
    for (int k = 0; k < 1200; ++k) {
      text += static_cast<char>(k * (i + 3));
    }
    write_file(images / (std::to_string(i) + ".ppm"), text);
  }
  const Outcome check = call("check", "neurips.toml", shrunken());
  EXPECT_EQ(check.code, 0) << check.err;
}

}  // namespace
}  // namespace bissl::host::test
