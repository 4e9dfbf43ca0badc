#include "store/stage_store.h"

#include "base/posix_file.h"
#include "core/store/failing_disk.h"
#include "store/checkpoint.h"
#include "store/references.h"
#include "store/stage_record.h"
#include "store/store_entries.h"
#include "support/temporary_folder.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

const std::string key = "00112233445566778899aabbccddeeff";

class Store : public testing::Test {
 protected:
  StoreListener listener() {
    return {[this](const std::string& text) { warnings_.push_back(text); },
            [this](const std::string& text) { waits_.push_back(text); },
            {}};
  }
  void publish_example(StageStore& store) {
    StageWork work = store.begin(key, {{"kind", "pretrain"}});
    write_file(work.folder() / "weights.safetensors", "weights");
    write_file(work.folder() / "logs" / "events.jsonl", "{}\n");
    work.publish();
  }

  TemporaryFolder folder_;
  fs::path root_ = folder_.path() / "store";
  std::vector<std::string> warnings_;
  std::vector<std::string> waits_;
};

/// A child process that begins the stage, says so, and publishes once it is asked to.
class OtherProcess {
 public:
  OtherProcess(const fs::path& root, bool publishes) {
    int said[2];
    int told[2];
    if (pipe(said) != 0 || pipe(told) != 0) {
      throw std::runtime_error("cannot make a pipe");
    }
    child_ = fork();
    if (child_ == 0) {
      close(told[1]);
      try {
        StageStore store(root);
        StageWork work = store.begin(key, "from the child");
        write_file(work.folder() / "result", "from the child");
        char byte = 'x';
        if (write(said[1], &byte, 1) != 1 || read(told[0], &byte, 1) < 0) {
          _exit(1);
        }
        if (publishes) {
          work.publish();
        }
        _exit(0);  // without unlocking: as if killed
      } catch (...) {
        _exit(1);
      }
    }
    close(told[0]);
    close(said[1]);
    char byte = 0;
    ready_ = read(said[0], &byte, 1) == 1;
    close(said[0]);
    go_ = FileDescriptor(told[1]);
  }
  ~OtherProcess() {
    go_.close();
    if (child_ > 0) {
      waitpid(child_, nullptr, 0);
    }
  }

  pid_t id() const { return child_; }
  bool ready() const { return ready_; }
  void go_on() { go_.close(); }

 private:
  pid_t child_ = -1;
  bool ready_ = false;
  FileDescriptor go_;
};

TEST_F(Store, KeepsAFinishedStage) {
  StageStore store(root_, listener());
  EXPECT_FALSE(store.find(key));
  {
    StageWork work = store.begin(key, {{"kind", "pretrain"}});
    EXPECT_FALSE(work.finished());
    EXPECT_EQ(work.folder(), root_ / (key + ".partial"));
    EXPECT_EQ(listing(root_), key + ".lock " + key + ".partial store.json");
    write_file(work.folder() / "weights.safetensors", "weights");
    EXPECT_FALSE(store.find(key));
    work.publish();
    EXPECT_TRUE(work.finished());
    EXPECT_EQ(work.folder(), root_ / key);
  }
  EXPECT_EQ(store.find(key), root_ / key);
  EXPECT_EQ(store.verify(key), std::nullopt);
  EXPECT_EQ(listing(root_), key + " store.json");
  EXPECT_EQ(read_file(root_ / key / "weights.safetensors"), "weights");
  EXPECT_TRUE(warnings_.empty());

  StageWork again = StageStore(root_).begin(key, {});
  EXPECT_TRUE(again.finished());
  EXPECT_EQ(again.folder(), root_ / key);
  EXPECT_EQ(listing(root_), key + " store.json");
}

TEST_F(Store, RecordTellsKeyDescriptionAndFiles) {
  StageStore store(root_);
  publish_example(store);
  const StageRecord record = read_stage_record(root_ / key);
  EXPECT_EQ(record.key, key);
  EXPECT_EQ(record.description, (nlohmann::json{{"kind", "pretrain"}}));
  ASSERT_EQ(record.files.size(), 2u);
  EXPECT_EQ(record.files.at("weights.safetensors").size, 7u);
  EXPECT_EQ(record.files.at("logs/events.jsonl").size, 3u);
  const nlohmann::json json = nlohmann::json::parse(read_file(root_ / key / "stage.json"));
  EXPECT_EQ(json["format"], 1);
}

