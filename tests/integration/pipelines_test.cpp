// Every TOML file in the repository is one that works.

#include "program.h"
#include "support/paths.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace bissl::host::test {
namespace {

/// Files of this folder are ablations, but for the pipelines that they vary.
bool is_ablation(const std::filesystem::path& file) {
  return file.parent_path().filename() == "ablations" && !file.stem().string().ends_with("base");
}

std::vector<std::filesystem::path> shipped_pipelines() {
  std::vector<std::filesystem::path> files;
  for (const char* folder : {"pipelines", "tests/bench"}) {
    const std::filesystem::path path = std::filesystem::path(source_folder) / folder;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
      if (entry.path().extension() == ".toml") {
        files.push_back(entry.path());
      }
    }
  }
  return files;
}

bool has_fashion_mnist() {
  return std::filesystem::exists("/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz");
}

TEST(Pipelines, AllOfThemPassTheCheck) {
  if (!has_fashion_mnist()) {
    GTEST_SKIP() << "Debian's package dataset-fashion-mnist is not installed";
  }
  const TemporaryFolder folder;
  ASSERT_FALSE(shipped_pipelines().empty());
  for (const auto& file : shipped_pipelines()) {
    std::vector<std::string> call = {"check", file.string()};
    if (is_ablation(file)) {
      call = {"sweep", file.string(), "--check"};
    }
    call.insert(call.end(), {"--out", (folder.path() / "runs").string()});
    const Outcome check = run_bissl(call);
    EXPECT_EQ(check.code, 0) << file << "\n" << check.err;
    if (!is_ablation(file)) {  // an ablation may well go where the settings are doubtful
      EXPECT_EQ(check.err, "") << file;
    }
  }
}

/// The quickstart, shrunken to seconds, from the IDX files to the table.
TEST(Pipelines, QuickstartEndToEnd) {
  if (!has_fashion_mnist()) {
    GTEST_SKIP() << "Debian's package dataset-fashion-mnist is not installed";
  }
  const TemporaryFolder folder;
  const auto file = std::filesystem::path(source_folder) / "pipelines" / "quickstart.toml";
  std::vector<std::string> call = {"run", file.string(), "--out", folder.path().string(), "--json"};
  for (const char* change :
       {"model.backbone.width=2", "data.few-labels.per_class=20", "stage.pretrain.batch=16",
        "stage.pretrain.steps=4", "stage.pretrain-longer.steps=4", "stage.bissl.rounds=2",
        "stage.bissl.lower.steps=2", "stage.bissl.lower.hessian_batch=8",
        "stage.bissl.upper.steps=2", "stage.bissl.upper.batch=16", "stage.bissl-finetune.steps=4",
        "stage.bissl-finetune.batch=16", "stage.bissl-finetune.repeats=2",
        "stage.bissl.warmup.epochs=1"}) {
    call.emplace_back("--set");
    call.emplace_back(change);
  }
  const Outcome outcome = run_bissl(call);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto stages = nlohmann::json::parse(outcome.out).at("stages");
  for (const char* arm : {"bissl-finetune", "baseline-finetune", "scratch-finetune"}) {
    EXPECT_EQ(stages.at(arm).at("runs").size(), 2) << arm;
    EXPECT_GT(stages.at(arm)["metrics"]["test"]["top1"]["mean"].get<double>(), 0.1) << arm;
  }
  EXPECT_EQ(stages.at("bissl").at("solves").at("upper_steps"), 4);
}

}  // namespace
}  // namespace bissl::host::test
