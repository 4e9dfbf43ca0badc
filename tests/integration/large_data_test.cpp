// Data of the size, and of the kind, that users have.

#include "program.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

constexpr int64_t image_bytes = 3 * 96 * 96;

/// Pixels of STL-10's official layout: each image has stripes whose width and colours are its own.
void write_images(const fs::path& file, int64_t count, uint32_t seed) {
  std::ofstream out(file, std::ios::binary);
  std::mt19937 random(seed);
  std::string image(image_bytes, '\0');
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t width = 3 + random() % 20;
    const uint32_t colours = random();
    for (int64_t channel = 0; channel < 3; ++channel) {
      for (int64_t column = 0; column < 96; ++column) {
        const bool on = column / width % 2 == 0;
        const auto value = static_cast<char>(colours >> (8 * channel) >> (on ? 0 : 2));
        std::fill_n(image.begin() + (channel * 96 + column) * 96, 96, value);
      }
    }
    out.write(image.data(), image_bytes);
  }
}

constexpr const char* stl10_pipeline = R"(name = "stl10"
seed = 0
[data.unlabelled]
use   = "stl10"
root  = "."
split = "unlabeled"
[data.train]
use   = "stl10"
root  = "."
[data.test]
use   = "stl10"
root  = "."
split = "test"
[model.backbone]
use   = "resnet18"
stem  = "small"
width = 4
[stage.pretrain]
kind      = "pretrain"
data      = "unlabelled"
augment   = { use = "simclr", size = 16 }
pretext   = { use = "simclr", projector = [32, 32] }
optimizer = { use = "sgd", lr = 0.05 }
batch     = 256
epochs    = 1
[stage.bissl]
kind   = "bissl"
from   = "pretrain"
rounds = 2
lambda = 0.1
hypergradient = { use = "cg", iterations = 2 }
lower = { steps = 4 }
[stage.bissl.upper]
data       = "train"
steps      = 2
batch      = 100
augment    = { use = "supervised", size = 16 }
downstream = { use = "classification" }
optimizer  = { use = "sgd", lr = 0.03 }
[stage.finetune]
kind       = "finetune"
from       = "bissl"
data       = "train"
augment    = { use = "supervised", size = 16 }
downstream = { use = "classification" }
optimizer  = { use = "sgd", lr = 0.05 }
batch      = 100
epochs     = 1
evaluate   = { data = "test", augment = { use = "evaluation", size = 16 } }
)";

/// 100,000 images are 2.8 GB: an epoch over them takes the memory of a batch.
TEST(LargeData, AnEpochOverStl10sUnlabelledImagesHoldsNoneOfThem) {
  constexpr int64_t unlabelled = 100'000;
  const TemporaryFolder folder;
  if (fs::space(folder.path()).available < 2 * unlabelled * image_bytes) {
    GTEST_SKIP() << "the disk has too little space";
  }
  const fs::path data = folder.path() / "stl10_binary";
  fs::create_directory(data);
  write_images(data / "unlabeled_X.bin", unlabelled, 1);
  write_images(data / "train_X.bin", 500, 2);
  write_images(data / "test_X.bin", 200, 3);
  const auto write_labels = [&](const char* name, int count) {
    std::string labels;
    for (int i = 0; i < count; ++i) {
      labels += static_cast<char>(1 + i % 10);
    }
    write_file(data / name, labels);
  };
  write_labels("train_y.bin", 500);
  write_labels("test_y.bin", 200);
  write_file(data / "class_names.txt",
             "airplane\nbird\ncar\ncat\ndeer\ndog\nhorse\nmonkey\nship\ntruck\n");
  const fs::path pipeline = folder.path() / "p.toml";
  write_file(pipeline, stl10_pipeline);

  const Outcome run =
      run_bissl({"run", pipeline.string(), "--json", "--out", (folder.path() / "runs").string()},
                {{"XDG_CACHE_HOME", (folder.path() / "cache").string()}});
  ASSERT_EQ(run.code, 0) << run.err;
  const auto stages = nlohmann::json::parse(run.out)["stages"];
  for (const char* stage : {"pretrain", "bissl", "finetune"}) {
    const auto peak = stages[stage]["peak_memory_bytes"].get<double>();
    std::printf("%s: peak memory %.0f MB\n", stage, peak / 1e6);
    EXPECT_LT(peak, 0.25 * unlabelled * image_bytes) << stage;
  }
}

