#include "store/run_folder.h"

#include "core/store/failing_disk.h"
#include "store/run_results.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

class Run : public testing::Test {
 protected:
  TemporaryFolder folder_;
  fs::path runs_ = folder_.path() / "runs";
};

TEST_F(Run, HoldsLockResultsAndLinks) {
  const fs::path stage = folder_.path() / "store" / "abc";
  write_file(stage / "weights", "w");
  const RunFolder run(runs_, "first");
  EXPECT_EQ(run.path(), runs_ / "first");
  run.write_lock("seed = 1\n");
  run.write_results({.pipeline = "p", .seed = 3});
  run.link_stage("pretrain", stage);
  EXPECT_EQ(listing(run.path()), "pipeline.lock.toml pretrain results.json");
  EXPECT_EQ(read_file(run.path() / "pipeline.lock.toml"), "seed = 1\n");
  EXPECT_EQ(read_run_results(run.path()).seed, 3U);
  EXPECT_EQ(fs::read_symlink(run.path() / "pretrain"), "../../store/abc");
  EXPECT_EQ(read_file(run.path() / "pretrain" / "weights"), "w");

  // All of it can be moved together.
  TemporaryFolder elsewhere;
  fs::rename(folder_.path() / "runs", elsewhere.path() / "runs");
  fs::rename(folder_.path() / "store", elsewhere.path() / "store");
  EXPECT_EQ(read_file(elsewhere.path() / "runs" / "first" / "pretrain" / "weights"), "w");
}

TEST_F(Run, RepeatingItReplacesEverything) {
  const RunFolder run(runs_, "first");
  run.write_lock("a");
  run.link_stage("pretrain", folder_.path() / "store" / "one");
  const RunFolder again(runs_, "first");
  again.write_lock("b");
  again.link_stage("pretrain", folder_.path() / "store" / "two");
  EXPECT_EQ(read_file(run.path() / "pipeline.lock.toml"), "b");
  EXPECT_EQ(fs::read_symlink(run.path() / "pretrain"), "../../store/two");
  EXPECT_EQ(listing(run.path()), "pipeline.lock.toml pretrain");
}

TEST_F(Run, LinksAreRightThroughLinkedFolders) {
  write_file(folder_.path() / "store" / "abc" / "weights", "w");
  fs::create_directories(folder_.path() / "far" / "away" / "runs");
  fs::create_directory_symlink(folder_.path() / "far" / "away" / "runs", runs_);
  const RunFolder run(runs_, "first");
  run.link_stage("pretrain", folder_.path() / "store" / "abc");
  EXPECT_EQ(read_file(run.path() / "pretrain" / "weights"), "w");
}

TEST_F(Run, KeepsOnlyWhatIsOfTheStages) {
  const std::string one(32, 'a');
  const std::string two(32, 'b');
  const RunFolder run(runs_, "first");
  for (const char* name : {"pretrain", "ft", "gone"}) {
    run.link_stage(name,
                   folder_.path() / "store" / (name == std::string("ft") ? two + ".partial" : one));
  }
  run.link_stage("mine", folder_.path() / "notes");
  write_file(run.path() / "text", "x");
  RunResults results{.pipeline = "p", .seed = 1};
  for (const char* name : {"pretrain", "ft", "gone"}) {
    results.stages[name].key = one;
  }
  run.write_results(results);
  run.keep_only({{"pretrain", one}, {"ft", two}});
  EXPECT_EQ(listing(run.path()), "ft mine pretrain results.json text");
  std::erase_if(results.stages, [](const auto& stage) { return stage.first != "pretrain"; });
  EXPECT_EQ(read_run_results(run.path()).to_json(), results.to_json());
  run.keep_only({{"pretrain", two}});
  EXPECT_EQ(listing(run.path()), "mine text");
  for (const char* content : {"", "[]", "{\"stages\": []}"}) {
    write_file(run.path() / "results.json", content);
    run.keep_only({{"pretrain", two}});
    EXPECT_EQ(listing(run.path()), "mine text") << content;
  }
  RunFolder::clear(run.path());
  EXPECT_EQ(listing(run.path()), "mine text");
  const RunFolder other(runs_, "second");
  other.write_lock("x");
  other.link_stage("pretrain", folder_.path() / "store" / one);
  RunFolder::clear(other.path());
  EXPECT_FALSE(fs::exists(other.path()));
}

TEST_F(Run, DeletesNothingThatIsInTheWay) {
  const RunFolder run(runs_, "first");
  write_file(run.path() / "pretrain" / "mine", "x");
  EXPECT_EQ(error_of([&] { run.link_stage("pretrain", folder_.path() / "store"); }),
            "run: cannot make the link " + (run.path() / "pretrain").string() +
                ": something that is no link has this name. Move it away, or give the run another "
                "name");
  EXPECT_EQ(read_file(run.path() / "pretrain" / "mine"), "x");

  write_file(run.path() / "results.json" / "mine", "x");
  EXPECT_EQ(error_of([&] { run.write_results({}); }),
            "run: cannot write " + (run.path() / "results.json").string() + ": Is a directory");
  EXPECT_EQ(listing(run.path()), "pretrain results.json");

  write_file(runs_ / "second", "x");
  EXPECT_TRUE(error_of([&] {
                RunFolder(runs_, "second");
              }).starts_with("run: cannot make the folder " + (runs_ / "second").string()));
  EXPECT_EQ(read_file(runs_ / "second"), "x");
}

TEST_F(Run, RefusesNamesThatLeaveTheFolder) {
  for (const char* name : {"", ".", "..", ".hidden", "a/b", "/etc"}) {
    const std::string rest = std::string(" name \"") + name +
                             "\" cannot serve as a folder's: it must not be empty, start with a "
                             "dot or hold a slash";
    EXPECT_EQ(error_of([&] { RunFolder(runs_, name); }), "input: the run's" + rest);
    EXPECT_EQ(error_of([&] { RunFolder(runs_, "run").link_stage(name, runs_); }),
              "input: the stage's" + rest);
  }
  EXPECT_EQ(error_of([&] { RunFolder(runs_, "run").link_stage("results.json", runs_); }),
            "input: the stage's name \"results.json\" is that of a file of the run");
}

TEST_F(Run, ReadOnlyFolderIsAnError) {
  fs::permissions(folder_.path(), fs::perms(0755));
  const RunFolder run(runs_, "first");
  fs::permissions(run.path(), fs::perms(0555));
  std::string link_error;
  std::string lock_error;
  as_ordinary_user([&] {
    link_error = error_of([&] { run.link_stage("pretrain", runs_); });
    lock_error = error_of([&] { run.write_lock("x"); });
  });
  const std::string reason = ": Permission denied. Allow writing there, or choose another folder";
  EXPECT_EQ(link_error, "run: cannot write " + (run.path() / "pretrain").string() + reason);
  EXPECT_EQ(lock_error,
            "run: cannot write " + (run.path() / "pipeline.lock.toml").string() + reason);
  fs::permissions(run.path(), fs::perms(0755));
}

}  // namespace
}  // namespace bissl::host::test
