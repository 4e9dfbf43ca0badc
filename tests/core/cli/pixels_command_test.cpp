// What `bissl store pixels --prune` removes.

#include "cli/pixels_command.h"

#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

/// A folder for caches of its own.
class PixelsCommand : public testing::Test {
 protected:
  PixelsCommand() {
    if (const char* before = std::getenv("XDG_CACHE_HOME")) {
      before_ = before;
      was_set_ = true;
    }
    setenv("XDG_CACHE_HOME", folder_.path().c_str(), 1);
  }
  ~PixelsCommand() override {
    if (was_set_) {
      setenv("XDG_CACHE_HOME", before_.c_str(), 1);
    } else {
      unsetenv("XDG_CACHE_HOME");
    }
  }

  /// A file that was opened that many hours ago.
  fs::path make(const std::string& name, int hours) const {
    const fs::path file = folder_.path() / "bissl" / "pixels" / (name + ".pixels");
    write_file(file, "no pixels");
    fs::last_write_time(file, fs::file_time_type::clock::now() - std::chrono::hours(hours));
    return file;
  }

  TemporaryFolder folder_;

 private:
  std::string before_;
  bool was_set_ = false;
};

TEST_F(PixelsCommand, PrunesFilesOfAClockThatWasAhead) {
  const fs::path ahead = make("ahead", -48);
  const fs::path old = make("old", 48);
  std::ostringstream out;
  run_store_pixels({}, /*json=*/false, out);
  EXPECT_NE(out.str().find("in the future"), std::string::npos) << out.str();
  EXPECT_NE(out.str().find("2.0 d ago"), std::string::npos) << out.str();
  run_store_pixels({.prune = true, .older_than = 1, .dry_run = false}, /*json=*/true, out);
  EXPECT_TRUE(fs::exists(ahead)) << "how old it is cannot be known";
  EXPECT_FALSE(fs::exists(old));
  run_store_pixels({.prune = true, .older_than = 0, .dry_run = false}, /*json=*/true, out);
  EXPECT_FALSE(fs::exists(ahead));
}

}  // namespace
}  // namespace bissl::host::test
