// A user's own images, from files to a score.

#include "photos.h"
#include "program.h"
#include "support/paths.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include <chrono>
#include <thread>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

/// The example pipeline beside made-up photos in the folders that it names.
class OwnImages : public testing::Test {
 protected:
  OwnImages() {
    for (int i = 0; i < 12; ++i) {
      add("train/across/" + std::to_string(i), false, i);
      add("train/upright/nested/" + std::to_string(i), true, i);
      add("train/" + std::to_string(i), i % 2 == 0, 100 + i);
      add("test/across/" + std::to_string(i), false, 200 + i);
      add("test/upright/" + std::to_string(i), true, 200 + i);
    }
    fs::copy_file(fs::path(source_folder) / "pipelines/own-images.toml", pipeline());
  }

  fs::path photos() const { return folder_.path() / "photos"; }
  fs::path pipeline() const { return folder_.path() / "own-images.toml"; }
  void add(const std::string& name, bool upright, int number) const {
    const fs::path file = photos() / (name + ".ppm");
    fs::create_directories(file.parent_path());
    write_file(file, striped_photo(24 + number % 5, 20 + number % 7, upright, number));
  }
  Outcome call(const std::string& command, const std::vector<std::string>& more = {},
               const std::map<std::string, std::string>& environment = {}) const {
    std::vector<std::string> words = {command, pipeline().string(), "--out",
                                      (folder_.path() / "runs").string()};
    for (const char* change :
         {"model.backbone.width=2", "model.backbone.stem=small", "stage.pretrain.batch=12",
          "stage.pretrain.steps=3", "stage.pretrain.augment.size=16", "stage.finetune.steps=3",
          "stage.finetune.batch=8", "stage.finetune.augment.size=16",
          "stage.finetune.evaluate.augment.size=16"}) {
      words.insert(words.end(), {"--set", change});
    }
    words.insert(words.end(), more.begin(), more.end());
    return run_bissl(words, environment);
  }

  TemporaryFolder folder_;
};

TEST_F(OwnImages, ThePipelineChecksAndRuns) {
  const Outcome check = run_bissl({"check", pipeline().string(), "--out", folder_.path().string()});
  EXPECT_EQ(check.code, 0) << check.err;
  const Outcome run = call("run", {"--json"});
  ASSERT_EQ(run.code, 0) << run.err;
  const auto metrics = nlohmann::json::parse(run.out)["stages"]["finetune"]["metrics"];
  EXPECT_GE(metrics["test"]["top1"]["mean"].get<double>(), 0.0);
}

TEST_F(OwnImages, ABrokenFileIsNamedAndCanBeSkipped) {
  const fs::path broken = photos() / "train/across/3.ppm";
  fs::resize_file(broken, 100);
  const Outcome run = call("run");
  EXPECT_EQ(run.code, 2) << run.err;
  EXPECT_NE(run.err.find(broken.string() + ": PNM: is cut short"), std::string::npos) << run.err;
  EXPECT_NE(run.err.find("own-images.toml:12:8"), std::string::npos) << run.err;
  const Outcome skipped =
      call("run", {"--set", "data.all.broken=skip", "--set", "data.labelled.broken=skip"});
  EXPECT_EQ(skipped.code, 0) << skipped.err;
  EXPECT_NE(skipped.err.find("data.all: 1 image that could not be read so far"), std::string::npos)
      << skipped.err;
}

TEST_F(OwnImages, AListedFileThatIsMissingCanBeSkipped) {
  write_file(folder_.path() / "list.csv",
             "across/1.ppm,a\nmissing.ppm,b\nupright/nested/1.ppm,b\nacross/2.ppm,a\n");
  const std::vector<std::string> listed = {
      "--set", "data.all.list=" + (folder_.path() / "list.csv").string()};
  const Outcome refused = call("check", listed);
  EXPECT_EQ(refused.code, 2) << refused.err;
  EXPECT_NE(refused.err.find("missing.ppm"), std::string::npos) << refused.err;
  std::vector<std::string> skip = listed;
  skip.insert(skip.end(), {"--set", "data.all.broken=skip"});
  const Outcome skipped = call("check", skip);
  EXPECT_EQ(skipped.code, 0) << skipped.err;
  EXPECT_NE(skipped.err.find("data.all: 1 image that could not be read so far"), std::string::npos)
      << skipped.err;
}

