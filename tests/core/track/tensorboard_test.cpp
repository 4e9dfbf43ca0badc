#include "bissl/error.h"
#include "support/paths.h"
#include "support/temporary_folder.h"
#include "track/crc32c.h"
#include "track/tensorboard_files.h"
#include "track/tensorboard_format.h"
#include "track/tensorboard_mirror.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <regex>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

const fs::path golden = fs::path(source_folder) / "tests/reference/golden";

/// The time of tests/reference/tensorboard.py.
void set_time(const fs::path& file) {
  const std::array<timespec, 2> times = {timespec{1700000000, 250000000},
                                         timespec{1700000000, 250000000}};
  ASSERT_EQ(utimensat(AT_FDCWD, file.c_str(), times.data(), 0), 0);
}

class Tensorboard : public testing::Test {
 protected:
  void set_log(const std::string& text) const {
    write_file(log_, text);
    set_time(log_);
  }
  TensorboardMirror mirror() const { return {log_, to_, "0123abcd"}; }

  TemporaryFolder folder_;
  fs::path log_ = folder_.path() / "events.jsonl";
  fs::path to_ = folder_.path() / "tensorboard" / "pretrain";
  std::string lines_ = read_file(golden / "tensorboard.jsonl");
  std::string records_ = read_file(golden / "tensorboard.events");
};

/// The lines before the one with this number.
std::string first_lines(const std::string& lines, int count) {
  size_t end = 0;
  for (int i = 0; i < count; ++i) {
    end = lines.find('\n', end) + 1;
  }
  return lines.substr(0, end);
}

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& item : fs::directory_iterator(folder)) {
    files.push_back(item.path());
  }
  return files;
}

TEST(Crc32c, IsThatOfRfc3720) {
  EXPECT_EQ(crc32c("123456789"), 0xE3069283U);
  EXPECT_EQ(crc32c(""), 0U);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAU);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62A8AB43U);
}

TEST_F(Tensorboard, FileIsTheGoldenOneByteByByte) {
  set_log(lines_);
  TensorboardMirror one = mirror();
  EXPECT_EQ(one.update(), 8);
  EXPECT_EQ(read_file(one.file()), records_);
  EXPECT_EQ(one.file().filename(), "events.out.tfevents.1700000000.bissl.0123abcd.000");
  EXPECT_EQ(one.update(), 8);
  EXPECT_EQ(read_file(one.file()), records_);
}

TEST_F(Tensorboard, GrowsByWhatTheLogHasMore) {
  set_log("");
  TensorboardMirror one = mirror();
  for (int lines = 1; lines <= 8; ++lines) {
    set_log(first_lines(lines_, lines));
    const std::string before = fs::exists(one.file()) ? read_file(one.file()) : "";
    EXPECT_EQ(one.update(), lines);
    EXPECT_TRUE(read_file(one.file()).starts_with(before));
  }
  EXPECT_EQ(read_file(one.file()), records_);
  EXPECT_EQ(files_in(to_).size(), 1U);
}

TEST_F(Tensorboard, AnotherProcessContinuesAFileThatWasCutAnywhere) {
  set_log(lines_);
  const fs::path file = [&] {
    TensorboardMirror one = mirror();
    one.update();
    return one.file();
  }();
  for (size_t size = 0; size < records_.size(); ++size) {
    write_file(file, records_.substr(0, size));
    EXPECT_EQ(mirror().update(), 8) << size;
    ASSERT_EQ(read_file(file), records_) << "cut at byte " << size;
  }
}

TEST_F(Tensorboard, DamageEndsWhatIsTakenForWhole) {
  const RecordScan whole = scan_records(records_);
  ASSERT_EQ(whole.records.size(), 9U);
  EXPECT_EQ(whole.end, records_.size());
  EXPECT_FALSE(whole.records[0].has_summary);
  for (size_t record = 0; record < whole.records.size(); ++record) {
    std::string damaged = records_;
    damaged[whole.records[record].begin + 13] ^= 1;
    EXPECT_EQ(scan_records(damaged).records.size(), record);
  }
  std::string endless = records_.substr(0, whole.records[1].begin) + std::string(8, '\xff');
  EXPECT_EQ(scan_records(endless + records_).records.size(), 1U);
}

