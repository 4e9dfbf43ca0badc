// Every pipeline of pipelines/methods is one that works.

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
  size_t checked = 0;
  for (const auto& file : shipped_pipelines()) {
    if (file.parent_path().filename() == "methods") {
      const Outcome check =
          run_bissl({"check", file.string(), "--out", (folder.path() / "runs").string()});
      EXPECT_EQ(check.code, 0) << file << "\n" << check.err;
      EXPECT_EQ(check.err, "") << file;
      ++checked;
    }
  }
  EXPECT_GE(checked, 25U);
}

}  // namespace
}  // namespace bissl::host::test
