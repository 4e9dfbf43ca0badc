// `bissl compare`: from a folder of images to a verdict, and what it refuses.

#include "photos.h"
#include "program.h"

#include <gtest/gtest.h>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

class Compare : public testing::Test {
 protected:
  void add(const std::string& name, bool upright, int number) const {
    const fs::path file = folder_.path() / "photos" / (name + ".ppm");
    fs::create_directories(file.parent_path());
    write_file(file, striped_photo(10, 10, upright, number));
  }
  void add_class(const std::string& name, bool upright, int images) const {
    for (int i = 0; i < images; ++i) {
      add(name + "/" + std::to_string(i), upright, i);
    }
  }
  std::vector<std::string> words_of(const std::vector<std::string>& more) const {
    std::vector<std::string> words = {"compare",   (folder_.path() / "photos").string(),
                                      "--out",     out_.string(),
                                      "--threads", "1",
                                      "--size",    "8",
                                      "--set",     "model.backbone.width=2"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  Outcome call(const std::vector<std::string>& more = {}) const {
    return run_bissl(words_of(more));
  }

  TemporaryFolder folder_;
  fs::path out_ = folder_.path() / "runs";
};

TEST_F(Compare, GoesFromAFolderToAVerdict) {
  add_class("across", false, 15);
  add_class("upright", true, 20);
  std::vector<std::string> shrunken = {"--seeds", "2"};
  for (const char* change :
       {"stage.pretrain.steps=3", "stage.pretrain.schedule.warmup_steps=1", "stage.bissl.rounds=2",
        "stage.bissl.lower.steps=2", "stage.bissl-finetune.steps=3"}) {
    shrunken.emplace_back("--set");
    shrunken.emplace_back(change);
  }
  const Outcome run = call(shrunken);
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_NE(run.err.find("2 classes, 29 images to train with, 6 to score on (3 of each class"),
            std::string::npos)
      << run.err;
  for (const char* file : {"compare-photos.toml", "compare-photos-pipeline.toml",
                           "compare-photos/report.html", "compare-photos/plan.json"}) {
    EXPECT_TRUE(fs::exists(out_ / file)) << file;
  }
  EXPECT_NE(run.out.find("Verdict"), std::string::npos) << run.out;
  EXPECT_NE(run.out.find("more-time-finetune"), std::string::npos) << run.out;
  EXPECT_NE(run.out.find("These runs do not tell the two apart: take the cheaper one"),
            std::string::npos)
      << run.out;
  EXPECT_NE(read_file(out_ / "compare-photos/report.md").find("do not tell the two apart: take"),
            std::string::npos);
  // The same call continues with the settings that were chosen, and finds all of it done.
  const Outcome again = call(shrunken);
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_NE(again.err.find("with its settings; another --name begins anew"), std::string::npos)
      << again.err;
  EXPECT_EQ(again.err.find("pretrain of seed=0: done"), std::string::npos) << again.err;
  EXPECT_NE(again.out.find("These runs do not tell the two apart"), std::string::npos);

  // A verdict that nobody can read is a failure, in words and as data.
  for (const std::string form : {"", "--json"}) {
    std::vector<std::string> lost = shrunken;
    if (!form.empty()) {
      lost.push_back(form);
    }
    const Outcome outcome =
        run_bissl_under(form.empty() ? "exec >/dev/full" : "exec >&-", words_of(lost));
    EXPECT_EQ(outcome.code, 1) << outcome.err;
    EXPECT_NE(outcome.err.find("cannot write standard output: "), std::string::npos) << outcome.err;
  }
}

TEST_F(Compare, UnlabelledImagesAndFoldersOfTheirOwnAreUsed) {
  add_class("train/across", false, 5);
  add_class("train/upright", true, 5);
  add_class("test/across", false, 2);
  add_class("test/upright", true, 3);
  fs::create_directories(folder_.path() / "more");
  for (int i = 0; i < 9; ++i) {
    write_file(folder_.path() / "more" / (std::to_string(i) + ".ppm"),
               striped_photo(10, 10, true, 50 + i));
  }
  write_file(folder_.path() / "more/8.ppm", "P6 10 10 255\n" + std::string(300, 'x'));
  const Outcome run =
      call({"--dry-run", "--unlabeled", (folder_.path() / "more").string(), "--minutes", "1000"});
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_NE(run.err.find("10 images to train with, 5 to score on"), std::string::npos) << run.err;
  EXPECT_NE(run.err.find("pretext task on 9 images"), std::string::npos) << run.err;
  EXPECT_NE(run.err.find("30000 pretext steps"), std::string::npos) << run.err;
  EXPECT_NE(run.err.find("warning: data.unlabeled: 1 of the 9 images are of one value"),
            std::string::npos)
      << run.err;
  const std::string text = read_file(out_ / "compare-photos-pipeline.toml");
  EXPECT_NE(text.find("by = \"seconds\""), std::string::npos);
  EXPECT_FALSE(fs::exists(out_ / "compare-photos"));
}

TEST_F(Compare, FoldersOfOneNameAreNotMixedUp) {
  add_class("across", false, 8);
  add_class("upright", true, 8);
  ASSERT_EQ(call({"--dry-run"}).code, 0);
  write_file(out_ / "compare-photos" / "plan.json", "{}");  // begun
  EXPECT_EQ(call({"--dry-run"}).code, 0);
  const Outcome seeds = call({"--dry-run", "--seeds", "3"});
  EXPECT_EQ(seeds.code, 2);
  EXPECT_NE(seeds.err.find("--seeds 6, and this call has 3"), std::string::npos) << seeds.err;
  fs::create_directories(folder_.path() / "other");
  fs::rename(folder_.path() / "photos", folder_.path() / "other" / "photos");
  const Outcome other = run_bissl({"compare", (folder_.path() / "other" / "photos").string(),
                                   "--out", out_.string(), "--threads", "1", "--dry-run"});
  EXPECT_EQ(other.code, 2);
  EXPECT_NE(other.err.find("other/photos. Give this comparison another --name"), std::string::npos)
      << other.err;
}

TEST_F(Compare, FilesOfOthersStay) {
  add_class("across", false, 8);
  add_class("upright", true, 8);
  const std::string own = "name = \"mine\"\n";
  write_file(out_ / "compare-photos.toml", own);
  const Outcome outcome = call({"--dry-run"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("that `bissl compare` did not write"), std::string::npos)
      << outcome.err;
  EXPECT_EQ(read_file(out_ / "compare-photos.toml"), own);
  EXPECT_FALSE(fs::exists(out_ / "compare-photos-pipeline.toml"));
}

TEST_F(Compare, BadInputGetsAWordAtOnce) {
  const auto refusal = [&](const std::vector<std::string>& more = {}) {
    const Outcome run = call(more);
    EXPECT_EQ(run.code, 2) << run.out;
    return run.err;
  };
  EXPECT_NE(refusal().find("there is no such folder"), std::string::npos);
  add_class("across", false, 6);
  EXPECT_NE(refusal().find("\"across\" is the only class with images"), std::string::npos);
  add("upright/0", true, 0);
  EXPECT_NE(refusal().find("class \"upright\" has one image"), std::string::npos);
  add_class("upright", true, 6);
  EXPECT_NE(refusal({"--minutes", "0.01"}).find("is too short: 6 seeds"), std::string::npos);
  EXPECT_NE(refusal({"--weights", "nothing.pth"}).find("there is no such file"), std::string::npos);
  EXPECT_NE(refusal({"--unlabeled", (folder_.path() / "photos/across").string()})
                .find("6 images are too few"),
            std::string::npos);
  write_file(folder_.path() / "photos/across/broken.ppm", "P6 10 10 255\nhalf");
  EXPECT_NE(refusal().find("broken.ppm"), std::string::npos);
  fs::remove(folder_.path() / "photos/across/broken.ppm");
  fs::rename(folder_.path() / "photos", folder_.path() / "train");
  fs::create_directories(folder_.path() / "photos");
  fs::rename(folder_.path() / "train", folder_.path() / "photos/train");
  add_class("test/across", false, 2);
  add_class("test/sideways", true, 2);
  EXPECT_NE(refusal().find("has classes that"), std::string::npos);
}

}  // namespace
}  // namespace bissl::host::test