/// The run reads images that the check did not look at.
TEST_F(OwnImages, ImagesThatARunSkipsAreToldAtItsEnd) {
  std::vector<std::string> words = {"run", pipeline().string(), "--out",
                                    (folder_.path() / "runs").string()};
  for (const char* change :
       {"model.backbone.width=2", "model.backbone.stem=small", "stage.pretrain.batch=12",
        "stage.pretrain.steps=20", "stage.pretrain.augment.size=16", "stage.finetune.steps=3",
        "stage.finetune.batch=8", "stage.finetune.augment.size=16",
        "stage.finetune.evaluate.augment.size=16", "data.test.broken=skip"}) {
    words.insert(words.end(), {"--set", change});
  }
  BackgroundCall run(words);
  while (run.running() && !fs::is_symlink(folder_.path() / "runs/own-images/pretrain")) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  fs::resize_file(photos() / "test/across/3.ppm", 100);
  const Outcome outcome = run.wait();
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("warning: data.test: 1 image that could not be read so far"),
            std::string::npos)
      << outcome.err;
}

/// Parameters that say how files are read are no part of a folder's fingerprint.
TEST_F(OwnImages, DecodedImagesAreKeptForEachWayToReadThem) {
  const auto loss = [&](const char* channels, bool cached) {
    std::vector<std::string> words = {"--json"};
    for (const std::string data : {"data.all", "data.labelled", "data.test"}) {
      words.insert(words.end(), {"--set", data + ".channels=" + channels});
      if (cached) {
        words.insert(words.end(), {"--set", data + ".cache_pixels=64"});
      }
    }
    const Outcome run = call("run", words, {{"XDG_CACHE_HOME", (folder_.path() / "c").string()}});
    EXPECT_EQ(run.code, 0) << run.err;
    return nlohmann::json::parse(run.out)["stages"]["finetune"]["metrics"]["test"]["loss"]["mean"]
        .get<double>();
  };
  const double coloured = loss("rgb", true);
  const double gray = loss("gray", true);
  EXPECT_EQ(gray, loss("gray", false));
  EXPECT_NE(gray, coloured);
}

