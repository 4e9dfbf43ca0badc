#pragma once

#include "program.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

namespace bissl::host::test {

/// `--set` before each of the overrides.
inline std::vector<std::string> sets(const std::vector<std::string>& overrides) {
  std::vector<std::string> arguments;
  for (const std::string& one : overrides) {
    arguments.insert(arguments.end(), {"--set", one});
  }
  return arguments;
}

/// Calls of the program that end before anything is trained, on the small pipeline in a file.
class CheckTest : public testing::Test {
 protected:
  CheckTest() { write_file(file_, small_pipeline()); }

  Outcome call(const std::string& name, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {name,          file_.string(), "--out",
                                          out_.string(), "--threads",    "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_bissl(arguments);
  }
  Outcome sweep(const std::vector<std::string>& more = {}) const {
    write_file(
        folder_.path() / "A.toml",
        "pipeline = \"small.toml\"\nmetric = \"finetune.test.top1\"\n[axes]\nseed = [0, 1]\n");
    std::vector<std::string> arguments = {
        "sweep", (folder_.path() / "A.toml").string(), "--out", out_.string(), "--threads", "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_bissl(arguments);
  }

  TemporaryFolder folder_;
  std::filesystem::path file_ = folder_.path() / "small.toml";
  std::filesystem::path out_ = folder_.path() / "runs";
};

}  // namespace bissl::host::test