TEST_F(Store, InterruptedStageGoesOnInItsFolder) {
  StageStore store(root_);
  {
    const StageWork work = store.begin(key, {});
    save_checkpoint(work.folder(), {{}, {{"epoch", 2}}});
    write_file(work.folder() / "work.json", "{}");
    write_file(work.folder() / ".bissl-1-0.tmp", "of a killed process");
  }
  EXPECT_FALSE(store.find(key));
  EXPECT_EQ(listing(root_), key + ".partial store.json");
  StageWork work = store.begin(key, {});
  EXPECT_FALSE(work.finished());
  EXPECT_EQ(listing(work.folder()), "checkpoint.safetensors work.json");
  EXPECT_EQ(load_checkpoint(work.folder())->state["epoch"], 2);
  work.publish();
  EXPECT_EQ(listing(*store.find(key)), "stage.json");
}

TEST_F(Store, ProcessKilledAmidPublishingLeavesAFinishedStage) {
  StageStore store(root_);
  publish_example(store);
  // What publish() leaves behind just before its last step.
  fs::rename(root_ / key, root_ / (key + ".partial"));
  save_checkpoint(root_ / (key + ".partial"), {});
  write_file(root_ / (key + ".partial") / "work.json", "{}");
  const StageWork work = store.begin(key, {});
  EXPECT_TRUE(work.finished());
  EXPECT_EQ(listing(work.folder()), "logs stage.json weights.safetensors");
  EXPECT_EQ(store.find(key), root_ / key);

  fs::rename(root_ / key, root_ / (key + ".partial"));
  write_file(root_ / (key + ".partial") / "weights.safetensors", "cut");
  const StageWork redo = store.begin(key, {});
  EXPECT_FALSE(redo.finished());
  EXPECT_EQ(listing(redo.folder()), "logs weights.safetensors");
}

TEST_F(Store, DamagedStageIsReportedAndMovedAside) {
  StageStore store(root_, listener());
  publish_example(store);
  write_file(root_ / key / "weights.safetensors", "cut");
  EXPECT_FALSE(store.find(key));
  ASSERT_EQ(warnings_.size(), 1u);
  EXPECT_EQ(warnings_[0], "the finished stage " + (root_ / key).string() +
                              " is damaged (weights.safetensors has 3 bytes instead of 7). It "
                              "will be computed again; what was found is now " +
                              (root_ / (key + ".damaged")).string());
  EXPECT_EQ(listing(root_), key + ".damaged store.json");

  publish_example(store);
  fs::remove(root_ / key / "logs" / "events.jsonl");
  EXPECT_FALSE(store.begin(key, {}).finished());
  ASSERT_EQ(warnings_.size(), 2u);
  EXPECT_NE(warnings_[1].find("(logs/events.jsonl: No such file or directory)"), std::string::npos);
  EXPECT_EQ(listing(root_), key + ".damaged " + key + ".damaged-2 " + key + ".partial store.json");
}

TEST_F(Store, EveryDefectOfTheRecordIsDamage) {
  StageStore store(root_);
  publish_example(store);
  const fs::path file = root_ / key / "stage.json";
  const std::string good = read_file(file);
  const auto damage = [&](const std::string& content) {
    write_file(file, content);
    return damage_at_a_glance(root_ / key, key).value_or("none");
  };
  EXPECT_EQ(damage(good), "none");
  EXPECT_TRUE(damage("").starts_with("stage.json: it is not what this program writes"));
  EXPECT_TRUE(damage("[]").starts_with("stage.json: it is not what this program writes"));
  EXPECT_TRUE(damage(R"({"format":1})").starts_with("stage.json: it is not what this program"));
  EXPECT_EQ(damage(R"({"format":2})"),
            "stage.json: it has the format version 2, and this program reads 1");
  EXPECT_EQ(damage(R"({"format":1,"key":"other","description":0,"files":{}})"),
            "stage.json is of the stage other");
  fs::remove(file);
  EXPECT_EQ(damage_at_a_glance(root_ / key, key),
            "stage.json: cannot read " + file.string() + ": No such file or directory");
}

