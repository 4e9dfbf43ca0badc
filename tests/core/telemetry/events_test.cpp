#include "telemetry/events.h"

#include "core/store/failing_disk.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <limits>

namespace bissl::host::test {
namespace {

class Events : public testing::Test {
 protected:
  TemporaryFolder folder_;
  std::filesystem::path file_ = folder_.path() / "events.jsonl";
};

TEST_F(Events, AreOneObjectALine) {
  EventLog log(file_);
  EXPECT_EQ(log.position(), 0u);
  log.write({{"loss", 0.5}, {"step", 1}});
  EXPECT_EQ(read_file(file_), "{\"loss\":0.5,\"step\":1}\n");  // before the log is closed
  log.write({{"text", "a\nb"}});
  EXPECT_EQ(read_file(file_), "{\"loss\":0.5,\"step\":1}\n{\"text\":\"a\\nb\"}\n");
  EXPECT_EQ(log.position(), read_file(file_).size());
}

TEST_F(Events, ResumedLogRepeatsNothing) {
  uint64_t position = 0;
  {
    EventLog log(file_);
    log.write({{"step", 1}});
    position = log.position();
    log.write({{"step", 2}});
  }
  EventLog log(file_, position);
  EXPECT_EQ(log.position(), position);
  log.write({{"step", 2}});
  log.write({{"step", 3}});
  EXPECT_EQ(read_file(file_), "{\"step\":1}\n{\"step\":2}\n{\"step\":3}\n");
}

TEST_F(Events, FreshLogStartsEmpty) {
  write_file(file_, "{\"step\":1}\n");
  EventLog log(file_);
  EXPECT_EQ(read_file(file_), "");
}

TEST_F(Events, ShorterFileIsContinuedOnANewLine) {
  write_file(file_, "{\"step\":1}\n");
  EventLog(file_, 1000).write({{"step", 9}});
  EXPECT_EQ(read_file(file_), "{\"step\":1}\n{\"step\":9}\n");
  write_file(file_, "{\"step\":1}\n{\"st");
  EventLog log(file_, 1000);
  log.write({{"step", 9}});
  EXPECT_EQ(read_file(file_), "{\"step\":1}\n{\"st\n{\"step\":9}\n");
  EXPECT_EQ(log.position(), read_file(file_).size());
}

TEST_F(Events, NumbersThatJsonLacksAreNamedBesideTheirNull) {
  const double infinity = std::numeric_limits<double>::infinity();
  EventLog log(file_);
  log.write({{"a", std::numeric_limits<double>::quiet_NaN()},
             {"b", {infinity, -infinity, 1.5}},
             {"c", {{"d", infinity}}}});
  EXPECT_EQ(read_file(file_),
            R"({"a":null,"b":[null,null,1.5],"c":{"d":null,"not_finite":{"d":"inf"}},)"
            R"("not_finite":{"a":"nan","b/0":"inf","b/1":"-inf"}})"
            "\n");
  log.write({{"a", "\xFF"}});
  EXPECT_TRUE(read_file(file_).ends_with("{\"a\":\"\xEF\xBF\xBD\"}\n"));
}

TEST_F(Events, OnlyObjectsAreEvents) {
  EventLog log(file_);
  EXPECT_EQ(error_of([&] {
              log.write({1, 2});
            }),
            "run: an event for " + file_.string() + " is array, not an object");
  EXPECT_EQ(read_file(file_), "");
}

TEST_F(Events, LineThatDoesNotFitLeavesNothing) {
  EventLog log(file_);
  log.write({{"step", 1}});
  std::string error;
  {
    const FileSizeLimit limit(100);
    error = error_of([&] { log.write({{"text", std::string(200, 'x')}}); });
  }
  EXPECT_EQ(error, "run: cannot write " + file_.string() +
                       ": File too large. The file system or a limit (ulimit -f) allows no file "
                       "of this size");
  EXPECT_EQ(read_file(file_), "{\"step\":1}\n");
  log.write({{"step", 2}});
  EXPECT_EQ(read_file(file_), "{\"step\":1}\n{\"step\":2}\n");
  EXPECT_EQ(log.position(), 22u);
}

TEST_F(Events, FullDiskLeavesWholeLines) {
  const std::string answer = on_small_disk(folder_.path(), 16 << 10, [&] {
    EventLog log(file_);
    std::string error = "no error";
    while (error == "no error") {
      error = error_of([&] { log.write({{"text", std::string(1500, 'x')}}); });
    }
    const std::string content = read_file(file_);
    return error + "|" + (content.ends_with("\"}\n") ? "whole" : "cut") + "|" +
           (content.size() == log.position() ? "same" : "different");
  });
  if (answer == "unavailable") {
    GTEST_SKIP() << "a small file system cannot be mounted here";
  }
  EXPECT_EQ(answer, "run: cannot write " + file_.string() +
                        ": No space left on device. Free some space there, or choose another "
                        "folder|whole|same");
}

TEST_F(Events, MissingFolderIsAnError) {
  EXPECT_EQ(error_of([&] { EventLog log(folder_.path() / "no" / "events.jsonl"); }),
            "run: cannot write " + (folder_.path() / "no" / "events.jsonl").string() +
                ": the folder " + (folder_.path() / "no").string() + " does not exist");
}

}  // namespace
}  // namespace bissl::host::test
