#include "data/content_hashes.h"

#include "bissl/error.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <fstream>
#include <thread>
#include <utility>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

/// A folder of data whose files changed an hour ago, and one for the hashes.
class ContentHashesTest : public ::testing::Test {
 protected:
  ContentHashesTest() {
    write("a.bin", "one");
    write("train/b.bin", "two");
  }

  void write(const std::string& name, const std::string& content) {
    const fs::path file = data_ / name;
    fs::create_directories(file.parent_path());
    std::ofstream(file) << content;
    age(name, std::chrono::hours(1));
  }

  void age(const std::string& name, std::chrono::seconds age) const {
    fs::last_write_time(data_ / name, fs::file_time_type::clock::now() - age);
  }

  /// Changes the content, not the size nor the time.
  void change_unseen(const std::string& name, const std::string& content) const {
    const auto time = fs::last_write_time(data_ / name);
    std::ofstream(data_ / name) << content;
    fs::last_write_time(data_ / name, time);
  }

  std::vector<DataFile> files(const fs::path& folder) const {
    return {{"a.bin", (folder / "a.bin").string()},
            {"train/b.bin", (folder / "train/b.bin").string()}};
  }

  std::string fingerprint(bool again = false) const {
    return ContentHashes(cache_, again).fingerprint(files(data_));
  }

  /// Read from the files, whatever is kept.
  std::string true_fingerprint() const { return fingerprint_of_files(files(data_)); }

  const test::TemporaryFolder temporary_;
  const fs::path data_ = temporary_.path() / "data";
  const fs::path cache_ = temporary_.path() / "cache" / "hashes";
};

TEST_F(ContentHashesTest, AreThoseOfTheContent) {
  EXPECT_EQ(fingerprint(), true_fingerprint());
  EXPECT_EQ(fingerprint(), true_fingerprint()) << "from what is kept";
  write("a.bin", "new");
  EXPECT_EQ(fingerprint(), true_fingerprint()) << "the time is another";
}

TEST_F(ContentHashesTest, AreTakenFromWhatIsKept) {
  const std::string before = fingerprint();
  change_unseen("a.bin", "ONE");
  EXPECT_EQ(fingerprint(), before) << "a second reading would have seen the change";
  EXPECT_NE(fingerprint(), true_fingerprint());
  EXPECT_EQ(fingerprint(/*again=*/true), true_fingerprint());
  EXPECT_EQ(fingerprint(), true_fingerprint()) << "what was found is kept";
}

/// Many files, of which some change: what is kept of the others stays.
TEST_F(ContentHashesTest, KeepsThoseOfManyFilesOfWhichSomeChange) {
  class Many : public FileSequence {
   public:
    explicit Many(fs::path folder) : folder_(std::move(folder)) {}
    int64_t file_count() const override { return 300; }
    DataFile data_file(int64_t place) const override {
      const std::string name = fmt::format("{:03}/../{:03}/x", place, place);
      return {name, (folder_ / name).string()};
    }

   private:
    fs::path folder_;
  };
  for (int i = 0; i < 300; ++i) {
    write(fmt::format("{:03}/x", i), "c" + std::to_string(i));
  }
  const Many many(data_);
  const std::string before = ContentHashes(cache_).fingerprint(many);
  EXPECT_EQ(before, fingerprint_of_sequence(many));
  change_unseen("007/x", "C7");
  write("123/x", "long");
  const std::string after = ContentHashes(cache_).fingerprint(many);
  EXPECT_NE(after, before) << "one has another time";
  EXPECT_NE(after, fingerprint_of_sequence(many)) << "the other is not read again";
  fs::remove(data_ / "299/x");
  EXPECT_THROW(ContentHashes(cache_).fingerprint(many), Error);
  write("299/x", "c299");
  EXPECT_EQ(ContentHashes(cache_).fingerprint(many), after);
  EXPECT_EQ(ContentHashes(cache_, /*again=*/true).fingerprint(many), fingerprint_of_sequence(many));
  EXPECT_EQ(ContentHashes(cache_).fingerprint(many), fingerprint_of_sequence(many));
}

TEST_F(ContentHashesTest, NamesWithoutOrderAreTheDatasetsFault) {
  class Wrong : public FileSequence {
   public:
    explicit Wrong(std::string file) : file_(std::move(file)) {}
    int64_t file_count() const override { return 2; }
    DataFile data_file(int64_t place) const override { return {place == 0 ? "b" : "a", file_}; }

   private:
    std::string file_;
  };
  try {
    ContentHashes(cache_).fingerprint(Wrong((data_ / "a.bin").string()));
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::run);
  }
}

TEST_F(ContentHashesTest, SizeAndTimeTellAChange) {
  fingerprint();
  change_unseen("a.bin", "longer");
  EXPECT_EQ(fingerprint(), true_fingerprint());
  change_unseen("train/b.bin", "TWO");
  age("train/b.bin", std::chrono::hours(2));
  EXPECT_EQ(fingerprint(), true_fingerprint());
}

TEST_F(ContentHashesTest, AFileThatHasJustChangedIsReadAgain) {
  age("a.bin", std::chrono::seconds(0));
  fingerprint();
  change_unseen("a.bin", "ONE");
  EXPECT_EQ(fingerprint(), true_fingerprint());
}