TEST_F(Tensorboard, StepsThatAreDoneAgainStandOnce) {
  set_log(lines_);
  TensorboardMirror one = mirror();
  one.update();
  const fs::path before = one.file();
  // The stage continues from a checkpoint behind its third line.
  set_log(first_lines(lines_, 3));
  EXPECT_EQ(one.update(), 3);
  EXPECT_NE(one.file(), before);
  EXPECT_GT(one.file().filename(), before.filename());
  EXPECT_EQ(files_in(to_), std::vector<fs::path>{one.file()});
  set_log(lines_);
  EXPECT_EQ(one.update(), 8);
  const RecordScan scan = scan_records(read_file(one.file()));
  ASSERT_EQ(scan.records.size(), 10U);  // the version, the word to forget, eight events
  EXPECT_FALSE(scan.records[1].has_summary);
  const size_t kept = scan_records(records_).records[1].begin;
  EXPECT_EQ(read_file(one.file()).substr(scan.records[2].begin), records_.substr(kept));
  // A program that begins now finds nothing to do.
  const std::string content = read_file(one.file());
  EXPECT_EQ(mirror().update(), 8);
  EXPECT_EQ(read_file(one.file()), content);
}

TEST_F(Tensorboard, FilesOfAnotherComputationGo) {
  set_log(lines_);
  mirror().update();
  write_file(to_ / "notes.txt", "mine");
  TensorboardMirror other(log_, to_, "ffff0000");
  EXPECT_EQ(other.update(), 8);
  EXPECT_EQ(files_in(to_).size(), 2U);
  EXPECT_EQ(read_file(to_ / "notes.txt"), "mine");
}

TEST_F(Tensorboard, WritesNothingWithoutALog) {
  EXPECT_EQ(mirror().update(), 0);
  EXPECT_FALSE(fs::exists(to_));
}

TEST_F(Tensorboard, CellsHaveTheirAxesAndMetrics) {
  TrackedRun run{.name = "grid/a", .folder = folder_.path() / "cells" / "a", .logs = {}};
  run.sweep = folder_.path();
  run.axes = {{"lr", "0.25"}, {"adapt", "true"}, {"optimizer", "sgd"}};
  run.setting = "lr=0.25";
  run.results.emplace();
  StageResults stage;
  stage.metrics.push_back(summarised(
      {.data = "test", .metric = "top1", .higher_is_better = true, .values = {0.25, 0.75}}));
  run.results->stages["finetune"] = stage;
  TensorboardFiles files;
  const auto written = files.update({run});
  EXPECT_EQ(written.folders, std::vector<fs::path>{folder_.path() / "tensorboard"});
  const auto made = files_in(folder_.path() / "tensorboard" / "a");
  ASSERT_EQ(made.size(), 1U);
  EXPECT_EQ(read_file(made.front()), read_file(golden / "tensorboard.cell"));
}

TEST_F(Tensorboard, CellsThatShareAStageHaveItOnce) {
  set_log(lines_);
  const RunLog log{"pretrain", "", "0123abcd", true, log_};
  std::vector<TrackedRun> runs;
  for (const char* name : {"a", "b"}) {
    runs.push_back({.name = name, .folder = folder_.path() / "cells" / name, .logs = {log}});
    runs.back().sweep = folder_.path();
  }
  const auto written = TensorboardFiles().update(runs);
  EXPECT_EQ(written.logs, 1);
  EXPECT_EQ(written.events, 8);
  EXPECT_TRUE(fs::exists(folder_.path() / "tensorboard" / "a" / "pretrain"));
  EXPECT_FALSE(fs::exists(folder_.path() / "tensorboard" / "b" / "pretrain"));
}

TEST_F(Tensorboard, StageOfTheFoldersNameIsRefused) {
  set_log(lines_);
  fs::create_directory_symlink("elsewhere", folder_.path() / "tensorboard");
  const TrackedRun run{
      .name = "a", .folder = folder_.path(), .logs = {{"pretrain", "", "0123abcd", true, log_}}};
  EXPECT_THROW(TensorboardFiles().update({run}), Error);
  EXPECT_EQ(TensorboardFiles(folder_.path() / "other").update({run}).events, 8);
  EXPECT_TRUE(fs::exists(folder_.path() / "other" / "a" / "pretrain"));
}

/// What protoc makes of the data of a record.
std::string decoded(const std::string& record, const fs::path& folder) {
  write_file(folder / "message", record.substr(12, record.size() - 16));
  const std::string command = "protoc --decode=Event -I'" + std::string(source_folder) +
                              "/tests/reference' tensorboard.proto <'" +
                              (folder / "message").string() + "' >'" + (folder / "text").string() +
                              "'";
  EXPECT_EQ(std::system(command.c_str()), 0);
  return read_file(folder / "text");
}

constexpr const char* without_protoc = "Debian's package protobuf-compiler is not installed";

bool has_protoc() { return std::system("command -v protoc >/dev/null") == 0; }