TEST_F(Store, ChangedContentOfTheSameSizeIsFoundAndNotUsed) {
  StageStore store(root_, listener());
  publish_example(store);
  EXPECT_EQ(store.verify(key), std::nullopt);
  write_file(root_ / key / "weights.safetensors", "Weights");
  EXPECT_TRUE(store.contains(key));  // a glance sees no contents
  const std::optional<std::string> damage = store.verify(key);
  ASSERT_TRUE(damage);
  EXPECT_TRUE(damage->starts_with("weights.safetensors has the checksum ")) << *damage;
  EXPECT_TRUE(store.verify("ffffffffffffffffffffffffffffffff"));
  EXPECT_FALSE(StageStore(root_, listener()).find(key));
  ASSERT_EQ(warnings_.size(), 1u);
  EXPECT_NE(warnings_[0].find("It will be computed again"), std::string::npos) << warnings_[0];
  EXPECT_EQ(listing(root_), key + ".damaged store.json");
}

TEST_F(Store, ListsWhatIsInIt) {
  StageStore store(root_, listener());
  publish_example(store);
  const std::string running = "00000000000000000000000000000001";
  const std::string stale = "00000000000000000000000000000002";
  const StageWork work = store.begin(running, {});
  { const StageWork left = store.begin(stale, {}); }
  fs::copy(root_ / key, root_ / (key + ".damaged-2"), fs::copy_options::recursive);
  write_file(root_ / "notes.txt", "of somebody");
  const std::vector<StoreEntry> entries = store.entries();
  ASSERT_EQ(entries.size(), 4u);
  EXPECT_EQ(entries[0].key, running);
  EXPECT_STREQ(to_string(entries[0].state), "running");
  EXPECT_STREQ(to_string(entries[1].state), "stale");
  EXPECT_EQ(entries[2].key, key);
  EXPECT_STREQ(to_string(entries[2].state), "finished");
  EXPECT_EQ(entries[2].description["kind"], "pretrain");
  EXPECT_GT(entries[2].bytes, 10u);
  EXPECT_STREQ(to_string(entries[3].state), "damaged");

  EXPECT_FALSE(store.remove(entries[0]));  // somebody computes it
  EXPECT_TRUE(store.remove(entries[1]));
  EXPECT_TRUE(store.remove(entries[2]));
  EXPECT_FALSE(store.remove(entries[2]));
  EXPECT_TRUE(store.remove(entries[3]));
  EXPECT_EQ(listing(root_), running + ".lock " + running + ".partial notes.txt store.json");
}

TEST_F(Store, EntriesAreSeenOneByOneInTheOrderOfEntries) {
  StageStore store(root_, listener());
  publish_example(store);
  const std::string other = "ffffffffffffffffffffffffffffffff";
  fs::copy(root_ / key, root_ / other, fs::copy_options::recursive);
  fs::copy(root_ / key, root_ / (key + ".damaged"), fs::copy_options::recursive);
  fs::create_directories(root_ / (other + ".partial"));
  const fs::path left = temporary_path(root_);
  fs::copy(root_ / key, left, fs::copy_options::recursive);
  write_file(temporary_path(root_), "being written");

  std::vector<std::string> seen;
  uint64_t bytes = 0;
  each_entry(store, [&](const StoreEntry& entry) {
    seen.push_back(entry.folder.filename().string());
    bytes = entry.folder == root_ / key ? entry.bytes : bytes;
  });
  std::vector<std::string> listed;
  for (const StoreEntry& entry : store.entries()) {
    listed.push_back(entry.folder.filename().string());
  }
  EXPECT_EQ(seen, listed);
  EXPECT_EQ(seen, (std::vector<std::string>{key, key + ".damaged", other, other + ".partial"}));
  EXPECT_EQ(finished_keys(store), (std::vector<std::string>{key, other}));
  const std::vector<fs::path> unfinished = unfinished_removals(store);
  ASSERT_EQ(unfinished.size(), 1U) << "a file is somebody's";
  EXPECT_EQ(unfinished[0].string(), left.string());
  EXPECT_EQ(bytes, bytes_in(root_ / key));
  EXPECT_GT(bytes, 10U);
}

