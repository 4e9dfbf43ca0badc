#pragma once

#include "program.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

namespace bissl::host::test {

/// The small pipeline in a file, and calls of the program on it.
class RunTest : public ::testing::Test {
 protected:
  RunTest() { write_file(file_, small_pipeline()); }

  std::vector<std::string> call(const std::string& name,
                                const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {name,          file_.string(), "--out",
                                          out_.string(), "--threads",    "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  TemporaryFolder folder_;
  std::filesystem::path file_ = folder_.path() / "small.toml";
  std::filesystem::path out_ = folder_.path() / "runs";
};

}  // namespace bissl::host::test
