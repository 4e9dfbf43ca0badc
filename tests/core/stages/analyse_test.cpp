#include "data/selection.h"
#include "pipeline/component_source.h"
#include "pipeline/reader.h"
#include "plugins/search.h"
#include "stages/runner.h"
#include "stages/stage_kind.h"
#include "support/temporary_folder.h"
#include "telemetry/progress.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <memory>
#include <sstream>

namespace bissl::host::test {
namespace {

/// A look at 20 samples with a bank of 24, in batches of 8: 3 of each, and 6 of the probe's views.
std::string a_look(const std::string& pictures) {
  return fmt::format(R"(name = "p"
[data.bank]
use     = "synthetic"
samples = 24
size    = 8
[data.test]
use     = "synthetic"
samples = 20
size    = 8
split   = "test"
[model.backbone]
use   = "resnet18"
stem  = "small"
width = 2
[stage.look]
kind        = "analyse"
from        = "scratch"
data        = "test"
bank        = "bank"
k           = 3
compare     = "scratch"
augment     = {{ use = "evaluation", size = 8 }}
batch       = 8
samples     = 20
figures     = ["rankme"]
layers      = []
pictures    = {}
probe_views = {{ count = 2, augment = {{ use = "evaluation", size = 8 }} }}
)",
                     pictures);
}

/// What the display of a run's progress shows when a line is written for each batch.
std::string shown(const std::string& pipeline) {
  const TemporaryFolder folder;
  const std::filesystem::path file = folder.path() / "p.toml";
  write_file(file, pipeline);
  Registry registry;
  PluginSearch search(registry, {}, /*third_party=*/false);
  RegistrySource components(search);
  const TableSpec selection = selection_spec();
  const ReadResult read = read_pipeline({.file = file,
                                         .overrides = {},
                                         .components = components,
                                         .stage_kinds = stage_kinds(),
                                         .data_selection = selection});
  EXPECT_TRUE(read.pipeline) << to_text(read.diagnostics);
  std::ostringstream out;
  if (read.pipeline) {
    RunOptions options;
    options.out = folder.path() / "runs";
    options.settings.progress = [&](Progress::Plan plan) {
      ProgressStyle style;
      style.clock = [now = 0.0]() mutable { return now += 20; };
      return std::make_unique<Progress>(out, style, std::move(plan));
    };
    run_pipeline(*read.pipeline, options);
  }
  return out.str();
}

/// Compared networks look at the bank for pictures of saliency only; the total knows.
TEST(Analyse, ProgressEndsWithAllBatches) {
  const std::string plain = shown(a_look("[]"));
  EXPECT_NE(plain.find("look  15/15  100%"), std::string::npos) << plain;
  const std::string explained = shown(a_look("[\"saliency\"]"));
  EXPECT_NE(explained.find("look  24/24  100%"), std::string::npos) << explained;
}

}  // namespace
}  // namespace bissl::host::test
