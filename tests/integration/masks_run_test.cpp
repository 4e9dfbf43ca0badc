// Images with masks, from two folders of files to the scores of a segmentation.

#include "file_writers.h"
#include "program.h"
#include "support/paths.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* segmentation_pipeline = R"(name = "masks"
seed = 1

[data.images]
use      = "image-folder"
root     = "train/images"
channels = "gray"

[data.train]
use         = "masks"
root        = "train"
channels    = "gray"
class_names = ["dark", "bright"]

[data.test]
use         = "masks"
root        = "test"
channels    = "gray"
class_names = ["dark", "bright"]

[model.backbone]
use   = "resnet18"
stem  = "small"
width = 2

[stage.pretrain]
kind      = "pretrain"
data      = "images"
augment   = { use = "simclr", size = 8 }
pretext   = { use = "simclr", projector = [8, 4] }
optimizer = { use = "sgd", lr = 0.01 }
batch     = 6
steps     = 2

[stage.bissl]
kind          = "bissl"
from          = "pretrain"
rounds        = 1
head_warmup   = { fit = "none" }
hypergradient = { use = "cg", iterations = 1 }

[stage.bissl.lower]
steps = 1

[stage.bissl.upper]
data       = "train"
steps      = 1
batch      = 6
augment    = { use = "supervised", size = 8 }
downstream = { use = "segmentation", levels = 2 }
optimizer  = { use = "sgd", lr = 0.01 }

[stage.tune]
kind       = "finetune"
from       = "bissl"
data       = "train"
augment    = { use = "supervised", size = 8 }
downstream = { use = "segmentation", levels = 2 }
optimizer  = { use = "adamw", lr = 0.02 }
batch      = 6
steps      = 12
evaluate   = { data = "test", augment = { use = "evaluation", size = 8 } }
)";

/// Gray images of two halves, one dark and one bright, with masks that say which; the last column
/// of a mask does not count.
class MasksRun : public testing::Test {
 protected:
  MasksRun() {
    for (const char* split : {"train", "test"}) {
      for (int i = 0; i < 6; ++i) {
        add(fs::path(split), i);
      }
    }
    write_file(folder_.path() / "masks.toml", segmentation_pipeline);
  }

  void add(const fs::path& split, int number) const {
    std::vector<uint8_t> pixels;
    std::vector<uint8_t> values;
    for (int y = 0; y < 10; ++y) {
      for (int x = 0; x < 10; ++x) {
        const bool bright = (number % 2 == 0 ? x : y) + number / 2 > 5;
        pixels.push_back(static_cast<uint8_t>((bright ? 190 : 40) + (x * 7 + y + number) % 20));
        values.push_back(x == 9 ? uint8_t{255} : static_cast<uint8_t>(bright));
      }
    }
    const std::string name = std::to_string(number) + ".png";
    write_file(folder_.path() / split / "images" / name, png_of(10, 10, 8, PngKind::gray, pixels));
    write_file(folder_.path() / split / "masks" / name,
               png_of(10, 10, 8, PngKind::palette, values));
  }
  Outcome run(const std::string& name = "run") const {
    return run_bissl({name, (folder_.path() / "masks.toml").string(), "--out",
                      (folder_.path() / "runs").string(), "--threads", "1"});
  }

  TemporaryFolder folder_;
};

TEST_F(MasksRun, BothLevelsAndAFineTuningTakeThem) {
  const Outcome outcome = run();
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto results = nlohmann::json::parse(read_file(folder_.path() / "runs/masks/results.json"));
  const std::string text = results["stages"]["tune"].dump();
  for (const char* metric : {"miou", "pixel_accuracy"}) {
    EXPECT_NE(text.find(metric), std::string::npos) << text;
  }
}

TEST_F(MasksRun, OneClassInAllMasksIsDoubtful) {
  const std::string warning =
      "warning: data.train: one class only: all pixels of the masks that count are of class "
      "\"bright\" in the 6 images (2 classes are declared)";
  EXPECT_EQ(run("check").err.find(warning), std::string::npos);
  std::vector<uint8_t> values(100, 1);
  values[12] = 255;
  for (int i = 0; i < 6; ++i) {
    write_file(folder_.path() / "train/masks" / (std::to_string(i) + ".png"),
               png_of(10, 10, 8, PngKind::gray, values));
  }
  const Outcome outcome = run("check");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find(warning), std::string::npos) << outcome.err;
}

TEST_F(MasksRun, AValueBeyondTheClassesEndsItBeforeTraining) {
  std::vector<uint8_t> values(100, 1);
  values[12] = 9;
  write_file(folder_.path() / "train/masks/0.png", png_of(10, 10, 8, PngKind::gray, values));
  const Outcome outcome = run();
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("train/masks/0.png: has the value 9 at column 2 of row 1"),
            std::string::npos)
      << outcome.err;
  EXPECT_FALSE(fs::exists(folder_.path() / "runs/masks/pretrain"));
}

}  // namespace
}  // namespace bissl::host::test
