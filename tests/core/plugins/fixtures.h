#pragma once

#include "plugins/registry.h"
#include "plugins/vetting.h"
#include "support/paths.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <ostream>
#include <string>
#include <vector>

namespace bissl::host {

/// Readable failures of comparisons.
inline void PrintTo(const LoadProblem& problem, std::ostream* out) {
  *out << "\n  path     " << problem.path << "\n  step     " << problem.step << "\n  code     "
       << problem.code << "\n  found    " << problem.found << "\n  expected " << problem.expected
       << "\n  advice   " << problem.advice << "\n";
}

namespace test {

inline std::filesystem::path fixture(const std::string& name) {
  return std::filesystem::path(fixture_plugin_folder) / (name + ".so");
}

/// What a new registry says of the library; it must be refused and leave nothing behind.
inline std::vector<LoadProblem> refusal_of(const std::filesystem::path& library, bool trusted) {
  Registry registry;
  EXPECT_FALSE(registry.load_library(library, trusted));
  EXPECT_TRUE(registry.components().empty());
  EXPECT_TRUE(registry.libraries().empty());
  EXPECT_TRUE(registry.report().loaded.empty());
  return registry.report().problems;
}

/// Expects exactly this problem, whether the library is tried in a child process or not.
inline void expect_refusal(const std::filesystem::path& library, LoadProblem expected) {
  expected.path = library.string();
  for (const bool trusted : {false, true}) {
    SCOPED_TRACE(trusted ? "loaded straight away" : "tried in a child process first");
    EXPECT_EQ(refusal_of(library, trusted), std::vector<LoadProblem>{expected});
  }
}

}  // namespace test
}  // namespace bissl::host