/// Of entries that are seen in turn, the nearest description of today's form.
TEST(NearestStage, IsTheFirstOfTheFewestDifferences) {
  const auto entry = [](const char* name, const nlohmann::json& description) {
    StoreEntry one;
    one.key = name;
    one.description = description;
    return one;
  };
  const auto described = [](int64_t seed, int64_t batch) {
    return nlohmann::json{{"format", 2}, {"kind", "knn"}, {"seed", seed}, {"batch", batch}};
  };
  NearestStage search(described(1, 8));
  EXPECT_FALSE(search.nearest());
  search.look_at(entry("both", described(2, 9)));
  search.look_at(entry("seed", described(2, 8)));
  search.look_at(entry("batch", described(1, 9)));
  StoreEntry stale = entry("stale", described(1, 8));
  stale.state = StoreEntry::State::stale;
  search.look_at(stale);
  nlohmann::json of_another_kind = described(1, 8);
  of_another_kind["kind"] = "pretrain";
  search.look_at(entry("kind", of_another_kind));
  EXPECT_FALSE(search.saw_other_forms());
  nlohmann::json older = described(1, 8);
  older.erase("format");
  search.look_at(entry("older", older));
  EXPECT_TRUE(search.saw_other_forms());
  ASSERT_TRUE(search.nearest());
  EXPECT_EQ(search.nearest()->key, "seed");
  ASSERT_EQ(search.nearest()->differences.size(), 1U);
  EXPECT_EQ(search.nearest()->differences[0].path, "seed");
}

TEST_F(Store, TryBeginDoesNotWait) {
  StageStore(root_, {});
  OtherProcess other(root_, true);
  ASSERT_TRUE(other.ready());
  StageStore store(root_, listener());
  EXPECT_FALSE(store.try_begin(key, {}));
  EXPECT_TRUE(store.is_running(key));
  EXPECT_TRUE(store.is_begun(key));
  other.go_on();
  StageWork work = store.begin(key, {});
  EXPECT_TRUE(work.finished());
  EXPECT_FALSE(store.is_running(key));
  EXPECT_TRUE(store.try_begin(key, {})->finished());
}

TEST_F(Store, AnAbandonedStageOfAnotherMachineIsRemovedAfterALook) {
  for (const auto ahead :
       {std::chrono::hours(-1), std::chrono::hours(1), std::chrono::hours(17520)}) {
    const fs::path root = folder_.path() / "machines";
    ClaimPolicy here;
    here.lease = std::chrono::milliseconds(600);
    std::vector<std::string> waits;
    StageStore store(root,
                     {.warn = {},
                      .waiting = [&](const std::string& text) { waits.push_back(text); },
                      .while_waiting = {}},
                     here);
    fs::create_directories(root / (key + ".partial"));
    const fs::path lock = root / (key + ".lock");
    write_file(lock, R"({"machine":"another","host":"elsewhere","process":77})");
    fs::last_write_time(lock, fs::file_time_type::clock::now() + ahead);
    const std::vector<StoreEntry> entries = store.entries();
    ASSERT_EQ(entries.size(), 1U);
    EXPECT_EQ(entries[0].state, StoreEntry::State::stale);

    // A machine that lives, whatever its clock says, keeps its stage.
    std::atomic<bool> done = false;
    std::thread renewing([&] {
      for (int i = 1; !done; ++i) {
        fs::last_write_time(
            lock, fs::file_time_type::clock::now() + ahead + std::chrono::milliseconds(i));
        std::this_thread::sleep_for(std::chrono::milliseconds(40));
      }
    });
    EXPECT_TRUE(store.remove(entries).empty());
    done = true;
    renewing.join();
    EXPECT_TRUE(fs::exists(entries[0].folder));

    EXPECT_EQ(store.remove(entries).size(), 1U);
    EXPECT_FALSE(fs::exists(entries[0].folder));
    EXPECT_FALSE(fs::exists(lock));
    ASSERT_FALSE(waits.empty());
    EXPECT_EQ(waits[0], "watching for 0.3 seconds whether another machine renews its claims");
  }
}

