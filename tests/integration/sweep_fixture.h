#pragma once

#include "program.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

namespace bissl::host::test {

namespace fs = std::filesystem;
using nlohmann::json;

class SweepTest : public ::testing::Test {
 protected:
  SweepTest() { write_file(folder_.path() / "small.toml", small_pipeline()); }

  /// Writes an ablation of the small pipeline and returns its path.
  std::string ablation(const std::string& text, const std::string& name = "grid") const {
    const fs::path file = folder_.path() / (name + ".toml");
    write_file(file, "pipeline = \"small.toml\"\nmetric = \"finetune.test.top1\"\n" + text);
    return file.string();
  }
  Outcome sweep(const std::string& file, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> call = {"sweep", file, "--out", out_.string(), "--threads", "1"};
    call.insert(call.end(), more.begin(), more.end());
    return run_bissl(call);
  }
  /// Lines of all workers' logs that hold this text.
  size_t logged(const std::string& text, const std::string& name = "grid") const {
    size_t count = 0;
    for (const auto& entry : fs::directory_iterator(out_ / name / "logs")) {
      std::istringstream lines(read_file(entry.path()));
      for (std::string line; std::getline(lines, line);) {
        count += line.find(text) != std::string::npos ? 1 : 0;
      }
    }
    return count;
  }
  /// The same while the sweep may not have made its folder yet.
  size_t logged_safely(const std::string& text) const {
    return fs::exists(out_ / "grid" / "logs") ? logged(text) : 0;
  }
  static std::map<std::string, json> cells(const Outcome& outcome) {
    std::map<std::string, json> found;
    const json answer = json::parse(outcome.out);
    for (const json& cell : answer.at("cells")) {
      found[cell.at("id")] = cell;
    }
    return found;
  }

  TemporaryFolder folder_;
  fs::path out_ = folder_.path() / "runs";
};

/// Two solvers, two values of λ, two seeds, without one combination: 6 cells, 14 stages.
inline const std::string grid = R"(stages = ["finetune"]
[axes]
"stage.bissl.hypergradient" = [{ use = "cg", iterations = 1 }, { use = "identity" }]
"stage.bissl.lambda" = [0.1, 1]
seed = [0, 1]
[[exclude]]
"stage.bissl.hypergradient" = { use = "identity" }
"stage.bissl.lambda" = 1.0
)";

/// A stage that takes long, so that a test can look at it while it is computed.
inline const std::string slow = R"(stages = ["finetune"]
[set]
"stage.pretrain.steps" = 1000000
[axes]
seed = [0]
"stage.bissl.lambda" = [0.1, 1.0]
)";

}  // namespace bissl::host::test
