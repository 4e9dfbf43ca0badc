#include "cli/compare_files.h"

#include "bissl/error.h"
#include "cli/compare_record.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

namespace bissl::host::test {
namespace {

CompareSettings settings() {
  CompareSettings chosen;
  chosen.name = "compare-photos";
  chosen.labelled.train = "/photos/train";
  chosen.labelled.test = "/photos/test";
  chosen.labelled.classes = {"across", "upright"};
  chosen.labelled.train_images = 100;
  chosen.labelled.test_images = 20;
  chosen.unlabeled_images = 100;
  return chosen;
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(CompareFiles, TheNetworkHasTheChosenWidth) {
  CompareSettings chosen = settings();
  EXPECT_TRUE(has(compare_pipeline(chosen), "width = 16"));
  chosen.width = 8;
  EXPECT_TRUE(has(compare_pipeline(chosen), "width = 8"));
  chosen.weights = "/w.pth";
  chosen.backbone = "resnet50";
  const std::string text = compare_pipeline(chosen);
  EXPECT_FALSE(has(text, "width"));
  EXPECT_TRUE(has(text, "use = \"resnet50\""));
}

/// The lower level continues pretraining: a warm-up would be inherited from it.
TEST(CompareFiles, TheLowerLevelHasNoWarmUp) {
  const std::string text = compare_pipeline(settings());
  const size_t lower = text.find("[stage.bissl.lower]");
  ASSERT_NE(lower, std::string::npos);
  const std::string table = text.substr(lower, text.find("[stage.bissl.upper]") - lower);
  EXPECT_TRUE(has(table, "warmup_steps = 0")) << table;
}

class CompareRecord : public testing::Test {
 protected:
  CompareRecord() { write(settings()); }

  void write(const CompareSettings& chosen) const {
    write_file(files_.pipeline, marked_as_written(compare_pipeline(chosen)));
    write_file(files_.ablation, marked_as_written(compare_ablation(chosen, "c-pipeline.toml")));
  }
  /// Why a call with these settings does not continue it; empty where it does.
  std::string refusal(const CompareSettings& chosen, const CompareGiven& given = {}) const {
    try {
      refuse_other_comparison(files_, chosen, given);
      return "";
    } catch (const Error& error) {
      return error.what();
    }
  }
  std::string overwriting() const {
    try {
      refuse_to_overwrite(files_);
      return "";
    } catch (const Error& error) {
      return error.what();
    }
  }

  TemporaryFolder folder_;
  CompareFiles files_{folder_.path() / "c-pipeline.toml", folder_.path() / "c.toml"};
};

TEST_F(CompareRecord, TheSameCallContinues) {
  EXPECT_EQ(refusal(settings()), "");
  EXPECT_EQ(refusal(settings(), {.seeds = 6, .size = 32}), "");
  CompareSettings slash = settings();
  slash.labelled.train = "/photos/./train/";
  EXPECT_EQ(refusal(slash), "");
  CompareSettings chosen = settings();
  chosen.unlabeled = "/more";
  chosen.weights = "/w.pth";
  chosen.backbone = "resnet50";
  write(chosen);
  EXPECT_EQ(refusal(chosen), "");
  chosen.unlabeled = chosen.labelled.train;
  write(chosen);
  EXPECT_EQ(refusal(chosen), "");
}

TEST_F(CompareRecord, AnotherCallIsRefusedWithBothValues) {
  CompareSettings other = settings();
  other.labelled.train = "/others/train";
  EXPECT_TRUE(has(refusal(other),
                  "the images of /photos/train, and this call has /others/train. Give this "
                  "comparison another --name"))
      << refusal(other);
  other = settings();
  other.unlabeled = "/more";
  EXPECT_TRUE(has(refusal(other), "the pretext images of /photos/train, and this call has /more"))
      << refusal(other);
  other = settings();
  other.weights = "/w.pth";
  EXPECT_TRUE(has(refusal(other), "--weights none, and this call has /w.pth")) << refusal(other);
  write(other);
  other.backbone = "resnet50";
  EXPECT_TRUE(has(refusal(other), "--backbone resnet18, and this call has resnet50"));
  EXPECT_TRUE(has(refusal(settings()), "--weights /w.pth, and this call has none"));
  write(settings());
  const std::string both = refusal(settings(), {.seeds = 8, .size = 48});
  EXPECT_TRUE(has(both, "--size 32, and this call has 48; with --seeds 6, and this call has 8"))
      << both;
}

/// What a user makes of the files counts for the sweep, and does not stop it here.
TEST_F(CompareRecord, WhatTheFilesDoNotSayIsNotCompared) {
  write_file(files_.pipeline, "include = [\"mine.toml\"]\n");
  write_file(files_.ablation, "[axes\n");
  EXPECT_EQ(refusal(settings(), {.seeds = 8, .size = 48}), "");
}

TEST_F(CompareRecord, OnlyWhatItWroteIsOverwritten) {
  EXPECT_EQ(overwriting(), "");
  const std::string text = read_file(files_.pipeline);
  write_file(files_.pipeline, text + "# mine\n");
  EXPECT_TRUE(has(overwriting(), "c-pipeline.toml: there is a file of this name that"));
  std::string changed = text;
  changed[changed.find("width = 16") + 8] = '3';
  write_file(files_.pipeline, changed);
  EXPECT_NE(overwriting(), "");
  write_file(files_.pipeline, text);
  EXPECT_EQ(overwriting(), "");
  write_file(files_.ablation, "name = \"mine\"\n");
  EXPECT_TRUE(has(overwriting(), "c.toml: there is a file of this name that")) << overwriting();
  std::filesystem::remove(files_.ablation);
  EXPECT_EQ(overwriting(), "");
}

}  // namespace
}  // namespace bissl::host::test