TEST_F(Tensorboard, ProtocReadsTheMessages) {
  if (!has_protoc()) {
    GTEST_SKIP() << without_protoc;
  }
  const fs::path folder = folder_.path();
  EXPECT_EQ(decoded(tf_record(version_event(1.5)), folder),
            "wall_time: 1.5\nfile_version: \"brain.Event:2\"\n");
  EXPECT_EQ(decoded(tf_record(start_event(1.5, 300)), folder),
            "wall_time: 1.5\nstep: 300\nsession_log {\n  status: START\n}\n");
  EXPECT_EQ(decoded(tf_record(scalars_event(2, 70000, {{"loss", 0.25}, {"zero", 0}})), folder),
            "wall_time: 2\nstep: 70000\nsummary {\n  value {\n    tag: \"loss\"\n    simple_value: "
            "0.25\n  }\n  value {\n    tag: \"zero\"\n    simple_value: 0\n  }\n}\n");
  EXPECT_EQ(
      decoded(tf_record(images_event(2, 0, {{"views/a", 3, 200, "png"}})), folder),
      "wall_time: 2\nsummary {\n  value {\n    tag: \"views/a\"\n    image {\n      height: 3\n   "
      "   width: 200\n      colorspace: 3\n      encoded_image_string: \"png\"\n    }\n  "
      "}\n}\n");
}

/// Without spaces and line ends, of which protoc makes many.
std::string dense(std::string text) {
  text.erase(std::remove_if(text.begin(), text.end(), [](char c) { return c == ' ' || c == '\n'; }),
             text.end());
  return text;
}

TEST_F(Tensorboard, ProtocReadsHistograms) {
  if (!has_protoc()) {
    GTEST_SKIP() << without_protoc;
  }
  const EventHistogram histogram{.tag = "conv.weight",
                                 .min = -1,
                                 .max = 3,
                                 .num = 5,
                                 .sum = 0,
                                 .squares = 12.5,
                                 .limits = {0.5, 1, 3},
                                 .counts = {4, 0, 1}};
  EXPECT_EQ(dense(decoded(tf_record(scalars_event(2, 7, {}, {histogram})), folder_.path())),
            "wall_time:2step:7summary{value{tag:\"conv.weight\"histo{min:-1max:3num:5"
            "sum_squares:12.5bucket_limit:0.5bucket_limit:1bucket_limit:3bucket:4bucket:0"
            "bucket:1}}}");
}

TEST_F(Tensorboard, ProtocReadsHyperparameters) {
  if (!has_protoc()) {
    GTEST_SKIP() << without_protoc;
  }
  const std::string start =
      session_start_event(3, {{"lr", 0.5}, {"on", false}, {"name", "sgd"}}, "g");
  EXPECT_EQ(dense(decoded(tf_record(start), folder_.path())),
            "wall_time:3summary{value{tag:\"_hparams_/session_start_info\"metadata{plugin_data{"
            "plugin_name:\"hparams\"content{session_start_info{"
            "hparams{key:\"lr\"value{number_value:0.5}}hparams{key:\"name\"value{"
            "string_value:\"sgd\"}}hparams{key:\"on\"value{bool_value:false}}"
            "group_name:\"g\"start_time_secs:3}}}}}}");
  EXPECT_EQ(dense(decoded(tf_record(session_end_event(4)), folder_.path())),
            "wall_time:4summary{value{tag:\"_hparams_/session_end_info\"metadata{plugin_data{"
            "plugin_name:\"hparams\"content{session_end_info{status:STATUS_SUCCESS"
            "end_time_secs:4}}}}}}");
}

/// Every record of a log and of a cell, so that none has a field that readers do not know.
TEST_F(Tensorboard, ProtocReadsWholeFiles) {
  if (!has_protoc()) {
    GTEST_SKIP() << without_protoc;
  }
  for (const std::string& file : {records_, read_file(golden / "tensorboard.cell")}) {
    const RecordScan scan = scan_records(file);
    EXPECT_EQ(scan.end, file.size());
    for (size_t i = 0; i < scan.records.size(); ++i) {
      const uint64_t begin = scan.records[i].begin;
      const uint64_t end = i + 1 < scan.records.size() ? scan.records[i + 1].begin : scan.end;
      const std::string text = decoded(file.substr(begin, end - begin), folder_.path());
      // What has no name in the definition is shown by its number.
      EXPECT_EQ(std::regex_search(text, std::regex(R"((^|\n)\s*\d+[:{ ])")), false) << text;
      EXPECT_EQ(text.find("summary {") != std::string::npos, scan.records[i].has_summary) << text;
    }
  }
}

}  // namespace
}  // namespace bissl::host::test