constexpr const char* real_pipeline = R"(name = "real"
seed = 0
[data.all]
use    = "image-folder"
take   = "all"
broken = "skip"
size   = 96
[model.backbone]
use   = "resnet18"
width = 8
[stage.pretrain]
kind      = "pretrain"
data      = "all"
augment   = { use = "simclr", size = 48 }
pretext   = { use = "simclr" }
optimizer = { use = "sgd", lr = 0.05 }
batch     = 64
steps     = 60
)";

constexpr const char* real_labels = R"(
[data.train]
use  = "image-folder"
size = 96
[data.test]
use  = "image-folder"
size = 96
[stage.finetune]
kind       = "finetune"
from       = "pretrain"
data       = "train"
augment    = { use = "supervised", size = 48 }
downstream = { use = "classification" }
optimizer  = { use = "sgd", lr = 0.05, momentum = 0.9 }
batch      = 64
steps      = 150
evaluate   = { data = "test", augment = { use = "evaluation", size = 48 } }
)";

/// Set BISSL_TEST_DATA to a folder of photos: with train/CLASS/… and test/CLASS/…, or any other.
TEST(LargeData, ABackboneLearnsFromRealImages) {
  const char* given = std::getenv("BISSL_TEST_DATA");
  if (given == nullptr || *given == '\0') {
    GTEST_SKIP() << "BISSL_TEST_DATA names no folder of images";
  }
  ASSERT_TRUE(fs::is_directory(given)) << "BISSL_TEST_DATA = " << given << " is no folder";
  const fs::path photos = fs::absolute(given);
  const bool labelled = fs::exists(photos / "train") && fs::exists(photos / "test");
  const TemporaryFolder folder;
  const fs::path pipeline = folder.path() / "p.toml";
  write_file(pipeline, real_pipeline + std::string(labelled ? real_labels : ""));
  std::vector<std::string> common = {"--out", (folder.path() / "runs").string()};
  const auto set = [&](const std::string& change) {
    common.insert(common.end(), {"--set", change});
  };
  set("data.all.root=" + (labelled ? photos / "train" : photos).string());
  set("data.all.cache_pixels=96");
  if (labelled) {
    set("data.train.root=" + (photos / "train").string());
    set("data.test.root=" + (photos / "test").string());
  }
  const auto call = [&](std::vector<std::string> words) {
    words.insert(words.begin() + 1, pipeline.string());
    words.insert(words.end(), common.begin(), common.end());
    return run_bissl(words, {{"XDG_CACHE_HOME", (folder.path() / "cache").string()}});
  };
  const Outcome check = call({"check"});
  ASSERT_EQ(check.code, 0) << check.err;
  const Outcome run = call({"run", "--json"});
  ASSERT_EQ(run.code, 0) << run.err;
  std::vector<double> losses;
  std::ifstream events(folder.path() / "runs/real/pretrain/events.jsonl");
  for (std::string line; std::getline(events, line);) {
    const auto event = nlohmann::json::parse(line);
    if (event.contains("loss")) {
      losses.push_back(event["loss"].get<double>());
    }
  }
  ASSERT_GE(losses.size(), 2U);
  EXPECT_LT(losses.back(), losses.front()) << "the pretext loss falls";
  if (labelled) {
    int64_t classes = 0;
    for (const auto& entry : fs::directory_iterator(photos / "test")) {
      classes += entry.is_directory() ? 1 : 0;
    }
    const auto top1 =
        nlohmann::json::parse(run.out)["stages"]["finetune"]["metrics"]["test"]["top1"]["mean"]
            .get<double>();
    std::printf("top1 %.3f of %d classes\n", top1, static_cast<int>(classes));
    EXPECT_GT(top1, 1.5 / static_cast<double>(classes)) << "it is better than chance";
  }
}

}  // namespace
}  // namespace bissl::host::test
