#include "track/runs.h"

#include "bissl/error.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

const std::string key(32, 'a');
const std::string other_key(32, 'b');

class Runs : public testing::Test {
 protected:
  /// A stage in the store, with a log in each of the folders.
  void make_stage(const std::string& name, const std::vector<std::string>& logs) const {
    for (const std::string& log : logs) {
      const fs::path folder = folder_.path() / ".store" / name / log;
      fs::create_directories(folder);
      write_file(folder / "events.jsonl", "{\"step\":0,\"loss\":1}\n");
    }
  }
  fs::path make_run(const std::string& name) const {
    fs::create_directories(folder_.path() / name);
    write_file(folder_.path() / name / "pipeline.lock.toml", "");
    return folder_.path() / name;
  }
  static void link(const fs::path& run, const std::string& stage, const std::string& target) {
    fs::create_directory_symlink("../.store/" + target, run / stage);
  }

  TemporaryFolder folder_;
};

TEST_F(Runs, LogsAreThoseBehindTheLinks) {
  make_stage(key + ".partial", {""});
  make_stage(other_key, {"repeat-10", "repeat-9"});
  write_file(folder_.path() / ".store" / other_key / "results.json", "{}");
  const fs::path run = make_run("a");
  link(run, "pretrain", key + ".partial");
  link(run, "finetune", other_key);
  fs::create_directory_symlink("/nowhere", run / "mine");
  const auto runs = find_runs({run / ""});
  ASSERT_EQ(runs.size(), 1U);
  EXPECT_EQ(runs[0].name, "a");
  ASSERT_EQ(runs[0].logs.size(), 3U);
  EXPECT_EQ(runs[0].logs[0].name(), "finetune/repeat-9");
  EXPECT_EQ(runs[0].logs[1].name(), "finetune/repeat-10");
  EXPECT_TRUE(runs[0].logs[1].finished);
  EXPECT_EQ(runs[0].logs[2].name(), "pretrain");
  EXPECT_EQ(runs[0].logs[2].key, key);
  EXPECT_FALSE(runs[0].logs[2].finished);
}

TEST_F(Runs, FolderOfRunsHasAllOfThem) {
  make_run("b");
  make_run("a");
  fs::create_directories(folder_.path() / "notes");
  const auto runs = find_runs({folder_.path(), folder_.path() / "a"});
  ASSERT_EQ(runs.size(), 3U);
  EXPECT_EQ(runs[0].name, "a");
  EXPECT_EQ(runs[1].name, "b");
  EXPECT_EQ(runs[2].name, "a (2)");
}

TEST_F(Runs, OtherFoldersAreRefused) {
  EXPECT_THROW(find_runs({folder_.path() / "none"}), Error);
  EXPECT_THROW(find_runs({folder_.path()}), Error);
}

}  // namespace
}  // namespace bissl::host::test