TEST_F(ContentHashesTest, DoNotDependOnThePlace) {
  const fs::path moved = temporary_.path() / "elsewhere" / "data";
  fs::create_directories(moved.parent_path());
  fs::copy(data_, moved, fs::copy_options::recursive);
  EXPECT_EQ(ContentHashes(cache_).fingerprint(files(moved)), fingerprint());
  std::vector<DataFile> reversed = files(data_);
  std::swap(reversed[0], reversed[1]);
  EXPECT_EQ(ContentHashes(cache_).fingerprint(reversed), fingerprint());
  std::vector<DataFile> renamed = files(data_);
  renamed[0].name = "c.bin";
  EXPECT_NE(ContentHashes(cache_).fingerprint(renamed), fingerprint());
}

TEST_F(ContentHashesTest, SetsOfFilesInOneFolderShareWhatIsKept) {
  const std::vector<DataFile> one = {files(data_)[0]};
  write("b.bin", "three");
  const std::vector<DataFile> other = {{"b.bin", (data_ / "b.bin").string()}};
  ContentHashes(cache_).fingerprint(one);
  ContentHashes(cache_).fingerprint(other);
  change_unseen("a.bin", "ONE");
  EXPECT_NE(ContentHashes(cache_).fingerprint(one), fingerprint_of_files(one))
      << "the other set has not taken the place of this one";
}

TEST_F(ContentHashesTest, ADamagedRecordIsNotBelieved) {
  fingerprint();
  for (const std::string content :
       {"", "something else\n", "bissl content hashes 1\n3 x y\n\n-1 5 zz a\n"}) {
    for (const auto& record : fs::directory_iterator(cache_)) {
      std::ofstream(record.path()) << content;
    }
    EXPECT_EQ(fingerprint(), true_fingerprint()) << content;
  }
}

TEST_F(ContentHashesTest, APlaceThatCannotBeWrittenIsNoFault) {
  std::ofstream(temporary_.path() / "file") << "x";
  const fs::path nowhere = temporary_.path() / "file" / "hashes";
  EXPECT_EQ(ContentHashes(nowhere).fingerprint(files(data_)), true_fingerprint());
  EXPECT_EQ(ContentHashes("").fingerprint(files(data_)), true_fingerprint());
  EXPECT_EQ(ContentHashes(cache_).fingerprint(std::vector<DataFile>()),
            fingerprint_of_files(std::vector<DataFile>()));
}

TEST_F(ContentHashesTest, SeveralAtOnceLoseNothing) {
  std::vector<std::thread> threads;
  std::vector<std::string> found(4);
  for (std::string& text : found) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) {
        text = fingerprint(/*again=*/true);
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(found, std::vector<std::string>(4, true_fingerprint()));
  change_unseen("a.bin", "ONE");
  EXPECT_NE(fingerprint(), true_fingerprint()) << "a whole record is kept";
}

TEST_F(ContentHashesTest, AMissingFileIsWrongInput) {
  fs::remove(data_ / "a.bin");
  try {
    fingerprint();
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_NE(std::string(error.what()).find("a.bin: cannot be read: No such file"),
              std::string::npos)
        << error.what();
  }
}

/// A device may have no end, and opening a pipe that nobody writes to may wait for ever.
TEST_F(ContentHashesTest, WhatIsNoFileIsWrongInputAndIsNotWaitedFor) {
  const std::string pipe = (temporary_.path() / "pipe").string();
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const std::vector<std::pair<std::string, std::string>> cases = {{"/dev/null", "a device"},
                                                                  {"/dev/zero", "a device"},
                                                                  {data_.string(), "a folder"},
                                                                  {pipe, "a pipe"}};
  for (const auto& [path, kind] : cases) {
    try {
      ContentHashes(cache_).fingerprint(std::vector<DataFile>{{"a.bin", path}});
      FAIL() << path << " has no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
      EXPECT_EQ(std::string(error.what()),
                path + ": cannot be read: it is " + kind + "; expected a file");
    }
  }
}

/// A dataset may have samples of files that cannot be read: in whose place others are taken.
TEST_F(ContentHashesTest, AFileWithoutAPathIsKnownByItsName) {
  const auto both = [&](const std::vector<DataFile>& list) {
    const std::string fingerprint = ContentHashes(cache_).fingerprint(list);
    EXPECT_EQ(fingerprint, fingerprint_of_files(list));
    EXPECT_EQ(fingerprint, ContentHashes("").fingerprint(list));
    return fingerprint;
  };
  std::vector<DataFile> list = files(data_);
  const std::string whole = both(list);
  list[0].path.clear();
  const std::string without = both(list);
  EXPECT_NE(without, whole);
  list[0].name = "b.bin";
  EXPECT_NE(both(list), without);
  list.erase(list.begin());
  EXPECT_NE(both(list), without);
  both({{"a", ""}, {"b", ""}});
}

TEST_F(ContentHashesTest, TwoFilesOfOneNameAreTheDatasetsFault) {
  EXPECT_THROW(fingerprint_of_files({{"x", "/a"}, {"x", "/b"}}), Error);
}

}  // namespace
}  // namespace bissl::host
