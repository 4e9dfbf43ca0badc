// Every TOML file in the repository is one that works.

#include "program.h"
#include "shipped_files.h"
#include "support/paths.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

namespace bissl::host::test {
namespace {

bool has_fashion_mnist() {
  return std::filesystem::exists("/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz");
}

/// Those that need images beside them: own_images_test and arms_test have some.
bool needs_data(const std::filesystem::path& file) {
  const std::string folder = file.parent_path().filename().string();
  return file.stem() == "own-images" || folder == "paper" || folder == "desk";
}

/// One of each kind: the quickstart, a training of another kind, a search, and a pipeline of a
/// test.
bool is_one_of_each_kind(const std::filesystem::path& file) {
  const std::set<std::string> names = {"quickstart", "finetune-recipe", "search", "slurm_small"};
  return names.count(file.stem().string()) != 0;
}

/// The check takes those of each kind, or all others.
void expect_checked(bool one_of_each_kind) {
  if (!has_fashion_mnist()) {
    GTEST_SKIP() << "Debian's package dataset-fashion-mnist is not installed";
  }
  const TemporaryFolder folder;
  const std::string out = (folder.path() / "runs").string();
  const auto wanted = [&](const std::filesystem::path& file) {
    return is_one_of_each_kind(file) == one_of_each_kind && !needs_data(file) &&
           !takes_minutes(file);
  };
  size_t checked = 0;
  for (const auto& file : shipped_pipelines()) {
    if (!wanted(file)) {
      continue;
    }
    ++checked;
    const Outcome check = run_bissl({"check", file.string(), "--out", out});
    EXPECT_EQ(check.code, 0) << file << "\n" << check.err;
    if (file.parent_path().filename() != "integration") {  // what tests run may be doubtful
      EXPECT_EQ(check.err, "") << file;
    }
  }
  EXPECT_GE(checked, 3U);
  checked = 0;
  for (const auto& file : shipped_ablations()) {
    if (!wanted(file)) {
      continue;
    }
    ++checked;
    // An ablation may well go where the settings are doubtful, so there may be warnings.
    const Outcome check = run_bissl({"sweep", file.string(), "--check", "--out", out});
    EXPECT_EQ(check.code, 0) << file << "\n" << check.err;
  }
  EXPECT_GE(checked, 1U);
}

TEST(Pipelines, OneOfEachKindPassesTheCheck) { expect_checked(/*one_of_each_kind=*/true); }

TEST(WidePipelines, AllOthersPassTheCheck) { expect_checked(/*one_of_each_kind=*/false); }

TEST(Pipelines, ExamplesPassTheCheckWithTheirPlugins) {
  const TemporaryFolder folder;
  copy_example_plugins(folder.path() / "plugins");
  ASSERT_FALSE(example_pipelines().empty());
  for (const auto& file : example_pipelines()) {
    const Outcome check = run_bissl({"--plugin-path", (folder.path() / "plugins").string(), "check",
                                     file.string(), "--out", (folder.path() / "runs").string()});
    EXPECT_EQ(check.code, 0) << file << "\n" << check.err;
  }
}

class QuickstartTest : public testing::TestWithParam<const char*> {};

/// The quickstart and the same with other pretext tasks, shrunken to seconds, from the IDX files to
/// the table.
TEST_P(QuickstartTest, RunsFromEndToEnd) {
  if (!has_fashion_mnist()) {
    GTEST_SKIP() << "Debian's package dataset-fashion-mnist is not installed";
  }
  const TemporaryFolder folder;
  const auto file = std::filesystem::path(source_folder) / "pipelines" / GetParam();
  std::vector<std::string> call = {"run", file.string(), "--out", folder.path().string(), "--json"};
  for (const char* change :
       {"model.backbone.width=2", "data.few-labels.per_class=20", "stage.pretrain.batch=16",
        "stage.pretrain.steps=4", "stage.pretrain-longer.steps=4", "stage.bissl.rounds=2",
        "stage.bissl.lower.steps=2", "stage.bissl.lower.hessian_batch=8",
        "stage.bissl.upper.steps=2", "stage.bissl.upper.batch=16", "stage.bissl-finetune.steps=4",
        "stage.bissl-finetune.batch=16", "stage.bissl-finetune.repeats=2",
        "stage.bissl.head_warmup.epochs=1"}) {
    call.emplace_back("--set");
    call.emplace_back(change);
  }
  const Outcome outcome = run_bissl(call);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto stages = nlohmann::json::parse(outcome.out).at("stages");
  for (const char* arm : {"bissl-finetune", "baseline-finetune", "scratch-finetune"}) {
    EXPECT_EQ(stages.at(arm).at("per_repeat").size(), 2) << arm;
    EXPECT_GT(stages.at(arm)["metrics"]["test"]["top1"]["mean"].get<double>(), 0.1) << arm;
  }
  EXPECT_EQ(stages.at("bissl").at("solves").at("upper_steps"), 4);
}

INSTANTIATE_TEST_SUITE_P(Shipped, QuickstartTest, testing::Values("quickstart.toml"));
INSTANTIATE_TEST_SUITE_P(Wide, QuickstartTest, testing::Values("byol.toml", "swav.toml"));

}  // namespace
}  // namespace bissl::host::test
