#include "stages/progress_copy.h"

#include "bissl/error.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>

namespace bissl::host {
namespace {

using test::read_file;
using test::TemporaryFolder;
using test::write_file;

using namespace std::chrono_literals;

/// What a stage of two repeats has written, the first of which is through.
class ProgressCopy : public ::testing::Test {
 protected:
  ProgressCopy() {
    std::filesystem::create_directories(from_.path() / "repeat-0");
    std::filesystem::create_directories(from_.path() / "repeat-1");
    write_file(from_.path() / "repeat-0" / "results.json", "{}");
    write_file(from_.path() / "repeat-1" / "checkpoint.safetensors", "weights");
    write_file(from_.path() / "repeat-1" / "events.jsonl", "events");
  }

  TemporaryFolder from_;
  TemporaryFolder to_;
  const nlohmann::json all_ = {{"repeat-0/results.json", 2},
                               {"repeat-1/checkpoint.safetensors", 7}};
};

TEST_F(ProgressCopy, HoldsWhatTheStageContinuesFrom) {
  EXPECT_EQ(progress_in(from_.path()), all_);
  copy_progress(from_.path(), to_.path(), all_, 0ms);
  EXPECT_EQ(progress_in(to_.path()), all_);
  EXPECT_EQ(read_file(to_.path() / "repeat-1" / "checkpoint.safetensors"), "weights");
  EXPECT_FALSE(std::filesystem::exists(to_.path() / "repeat-1" / "events.jsonl"));
}

TEST_F(ProgressCopy, IsNothingForAFolderThatIsNotThere) {
  EXPECT_EQ(progress_in(from_.path() / "none"), nlohmann::json::object());
}

TEST_F(ProgressCopy, WaitsForFilesThatShowLate) {
  std::filesystem::remove(from_.path() / "repeat-0" / "results.json");
  std::thread other([&] {
    std::this_thread::sleep_for(100ms);
    write_file(from_.path() / "repeat-0" / "results.json", "{}");
  });
  copy_progress(from_.path(), to_.path(), all_, 10s);
  other.join();
  EXPECT_EQ(progress_in(to_.path()), all_);
}

/// It would train repeat 0 while the others train repeat 1.
TEST_F(ProgressCopy, IsRefusedWithLessThanProcess0Has) {
  std::filesystem::remove(from_.path() / "repeat-0" / "results.json");
  try {
    copy_progress(from_.path(), to_.path(), all_, 0ms);
    ADD_FAILURE() << "not refused";
  } catch (const Error& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("process 0 continues from repeat-0/results.json (2 bytes), "
                        "repeat-1/checkpoint.safetensors (7 bytes) in "),
              std::string::npos)
        << text;
    EXPECT_NE(text.find("this process finds repeat-1/checkpoint.safetensors (7 bytes)"),
              std::string::npos)
        << text;
  }
}

}  // namespace
}  // namespace bissl::host