TEST_F(Store, OtherVersionOrOtherFolderIsRefused) {
  write_file(root_ / "store.json", "{\"format\": 7}");
  EXPECT_EQ(error_of([&] { StageStore store(root_); }),
            "input: the store " + root_.string() +
                " has the format version 7, and this program reads and writes 1. Choose another "
                "folder for the store, or use the program that made it");
  for (const char* content : {"", "[]", "{}", "{\"format\":\"1\"}"}) {
    write_file(root_ / "store.json", content);
    EXPECT_EQ(error_of([&] { StageStore store(root_); }),
              "input: " + (root_ / "store.json").string() +
                  " is not what this program writes: {\"format\": 1} was expected. If the folder "
                  "holds no store, choose another one");
  }
  EXPECT_EQ(listing(root_), "store.json");
}

TEST_F(Store, RefusesWhatIsNoKey) {
  StageStore store(root_);
  for (const std::string& wrong : {std::string(), std::string("../x"), std::string(32, 'A'),
                                   std::string(31, 'a'), std::string(33, 'a')}) {
    const std::string expected = "input: \"" + wrong +
                                 "\" is not the key of a stage: that has 32 lower-case hexadecimal "
                                 "digits";
    EXPECT_EQ(error_of([&] { store.find(wrong); }), expected);
    EXPECT_EQ(error_of([&] { store.begin(wrong, {}); }), expected);
    EXPECT_EQ(error_of([&] { static_cast<void>(store.verify(wrong)); }), expected);
  }
}

TEST_F(Store, FileInThePlaceOfTheStoreOrAStageIsAnError) {
  write_file(root_, "x");
  EXPECT_TRUE(error_of([&] {
                StageStore store(root_);
              }).starts_with("run: cannot make the folder " + root_.string() + ": "));
  fs::remove(root_);
  StageStore store(root_);
  write_file(root_ / (key + ".partial"), "x");
  EXPECT_TRUE(error_of([&] {
                store.begin(key, {});
              }).starts_with("run: cannot make the folder " + root_.string()));
  EXPECT_EQ(read_file(root_ / (key + ".partial")), "x");
  EXPECT_EQ(listing(root_), key + ".partial store.json");
}

TEST_F(Store, ReadOnlyStoreServesFinishedStages) {
  fs::permissions(folder_.path(), fs::perms(0755));
  {
    StageStore store(root_);
    publish_example(store);
  }
  fs::permissions(root_, fs::perms(0555));
  std::optional<fs::path> found;
  std::string error;
  as_ordinary_user([&] {
    StageStore store(root_, listener());
    found = store.find(key);
    error = error_of([&] { store.begin("ffffffffffffffffffffffffffffffff", {}); });
  });
  EXPECT_EQ(found, root_ / key);
  EXPECT_EQ(error, "run: cannot write " +
                       (root_ / "ffffffffffffffffffffffffffffffff.lock").string() +
                       ": Permission denied. Allow writing there, or choose another folder");
  write_file(root_ / key / "weights.safetensors", "cut");
  as_ordinary_user([&] { found = StageStore(root_, listener()).find(key); });
  EXPECT_FALSE(found);
  ASSERT_EQ(warnings_.size(), 1u);
  EXPECT_EQ(warnings_[0], "the finished stage " + (root_ / key).string() +
                              " is damaged (weights.safetensors has 3 bytes instead of 7) and will "
                              "not be used");
  fs::permissions(root_, fs::perms(0755));
}

