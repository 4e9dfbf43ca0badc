#pragma once

// A pipeline that trains a small network, and one that takes its weights from a file.

#include "program.h"
#include "support/paths.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace bissl::host::test {

namespace fs = std::filesystem;

inline constexpr const char* data_and_model = R"(
[data.labelled]
use     = "synthetic"
samples = 48
size    = 8
channels = 3

[data.test]
use     = "synthetic"
samples = 32
size    = 8
channels = 3
split   = "test"

[model.backbone]
use   = "resnet18"
stem  = "small"
width = 2
)";

inline constexpr const char* training = R"(name = "training"
[stage.finetune]
kind       = "finetune"
from       = "scratch"
data       = "labelled"
augment    = { use = "supervised", size = 8 }
downstream = { use = "classification" }
optimizer  = { use = "sgd", lr = 0.05 }
batch      = 8
steps      = 3
evaluate   = { data = "test", augment = { use = "evaluation", size = 8, mean = [0.4], std = [0.3] } }
)";

inline constexpr const char* scoring = R"(
[stage.score]
kind    = "evaluate"
from    = "start"
data    = "test"
augment = { use = "evaluation", size = 8, mean = [0.4], std = [0.3] }
)";

/// A pipeline that trains, and one that imports what was exported of it.
class ImportTest : public testing::Test {
 protected:
  Outcome call(const std::string& name, const fs::path& file,
               const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {name,          file.string(), "--out",
                                          out_.string(), "--threads",   "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_bissl(arguments);
  }

  /// Trains, and exports to `name`.
  void export_to(const std::string& name) {
    write_file(trained_, training + std::string(data_and_model));
    const Outcome trained = call("run", trained_);
    ASSERT_EQ(trained.code, 0) << trained.err;
    const Outcome exported =
        run_bissl({"export", (out_ / "training/finetune").string(), "--to", path(name)});
    ASSERT_EQ(exported.code, 0) << exported.err;
  }

  /// The second pipeline, with these keys of its import stage.
  fs::path importing(const std::string& keys, const std::string& more = "") {
    write_file(imported_, "name = \"importing\"\n" + std::string(data_and_model) +
                              "\n[stage.start]\nkind = \"import\"\nchannels = 3\n" + keys + "\n" +
                              more);
    return imported_;
  }

  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }
  nlohmann::json results(const std::string& run) const {
    return nlohmann::json::parse(read_file(out_ / run / "results.json"))["stages"];
  }

  TemporaryFolder folder_;
  fs::path out_ = folder_.path() / "runs";
  fs::path trained_ = folder_.path() / "training.toml";
  fs::path imported_ = folder_.path() / "importing.toml";
};

inline const std::string with_head =
    "head = { data = \"labelled\", downstream = { use = \"classification\" } }";

}  // namespace bissl::host::test
