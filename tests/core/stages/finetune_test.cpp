#include "data/selection.h"
#include "pipeline/component_source.h"
#include "pipeline/reader.h"
#include "plugins/search.h"
#include "stages/runner.h"
#include "stages/stage_kind.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <filesystem>

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

/// A process that is killed between writing a repeat's results and removing its checkpoint.
TEST(Finetune, TakesNoCheckpointOfAFinishedRepeatIntoTheStore) {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "p.toml";
  write_file(file, two_repeats);
  Registry registry;
  PluginSearch search(registry, {}, /*third_party=*/false);
  RegistrySource components(search);
  const TableSpec selection = selection_spec();
  const ReadResult read = read_pipeline({.file = file,
                                         .overrides = {},
                                         .components = components,
                                         .stage_kinds = stage_kinds(),
                                         .data_selection = selection});
  ASSERT_TRUE(read.pipeline) << to_text(read.diagnostics);
  RunOptions options;
  options.out = folder.path() / "runs";
  const fs::path finished = run_pipeline(*read.pipeline, options).stages.at(0).folder;
  const std::string weights = read_file(finished / "repeat-0" / "head.safetensors");

  const fs::path partial = finished.string() + ".partial";
  fs::rename(finished, partial);
  fs::remove(partial / "stage.json");
  fs::remove(partial / "results.json");
  fs::remove_all(partial / "repeat-1");
  write_file(partial / "repeat-0" / "checkpoint.safetensors", "of the killed process");
  EXPECT_FALSE(run_pipeline(*read.pipeline, options).stages.at(0).reused);
  EXPECT_FALSE(fs::exists(finished / "repeat-0" / "checkpoint.safetensors"));
  EXPECT_TRUE(read_file(finished / "repeat-0" / "head.safetensors") == weights);
  EXPECT_TRUE(fs::exists(finished / "repeat-1" / "head.safetensors"));
}

}  // namespace
}  // namespace bissl::host::test
