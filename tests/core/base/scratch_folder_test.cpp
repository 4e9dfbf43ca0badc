#include "base/scratch_folder.h"

#include "core/store/failing_disk.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace bissl::host::test {
namespace {

/// TMPDIR as it was, at the end of a test.
class TemporaryPlace : public testing::Test {
 protected:
  TemporaryPlace() {
    if (const char* before = std::getenv("TMPDIR")) {
      before_ = before;
      was_set_ = true;
    }
  }
  ~TemporaryPlace() override {
    if (was_set_) {
      setenv("TMPDIR", before_.c_str(), 1);
    } else {
      unsetenv("TMPDIR");
    }
  }

  TemporaryFolder folder_;

 private:
  std::string before_;
  bool was_set_ = false;
};

TEST_F(TemporaryPlace, IsTmpdir) {
  setenv("TMPDIR", folder_.path().c_str(), 1);
  EXPECT_EQ(temporary_place(), folder_.path());
}

TEST_F(TemporaryPlace, NamesTmpdirWhereItIsNoFolder) {
  write_file(folder_.path() / "file", "");
  for (const char* name : {"absent", "file"}) {
    const std::string place = (folder_.path() / name).string();
    setenv("TMPDIR", place.c_str(), 1);
    const std::string error = error_of([] { temporary_place(); });
    EXPECT_TRUE(error.starts_with("run: there is no folder for temporary files: " + place + ": "))
        << error;
    EXPECT_NE(error.find("Set TMPDIR"), std::string::npos) << error;
  }
}

}  // namespace
}  // namespace bissl::host::test
