// A plugin that was compiled with the headers of sdk 2.0, with a component of each kind, in this
// program: a minor version adds and never refuses.

#include "program.h"
#include "support/paths.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

/// All components are the plugin's, but for two steps of the chain.
constexpr const char* old_pipeline = R"(name = "old"
seed = 1

[data.shapes]
use  = "of-2-0"
size = 16

[model.backbone]
use   = "of-2-0"
width = 4

[stage.pretrain]
kind      = "pretrain"
data      = "shapes"
augment   = [ { use = "to-planes" }, { use = "of-2-0", probability = 0.5 }, { use = "normalize" } ]
pretext   = { use = "of-2-0", projector = 8 }
optimizer = { use = "of-2-0", lr = 0.01 }
batch     = 16
steps     = 3

[stage.bissl]
kind          = "bissl"
from          = "pretrain"
rounds        = 2
hypergradient = { use = "of-2-0", terms = 2 }
audit         = { every = 1, iterations = 3 }

[stage.bissl.lower]
steps = 2

[stage.bissl.upper]
data       = "shapes"
steps      = 1
batch      = 16
augment    = { use = "of-2-0", size = 16 }
downstream = { use = "of-2-0" }
optimizer  = { use = "of-2-0", lr = 0.01 }

[stage.tune]
kind       = "finetune"
from       = "bissl"
data       = "shapes"
augment    = { use = "of-2-0", size = 16 }
downstream = { use = "of-2-0" }
optimizer  = { use = "of-2-0", lr = 0.1 }
batch      = 16
steps      = 100
evaluate   = { data = "shapes", augment = { use = "of-2-0", size = 16 } }
)";

TEST(EarlierSdk, APluginOf20TrainsHere) {
  const TemporaryFolder folder;
  fs::create_directories(folder.path() / "plugins");
  fs::copy(fs::path(fixture_plugin_folder) / "of_sdk_2_0.so", folder.path() / "plugins");
  const fs::path file = folder.path() / "old.toml";
  write_file(file, old_pipeline);
  const fs::path out = folder.path() / "out";
  const Outcome outcome = run_bissl({"--plugin-path", (folder.path() / "plugins").string(), "run",
                                     file.string(), "--out", out.string(), "--threads", "1"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.err.find("an audit cannot be made"), std::string::npos) << outcome.err;
  const auto results = nlohmann::json::parse(read_file(out / "old/results.json"));
  const double accuracy =
      results.at("stages").at("tune").at("metrics").at("shapes").at("accuracy").at("mean");
  EXPECT_GT(accuracy, 0.7);
}

}  // namespace
}  // namespace bissl::host::test
