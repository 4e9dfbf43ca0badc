// The pipelines for a desk: the files that ship, on made-up images in the folders that they name.

#include "photos.h"
#include "program.h"
#include "support/paths.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <regex>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

class DeskTest : public testing::Test {
 protected:
  DeskTest() {
    fs::copy(fs::path(source_folder) / "pipelines/desk", folder_.path() / "desk");
    // As many images as there are here, and a network that takes seconds.
    std::string text = read_file(file("desk-32.toml"));
    replace_first(text, "limit = 12000", "limit = 70");
    replace_first(text, "width = 16", "width = 2");
    write_file(file("desk-32.toml"), text);
    for (int i = 0; i < 70; ++i) {
      add("unlabeled/" + std::to_string(i), i % 2 == 0, i);
    }
    for (const char* task : {"task", "task-a", "task-b"}) {
      add_task(task, {"across", "upright"});
    }
    add_task("flowers5", {"daisy", "dandelion", "rose", "sunflower", "tulip"});
    add_task("cifar10", {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse",
                         "ship", "truck"});
    add_task("mnist", {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"});
    add_task("fashion", {"T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt",
                         "Sneaker", "Bag", "Ankle-boot"});
  }

  void add(const std::string& name, bool upright, int number) const {
    const fs::path file = folder_.path() / "desk/data" / (name + ".ppm");
    fs::create_directories(file.parent_path());
    write_file(file, striped_photo(12, 12, upright, number));
  }
  void add_task(const std::string& name, const std::vector<std::string>& classes) const {
    int number = 0;
    for (const std::string& one : classes) {
      for (int i = 0; i < 8; ++i, ++number) {
        add(name + "/train/" + one + "/" + std::to_string(i), number % 2 == 0, 100 + number);
        add(name + "/test/" + one + "/" + std::to_string(i), number % 2 == 0, 1000 + number);
      }
    }
  }
  fs::path file(const std::string& name) const { return folder_.path() / "desk" / name; }

  /// The files for images of 32 pixels, or all others.
  void expect_checked(bool of_32_pixels) const {
    size_t checked = 0;
    for (const auto& entry : fs::directory_iterator(folder_.path() / "desk")) {
      const std::string name = entry.path().filename().string();
      if (entry.path().extension() != ".toml" || name.ends_with("-32.toml") != of_32_pixels) {
        continue;
      }
      ++checked;
      const Outcome check =
          name.starts_with("tasks-")
              ? run_bissl({"sweep", entry.path().string(), "--check", "--out", out_})
              : run_bissl({"check", entry.path().string(), "--out", out_});
      EXPECT_EQ(check.code, 0) << entry.path() << "\n" << check.err;
    }
    EXPECT_GE(checked, 2U);
  }

  TemporaryFolder folder_;
  std::string out_ = (folder_.path() / "runs").string();
};

TEST_F(DeskTest, FilesPassTheCheck) { expect_checked(/*of_32_pixels=*/true); }

TEST_F(DeskTest, WideFilesPassTheCheck) {
  // As many images of each class as there are here.
  const fs::path claim = file("tasks-claim.toml");
  const std::string text = read_file(claim);
  write_file(claim, std::regex_replace(text, std::regex("(per_class\" *= )\\[[^\\]]*\\]"),
                                       "$1[6, 6, 6, 6, 6, 6]"));
  expect_checked(/*of_32_pixels=*/false);
}

TEST_F(DeskTest, AllArmsRunFromEndToEnd) {
  std::vector<std::string> call = {"run", file("desk-32.toml").string(), "--out", out_, "--json"};
  for (const char* change : {"model.backbone.width=2", "stage.pretrain.batch=16",
                             "stage.pretrain.steps=4", "stage.pretrain.schedule.warmup_steps=1",
                             "stage.bissl.rounds=2", "stage.bissl.lower.steps=2",
                             "stage.bissl.lower.hessian_batch=8", "stage.bissl.upper.steps=2",
                             "stage.bissl.upper.batch=8", "stage.multitask.supervised.batch=8",
                             "stage.bissl-finetune.steps=3", "stage.bissl-finetune.batch=8"}) {
    call.insert(call.end(), {"--set", change});
  }
  const Outcome run = run_bissl(call);
  ASSERT_EQ(run.code, 0) << run.err;
  const nlohmann::json stages = nlohmann::json::parse(run.out).at("stages");
  for (const char* arm :
       {"bissl-finetune", "first-order-finetune", "more-steps-finetune", "more-time-finetune",
        "multitask-finetune", "pretrain-finetune", "proximal-finetune", "scratch-finetune"}) {
    EXPECT_TRUE(stages.at(arm)["metrics"]["test"].contains("top1")) << arm;
  }
}

}  // namespace
}  // namespace bissl::host::test