TEST_F(OwnImages, DecodedImagesAreListedAndRemoved) {
  const std::map<std::string, std::string> cache = {
      {"XDG_CACHE_HOME", (folder_.path() / "cache").string()}};
  const fs::path folder = folder_.path() / "cache/bissl/pixels";
  const auto pixels = [&](const std::vector<std::string>& more) {
    std::vector<std::string> words = {"store", "pixels"};
    words.insert(words.end(), more.begin(), more.end());
    const Outcome outcome = run_bissl(words, cache);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return outcome.out;
  };
  const auto pixels_json = [&](std::vector<std::string> more) {
    more.emplace_back("--json");
    return nlohmann::json::parse(pixels(more));
  };
  EXPECT_TRUE(pixels_json({})["files"].empty());
  std::vector<std::string> cached;
  for (const std::string data : {"data.all", "data.labelled", "data.test"}) {
    cached.insert(cached.end(), {"--set", data + ".cache_pixels=64"});
  }
  const Outcome check = call("check", cached, cache);
  ASSERT_EQ(check.code, 0) << check.err;

  const nlohmann::json list = pixels_json({});
  EXPECT_EQ(list["folder"], folder.string());
  ASSERT_EQ(list["files"].size(), 3U) << list.dump(2);
  uint64_t bytes = 0;
  for (const auto& file : list["files"]) {
    EXPECT_TRUE(file["complete"].get<bool>());
    EXPECT_GE(file["samples"].get<int>(), 24);
    EXPECT_EQ(fs::file_size(file["file"].get<std::string>()), file["bytes"].get<uint64_t>());
    bytes += file["bytes"].get<uint64_t>();
  }
  EXPECT_EQ(list["bytes"].get<uint64_t>(), bytes);
  const std::string table = pixels({});
  EXPECT_NE(table.find("complete"), std::string::npos) << table;
  EXPECT_NE(table.find(folder.string() + ": "), std::string::npos) << table;

  EXPECT_TRUE(pixels_json({"--prune", "--older-than", "1"})["removed"].empty());
  const fs::path oldest = list["files"][0]["file"].get<std::string>();
  fs::last_write_time(oldest, fs::file_time_type::clock::now() - std::chrono::hours(49));
  const nlohmann::json tried = pixels_json({"--prune", "--older-than", "2", "--dry-run"});
  ASSERT_EQ(tried["removed"].size(), 1U) << tried.dump(2);
  EXPECT_TRUE(tried["dry_run"].get<bool>());
  EXPECT_TRUE(fs::exists(oldest));
  pixels({"--prune", "--older-than", "2"});
  EXPECT_FALSE(fs::exists(oldest));

  // What another process is making stays.
  const fs::path begun = folder / "0123.part";
  write_file(begun, "begun");
  const int maker = ::open(begun.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(::flock(maker, LOCK_EX), 0);
  EXPECT_EQ(pixels_json({"--prune", "--dry-run"})["being_made"], 1);
  const std::string text = pixels({"--prune"});
  EXPECT_NE(text.find("removed 2 files"), std::string::npos) << text;
  EXPECT_NE(text.find("1 that a process is making stays"), std::string::npos) << text;
  EXPECT_TRUE(fs::exists(begun));
  ::close(maker);
  pixels({"--prune"});
  EXPECT_TRUE(fs::is_empty(folder));
}

/// Folders of test and training data that differ are found before anything is trained.
TEST_F(OwnImages, ClassFoldersThatDifferAreAnError) {
  fs::rename(photos() / "test/upright", photos() / "test/up");
  const Outcome differ = call("check");
  EXPECT_EQ(differ.code, 2) << differ.err;
  EXPECT_NE(differ.err.find("upright"), std::string::npos) << differ.err;
  EXPECT_NE(differ.err.find("\"up\""), std::string::npos) << differ.err;
  fs::remove_all(photos() / "test/up");
  EXPECT_EQ(call("check").code, 2);
  // Data that lacks a class can be scored if it is said that this is meant.
  const Outcome lacks = call("check", {"--set", "data.test.class_names=[\"across\", \"upright\"]"});
  EXPECT_EQ(lacks.code, 0) << lacks.err;
  EXPECT_NE(lacks.err.find("1 of 2 classes have no samples in the data: \"upright\""),
            std::string::npos)
      << lacks.err;
}

/// Seven bands: colour jitter and the recipe with it are refused by name when the file is checked,
/// and a chain without them is not.
TEST_F(OwnImages, BandsAreRefusedByWhatIsAboutColours) {
  fs::remove_all(photos());
  for (const char* place : {"train/a", "train/b", "test/a", "test/b"}) {
    fs::create_directories(photos() / place);
    fs::copy_file(fs::path(source_folder) / "tests/reference/golden/images/bands-16.tif",
                  photos() / place / "1.tif");
  }
  std::vector<std::string> bands;
  for (const char* name : {"all", "labelled", "test"}) {
    bands.insert(bands.end(), {"--set", std::string("data.") + name + ".channels=as-file"});
  }
  const Outcome refused = call("check", bands);
  EXPECT_EQ(refused.code, 2) << refused.out;
  EXPECT_NE(refused.err.find("simclr"), std::string::npos) << refused.err;
  EXPECT_NE(refused.err.find("7 channels"), std::string::npos) << refused.err;
  const std::string recipe = "{ use = \"simclr\", size = 64 }";
  std::string changed = read_file(pipeline());
  const std::string steps =
      "[ { use = \"resized-crop\", size = 16 }, { use = \"flip\" }, { use = \"blur\" } ]";
  changed.replace(changed.find(recipe), recipe.size(), steps);
  write_file(pipeline(), changed);
  const auto check = [&] {
    std::vector<std::string> words = {"check", pipeline().string(), "--out",
                                      (folder_.path() / "runs").string()};
    for (const char* change :
         {"model.backbone.width=2", "model.backbone.stem=small", "stage.pretrain.batch=2",
          "stage.finetune.batch=2", "data.all.channels=as-file", "data.labelled.channels=as-file",
          "data.test.channels=as-file"}) {
      words.insert(words.end(), {"--set", change});
    }
    return run_bissl(words);
  };
  const Outcome taken = check();
  EXPECT_EQ(taken.code, 0) << taken.err;
  changed.replace(changed.find("{ use = \"blur\" }"), 16, "{ use = \"color-jitter\" }");
  write_file(pipeline(), changed);
  const Outcome jitter = check();
  EXPECT_EQ(jitter.code, 2) << jitter.out;
  EXPECT_NE(jitter.err.find("color-jitter"), std::string::npos) << jitter.err;
}

}  // namespace
}  // namespace bissl::host::test