TEST_F(Store, FullDiskIsAnErrorAndNothingIsPublished) {
  fs::create_directories(root_);
  const std::string answer = on_small_disk(root_, 64 << 10, [&] {
    StageStore store(root_);
    StageWork work = store.begin(key, {});
    const FileDescriptor data(open((work.folder() / "data").c_str(), O_WRONLY | O_CREAT, 0666));
    while (write(data.get(), std::string(4096, 'x').data(), 4096) > 0) {
    }
    const std::string error = error_of([&] { work.publish(); });
    return error + "|" + (store.find(key) ? "found" : "missing") + "|" + listing(work.folder());
  });
  if (answer == "unavailable") {
    GTEST_SKIP() << "a small file system cannot be mounted here";
  }
  EXPECT_EQ(answer, "run: cannot write " + (root_ / (key + ".partial") / "stage.json").string() +
                        ": No space left on device. Free some space there, or choose another "
                        "folder|missing|data");
}

TEST_F(Store, LinksAreNotPublished) {
  StageStore store(root_);
  StageWork work = store.begin(key, {});
  fs::create_symlink("/", work.folder() / "link");
  EXPECT_EQ(error_of([&] { work.publish(); }),
            "run: " + (work.folder() / "link").string() +
                " is neither a file nor a folder; a finished stage may hold nothing else");
  fs::remove(work.folder() / "link");
  work.publish();
  EXPECT_TRUE(store.find(key));
}

TEST_F(Store, SecondProcessWaitsAndFindsTheFinishedStage) {
  StageStore(root_, {});
  OtherProcess other(root_, true);
  ASSERT_TRUE(other.ready());
  int looks = 0;
  StoreListener listener = this->listener();
  listener.while_waiting = [&] {
    if (++looks == 3) {
      other.go_on();
    }
  };
  StageStore store(root_, listener);
  const StageWork work = store.begin(key, "from the parent");
  EXPECT_TRUE(work.finished());
  EXPECT_EQ(read_file(work.folder() / "result"), "from the child");
  EXPECT_EQ(read_stage_record(work.folder()).description, "from the child");
  EXPECT_GE(looks, 3);
  ASSERT_EQ(waits_.size(), 1u);
  EXPECT_EQ(waits_[0], "waiting for the stage " + key + ", which process " +
                           std::to_string(other.id()) + " is computing");
  EXPECT_EQ(listing(root_), key + " store.json");
}

TEST_F(Store, SecondProcessTakesOverWhenTheFirstIsKilled) {
  StageStore(root_, {});
  OtherProcess other(root_, false);
  ASSERT_TRUE(other.ready());
  StoreListener listener = this->listener();
  listener.while_waiting = [&] { other.go_on(); };
  StageStore store(root_, listener);
  StageWork work = store.begin(key, {});
  EXPECT_FALSE(work.finished());
  EXPECT_EQ(read_file(work.folder() / "result"), "from the child");
  work.publish();
  EXPECT_EQ(listing(root_), key + " store.json");
}

TEST_F(Store, WaitingCanBeGivenUp) {
  StageStore(root_, {});
  OtherProcess other(root_, true);
  ASSERT_TRUE(other.ready());
  StoreListener listener = this->listener();
  listener.while_waiting = [] { throw std::runtime_error("enough"); };
  StageStore store(root_, listener);
  EXPECT_THROW(store.begin(key, {}), std::runtime_error);
}

TEST_F(Store, ManyProcessesComputeAStageOnce) {
  StageStore(root_, {});
  std::vector<pid_t> children;
  for (int i = 0; i < 8; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      try {
        StageStore store(root_);
        StageWork work = store.begin(key, {});
        const bool computed = !work.finished();
        if (computed) {
          write_file(work.folder() / "result", "x");
          std::this_thread::sleep_for(std::chrono::milliseconds(50));
          work.publish();
        }
        _exit(store.find(key) ? (computed ? 1 : 0) : 2);
      } catch (...) {
        _exit(2);
      }
    }
    children.push_back(child);
  }
  int computed = 0;
  for (const pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFEXITED(status));
    ASSERT_LE(WEXITSTATUS(status), 1);
    computed += WEXITSTATUS(status);
  }
  EXPECT_EQ(computed, 1);
  EXPECT_EQ(listing(root_), key + " store.json");
}

}  // namespace
}  // namespace bissl::host::test
