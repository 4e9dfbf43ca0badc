// Which runs and sweeps refer to a stage, and what is said where that cannot be known.

#include "store/references.h"

#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

const std::string referred_key = "0123456789abcdef0123456789abcdef";

TEST(References, AreLinksOfRunsAndOfCells) {
  const TemporaryFolder out;
  fs::create_directories(out.path() / "run");
  fs::create_directories(out.path() / "sweep" / "cells" / "a=1");
  fs::create_symlink("../.store/" + referred_key, out.path() / "run" / "pretrain");
  fs::create_symlink("../../../.store/" + referred_key,
                     out.path() / "sweep" / "cells" / "a=1" / "pre");
  write_file(out.path() / "notes.txt", "no folder");
  fs::create_symlink("nowhere", out.path() / "dangling");
  const References references = find_references(out.path());
  std::vector<std::string> users = references.of(referred_key);
  std::sort(users.begin(), users.end());
  EXPECT_EQ(users, (std::vector<std::string>{"run", "sweep/cells/a=1"}));
  EXPECT_TRUE(references.unreadable.empty()) << references.unreadable.front();
  EXPECT_TRUE(find_references(out.path() / "nothing").unreadable.empty());
}

/// What uses a stage there is not known: the stage must not pass for unused.
TEST(References, SayWhatCannotBeRead) {
  const TemporaryFolder out;
  fs::create_directories(out.path() / "sweep");
  fs::create_symlink("cells", out.path() / "sweep" / "cells");  // leads to itself
  const References of_cells = find_references(out.path());
  ASSERT_EQ(of_cells.unreadable.size(), 1U);
  EXPECT_TRUE(of_cells.unreadable[0].starts_with((out.path() / "sweep" / "cells").string() + ": "))
      << of_cells.unreadable[0];

  fs::remove(out.path() / "sweep" / "cells");
  write_file(out.path() / "sweep" / "plan.json", "{");
  EXPECT_EQ(find_references(out.path()).unreadable.size(), 1U);

  fs::remove_all(out.path() / "sweep");
  fs::create_symlink("sweep", out.path() / "sweep");
  EXPECT_EQ(find_references(out.path()).unreadable.size(), 1U);
}

}  // namespace
}  // namespace bissl::host::test
