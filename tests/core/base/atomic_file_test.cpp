#include "base/atomic_file.h"

#include "core/store/failing_disk.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

TEST(AtomicFile, ReplacesAWholeFile) {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "a.txt";
  write_file_atomically(file, "first, and long");
  write_file_atomically(file, "second");
  EXPECT_EQ(read_file(file), "second");
  EXPECT_EQ(listing(folder.path()), "a.txt");
}

TEST(AtomicFile, ShowsNothingBeforeTheCommitAndKeepsTheOldFile) {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "a.txt";
  write_file(file, "old");
  {
    AtomicFile atomic(file);
    atomic.write("new");
    EXPECT_EQ(read_file(file), "old");
  }
  EXPECT_EQ(read_file(file), "old");
  EXPECT_EQ(listing(folder.path()), "a.txt");
}

TEST(AtomicFile, GivesTheUsualPermissions) {
  const TemporaryFolder folder;
  const mode_t previous = umask(027);
  write_file_atomically(folder.path() / "a.txt", "x");
  umask(previous);
  struct stat status {};
  ASSERT_EQ(stat((folder.path() / "a.txt").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0640u);
}

TEST(AtomicFile, WritesEmptyFilesAndRelativePaths) {
  const TemporaryFolder folder;
  write_file_atomically(folder.path() / "empty", "");
  EXPECT_EQ(fs::file_size(folder.path() / "empty"), 0u);
  EXPECT_EQ(error_of([] { write_file_atomically("no/such/folder/a", ""); }),
            "run: cannot write no/such/folder/a: the folder no/such/folder does not exist");
}

TEST(AtomicFile, ShortWriteLeavesTheOldFileAndNoOther) {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "a.bin";
  write_file(file, "old");
  std::string error;
  {
    const FileSizeLimit limit(1000);
    error = error_of([&] { write_file_atomically(file, std::string(5000, 'x')); });
  }
  EXPECT_EQ(error, "run: cannot write " + file.string() +
                       ": File too large. The file system or a limit (ulimit -f) allows no file "
                       "of this size");
  EXPECT_EQ(read_file(file), "old");
  EXPECT_EQ(listing(folder.path()), "a.bin");
}

TEST(AtomicFile, FullDiskLeavesTheOldFileAndNoOther) {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "a.bin";
  const std::string answer = on_small_disk(folder.path(), 64 << 10, [&] {
    write_file_atomically(file, "old");
    const std::string error =
        error_of([&] { write_file_atomically(file, std::string(1 << 20, 'x')); });
    return error + "|" + read_file(file) + "|" + listing(folder.path());
  });
  if (answer == "unavailable") {
    GTEST_SKIP() << "a small file system cannot be mounted here";
  }
  EXPECT_EQ(answer, "run: cannot write " + file.string() +
                        ": No space left on device. Free some space there, or choose another "
                        "folder|old|a.bin");
}

TEST(AtomicFile, ReadOnlyFolderIsAnError) {
  const TemporaryFolder folder;
  fs::permissions(folder.path(), fs::perms(0555));
  std::string error;
  as_ordinary_user(
      [&] { error = error_of([&] { write_file_atomically(folder.path() / "a", "x"); }); });
  EXPECT_EQ(error, "run: cannot write " + (folder.path() / "a").string() +
                       ": Permission denied. Allow writing there, or choose another folder");
}

TEST(AtomicFile, FolderInTheWayIsAnErrorAndStays) {
  const TemporaryFolder folder;
  write_file(folder.path() / "a" / "inside", "x");
  EXPECT_EQ(error_of([&] { write_file_atomically(folder.path() / "a", "x"); }),
            "run: cannot write " + (folder.path() / "a").string() + ": Is a directory");
  EXPECT_EQ(listing(folder.path()), "a");
  EXPECT_EQ(read_file(folder.path() / "a" / "inside"), "x");
}

TEST(AtomicFile, TemporaryNamesAreKnown) {
  const TemporaryFolder folder;
  const fs::path temporary = temporary_path(folder.path());
  EXPECT_EQ(temporary.parent_path(), folder.path());
  EXPECT_TRUE(is_temporary_name(temporary.filename().string()));
  EXPECT_FALSE(is_temporary_name("weights.safetensors"));
}

/// On other machines and in containers, processes have the same numbers and count alike.
TEST(AtomicFile, TemporaryNamesOfProcessesDifferByMoreThanTheirNumbers) {
  const TemporaryFolder folder;
  std::vector<std::string> names;
  for (int process = 0; process < 2; ++process) {
    ASSERT_EQ(exit_code_of([&] {
                const std::string name = temporary_path(folder.path()).filename().string();
                const std::string own = std::to_string(getpid());
                write_file(folder.path() / "name", name.substr(name.find(own) + own.size()));
                _exit(0);
              }),
              0);
    names.push_back(read_file(folder.path() / "name"));
  }
  EXPECT_NE(names[0], names[1]);
}

TEST(PosixFile, ReadingWhatIsNoFileIsAnInputError) {
  const TemporaryFolder folder;
  EXPECT_EQ(error_of([&] { open_for_reading(folder.path()); }),
            "input: cannot read " + folder.path().string() + ": it is a folder, not a file");
  EXPECT_EQ(error_of([&] { open_for_reading(folder.path() / "x"); }),
            "input: cannot read " + (folder.path() / "x").string() + ": No such file or directory");
  ASSERT_EQ(mkfifo((folder.path() / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(error_of([&] { open_for_reading(folder.path() / "pipe"); }),
            "input: cannot read " + (folder.path() / "pipe").string() +
                ": it is a device or pipe, not a file");
  write_file(folder.path() / "big", std::string(11, 'x'));
  EXPECT_EQ(error_of([&] { read_whole(folder.path() / "big", 10); }),
            "input: cannot read " + (folder.path() / "big").string() +
                ": it has 11 bytes, and no such file has more than 10");
}

}  // namespace
}  // namespace bissl::host::test
