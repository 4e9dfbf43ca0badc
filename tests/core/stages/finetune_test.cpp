#include "data/selection.h"
#include "pipeline/component_source.h"
#include "pipeline/reader.h"
#include "plugins/search.h"
#include "stages/check.h"
#include "stages/runner.h"
#include "stages/stage_kind.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <optional>
#include <string>
#include <utility>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* two_repeats = R"(name = "p"
[data.train]
use     = "synthetic"
samples = 8
size    = 8
[model.backbone]
use   = "resnet18"
stem  = "small"
width = 2
[stage.tune]
kind       = "finetune"
from       = "scratch"
data       = "train"
augment    = { use = "evaluation", size = 8 }
downstream = { use = "classification" }
optimizer  = { use = "sgd", lr = 0.1 }
batch      = 4
steps      = 1
repeats    = 2
)";

class Finetune : public testing::Test {
 protected:
  Finetune() : search_(registry_, {}, /*third_party=*/false), components_(search_) {
    const fs::path file = folder_.path() / "p.toml";
    write_file(file, two_repeats);
    ReadResult read = read_pipeline({.file = file,
                                     .overrides = {},
                                     .components = components_,
                                     .stage_kinds = stage_kinds(),
                                     .data_selection = selection_});
    EXPECT_TRUE(read.pipeline) << to_text(read.diagnostics);
    pipeline_ = std::move(read.pipeline);
    options_.out = folder_.path() / "runs";
  }
  RunOutcome run() const { return run_pipeline(pipeline_.value(), options_); }

  TemporaryFolder folder_;
  Registry registry_;
  PluginSearch search_;
  RegistrySource components_;
  TableSpec selection_ = selection_spec();
  std::optional<Pipeline> pipeline_;
  RunOptions options_;
};

/// A process that is killed between writing a repeat's results and removing its checkpoint.
TEST_F(Finetune, TakesNoCheckpointOfAFinishedRepeatIntoTheStore) {
  const fs::path finished = run().stages.at(0).folder;
  const std::string weights = read_file(finished / "repeat-0" / "head.safetensors");

  const fs::path partial = finished.string() + ".partial";
  fs::rename(finished, partial);
  fs::remove(partial / "stage.json");
  fs::remove(partial / "results.json");
  fs::remove_all(partial / "repeat-1");
  write_file(partial / "repeat-0" / "checkpoint.safetensors", "of the killed process");
  EXPECT_FALSE(run().stages.at(0).reused);
  EXPECT_FALSE(fs::exists(finished / "repeat-0" / "checkpoint.safetensors"));
  EXPECT_TRUE(read_file(finished / "repeat-0" / "head.safetensors") == weights);
  EXPECT_TRUE(fs::exists(finished / "repeat-1" / "head.safetensors"));
}

/// Bytes that a check expects a fine-tuning with these settings to hold beside what it tried.
double held_bytes(const std::vector<std::string>& settings, TrialDepth depth) {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "p.toml";
  write_file(file, std::string(two_repeats) + R"([data.other]
use     = "synthetic"
samples = 8
size    = 8
split   = "test"
)");
  Registry registry;
  PluginSearch search(registry, {}, /*third_party=*/false);
  RegistrySource components(search);
  const TableSpec selection = selection_spec();
  std::vector<std::string> overrides = {"stage.tune.repeats=1", "stage.tune.steps=8"};
  overrides.insert(overrides.end(), settings.begin(), settings.end());
  const ReadResult read = read_pipeline({.file = file,
                                         .overrides = overrides,
                                         .components = components,
                                         .stage_kinds = stage_kinds(),
                                         .data_selection = selection});
  if (!read.pipeline) {
    ADD_FAILURE() << to_text(read.diagnostics);
    return 0;
  }
  const RunSettings run{};
  const std::vector<StagePlan> plans = check_pipeline(
      {.pipeline = *read.pipeline, .settings = run, .out = folder.path() / "runs", .depth = depth});
  EXPECT_EQ(plans.at(0).errors, std::vector<std::string>{});
  return plans.at(0).held_bytes;
}

/// The average and the best weights are copies of both networks.
TEST_F(Finetune, IsExpectedToHoldCopiesOfItsNetworks) {
  const std::string average = "stage.tune.ema_decay=0.9";
  const std::string best =
      "stage.tune.validate={ data = \"other\", every = 4, batch = 4, metric = \"loss\", "
      "augment = { use = \"evaluation\", size = 8 } }";
  const double plain = held_bytes({}, TrialDepth::measured);
  const double copy = held_bytes({average}, TrialDepth::measured) - plain;
  EXPECT_GT(copy, 40000) << "a ResNet-18 of width 2 has 11,000 parameters";
  EXPECT_EQ(held_bytes({best}, TrialDepth::measured) - plain, copy);
  EXPECT_EQ(held_bytes({average, best}, TrialDepth::measured) - plain, 2 * copy);
}

/// Parts of a step add up gradients. A step that was tried once had none of a step before it.
TEST_F(Finetune, IsExpectedToHoldGradientsBetweenSteps) {
  const double plain = held_bytes({}, TrialDepth::measured);
  const double gradients = held_bytes({"stage.tune.accumulate=2"}, TrialDepth::measured) - plain;
  EXPECT_GT(gradients, 40000);
  EXPECT_EQ(held_bytes({}, TrialDepth::tried) - plain, gradients);
}

/// The file is edited and run again while a run of it is under way: results of the one beside the
/// lock of the other would pass for those of the edited file.
TEST_F(Finetune, LeavesTheFolderToAnotherVersionThatIsBegunMeanwhile) {
  const fs::path folder = run().folder;
  const fs::path lock = folder / "pipeline.lock.toml";
  const fs::path results = folder / "results.json";
  const std::string own = read_file(lock);
  const std::string key = "identity = \"";
  ASSERT_NE(own.find(key), std::string::npos) << own;
  std::string other = own;
  other.insert(other.find(key) + key.size(), "another");
  int warnings = 0;
  options_.say = [&](const std::string& text) {
    if (text.find("already in the store") != std::string::npos) {
      write_file(lock, other);
      fs::remove(results);
      fs::remove(folder / "tune");
    }
    warnings += text.find("another version of this pipeline") == std::string::npos ? 0 : 1;
  };
  EXPECT_TRUE(run().stages.at(0).reused);
  EXPECT_EQ(warnings, 1);
  EXPECT_FALSE(fs::exists(results));
  EXPECT_FALSE(fs::exists(folder / "tune"));
  EXPECT_EQ(read_file(lock), other);
  options_.say = nullptr;
  run();
  EXPECT_TRUE(fs::exists(results));
  EXPECT_EQ(read_file(lock), own);
}

}  // namespace
}  // namespace bissl::host::test
