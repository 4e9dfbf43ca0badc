// Weights from torchvision and for it: the same features and logits on both sides.

#include "program.h"
#include "support/paths.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

/// The exit code of the script; 77 where Python has no torchvision.
int python(const std::string& step, const fs::path& folder, const std::string& network = "") {
  const std::string command = "/usr/bin/python3 " + std::string(source_folder) +
                              "/tests/integration/torchvision_weights.py " + step + " " +
                              folder.string() + " " + network;
  const int status = std::system(command.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

constexpr const char* pipeline = R"(name = "both"
[data.images]
use  = "mnist"
root = "."
[data.test]
use   = "mnist"
root  = "."
split = "test"
[model.backbone]
use = "resnet18"
[stage.new]
kind = "import"
file = "new.pth"
channels = 1
size = 28
head = { data = "images", downstream = { use = "classification" } }
[stage.old]
kind = "import"
file = "old.pth"
channels = 1
size = 28
[stage.moco]
kind = "import"
file = "moco.pth"
channels = 1
size = 28
[stage.tuned]
kind       = "finetune"
from       = "new"
data       = "images"
augment    = { use = "evaluation", mean = [0.4], std = [0.3] }
downstream = { use = "classification" }
optimizer  = { use = "sgd", lr = 0.01 }
batch      = 8
steps      = 2
evaluate   = { data = "test", augment = { use = "evaluation", mean = [0.4], std = [0.3] } }
)";

TEST(TorchvisionWeights, GiveTheSameNumbersOnBothSides) {
  const TemporaryFolder folder;
  const int made = python("make", folder.path());
  if (made == 77) {
    GTEST_SKIP() << "python3-torch or python3-torchvision is not installed";
  }
  ASSERT_EQ(made, 0);
  const fs::path file = folder.path() / "both.toml";
  const std::string out = (folder.path() / "runs").string();
  write_file(file, pipeline);
  const Outcome run = run_bissl({"run", file.string(), "--out", out});
  ASSERT_EQ(run.code, 0) << run.err;
  for (const std::string stage : {"new", "old", "moco", "tuned"}) {
    std::vector<std::string> arguments = {
        "features", file.string(), "--out", out,    "--stage",
        stage,      "--data",      "test",  "--to", (folder.path() / (stage + ".npy")).string()};
    if (stage == "new" || stage == "tuned") {
      arguments.emplace_back("--outputs");
    }
    const Outcome features = run_bissl(arguments);
    ASSERT_EQ(features.code, 0) << features.err;
  }
  for (const char* name : {"tuned.pth", "tuned.safetensors"}) {
    const Outcome exported =
        run_bissl({"export", out + "/both/tuned", "--to", (folder.path() / name).string()});
    ASSERT_EQ(exported.code, 0) << exported.err;
  }
  EXPECT_EQ(python("check", folder.path()), 0);
}

constexpr const char* other_network = R"(name = "other"
[data.images]
use  = "stl10"
root = "."
[data.test]
use   = "stl10"
root  = "."
split = "test"
[model.backbone]
use = "NETWORK"
[stage.new]
kind = "import"
file = "NETWORK.pth"
channels = 3
size = 96
[stage.score]
kind    = "knn"
from    = "new"
bank    = "images"
data    = "test"
augment = { use = "evaluation", mean = [0.4], std = [0.3] }
k       = 5
)";

/// All that torchvision has, too: its files are taken without a gap, under its names or under those
/// that become timm's, and the features are the same.
TEST(TorchvisionWeights, GiveTheSameFeaturesInAllNetworks) {
  const TemporaryFolder folder;
  const int made = python("photos", folder.path());
  if (made == 77) {
    GTEST_SKIP() << "python3-torch or python3-torchvision is not installed";
  }
  ASSERT_EQ(made, 0);
  const fs::path file = folder.path() / "other.toml";
  for (const std::string network : {"resnet18",
                                    "resnet34",
                                    "resnet50",
                                    "resnet101",
                                    "resnet152",
                                    "resnext50-32x4d",
                                    "resnext101-32x8d",
                                    "wide-resnet50-2",
                                    "wide-resnet101-2",
                                    "convnext-tiny",
                                    "convnext-small",
                                    "convnext-base",
                                    "swin-tiny",
                                    "swin-small",
                                    "swin-base",
                                    "vgg11",
                                    "vgg16",
                                    "vgg19",
                                    "mobilenet-v2",
                                    "efficientnet-b0",
                                    "vit-base"}) {
    SCOPED_TRACE(network);
    ASSERT_EQ(python("make", folder.path(), network), 0);
    std::string text = other_network;
    for (size_t place = 0; (place = text.find("NETWORK")) != std::string::npos;) {
      text.replace(place, 7, network);
    }
    write_file(file, text);
    const fs::path out = folder.path() / "runs";
    const Outcome run = run_bissl({"run", file.string(), "--out", out.string()});
    ASSERT_EQ(run.code, 0) << run.err;
    const Outcome features =
        run_bissl({"features", file.string(), "--out", out.string(), "--stage", "new", "--data",
                   "test", "--to", (folder.path() / (network + ".npy")).string()});
    ASSERT_EQ(features.code, 0) << features.err;
    EXPECT_EQ(python("check", folder.path(), network), 0);
    fs::remove_all(out);  // hundreds of megabytes each
    fs::remove(folder.path() / (network + ".pth"));
  }
}

}  // namespace
}  // namespace bissl::host::test
