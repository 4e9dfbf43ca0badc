// The pipelines of methods, and the ablations over all components of a kind, are files that work.

#include "program.h"
#include "shipped_files.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

namespace bissl::host::test {
namespace {

TEST(Methods, AllOfThemPassTheCheck) {
  if (!std::filesystem::exists("/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz")) {
    GTEST_SKIP() << "Debian's package dataset-fashion-mnist is not installed";
  }
  const TemporaryFolder folder;
  const std::string out = (folder.path() / "runs").string();
  size_t checked = 0;
  for (const auto& file : shipped_pipelines()) {
    if (takes_minutes(file)) {
      const Outcome check = run_bissl({"check", file.string(), "--out", out});
      EXPECT_EQ(check.code, 0) << file << "\n" << check.err;
      EXPECT_EQ(check.err, "") << file;
      ++checked;
    }
  }
  EXPECT_GE(checked, 25U);
  for (const auto& file : shipped_ablations()) {
    if (takes_minutes(file)) {
      const Outcome check = run_bissl({"sweep", file.string(), "--check", "--out", out});
      EXPECT_EQ(check.code, 0) << file << "\n" << check.err;
    }
  }
}

}  // namespace
}  // namespace bissl::host::test
