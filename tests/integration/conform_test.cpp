// `bissl conform`: everything that ships passes, and what breaks a promise learns which.

#include "dataset_trees.h"
#include "program.h"
#include "support/paths.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* fashion_mnist = "/usr/share/datasets/fashion-mnist";

std::vector<std::string> shipped_libraries() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(plugin_folder)) {
    if (entry.path().extension() == ".so") {
      names.push_back(entry.path().stem().string());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

/// Data for the datasets of a library: values for `--set`.
std::vector<std::string> data_for(const std::string& library, const fs::path& folder) {
  if (library == "tar-shards") {
    make_shards(folder);
    return {"shards=[\"" + (folder / "shard-{0..1}.tar").string() + "\"]",
            "cache=" + (folder / "cache").string()};
  }
  if (library == "idx") {
    // Fashion-MNIST's files are called as MNIST's and Kuzushiji-MNIST's are.
    make_emnist(folder);
    for (const auto& entry : fs::directory_iterator(fashion_mnist)) {
      fs::create_symlink(entry.path(), folder / entry.path().filename());
    }
    return {"root=" + folder.string()};
  }
  const std::map<std::string, std::vector<void (*)(const fs::path&)>> makers{
      {"cifar", {make_cifar10_binary, make_cifar100_python}},
      {"stl10", {make_stl10}},
      {"svhn", {make_svhn}},
      {"image-layouts",
       {make_caltech101, make_cub200, make_dtd, make_fgvc_aircraft, make_flowers102, make_food101,
        make_masks, make_oxford_pets, make_stanford_cars, make_sun397, make_voc2007,
        make_voc2012}}};
  const auto found = makers.find(library);
  if (found == makers.end()) {
    return {};
  }
  for (const auto make : found->second) {
    make(folder);
  }
  return {"root=" + folder.string()};
}

/// Smaller networks than the defaults, which are those of papers, and parts of the batches that
/// conform makes: values for `--set`.
std::vector<std::string> sizes_for(const std::string& library) {
  const std::map<std::string, std::vector<std::string>> sizes{
      {"contrastive", {"projector=[24,8]", "predictor=[16]", "queue=48"}},
      {"distillation",
       {"projector=[24,8]", "predictor=[16]", "hidden=[24]", "bottleneck=8", "prototypes=16"}},
      {"redundancy-reduction", {"projector=[24,4]", "part=8", "slices=16"}},
      {"dense",
       {"projector=[24,8]", "local_projector=[16,8]", "inpainting.width=8", "conv-mixer.width=8",
        "conv-mixer.depth=2", "conv-mixer.kernel=3"}},
      {"masked",
       {"decoder_width=16", "decoder_depth=1", "decoder_heads=2", "predictor_width=16",
        "predictor_depth=1", "predictor_heads=2", "projector=[24,8]", "prototypes=16"}},
      {"surrogate-classes",
       {"hidden=[16]", "permutations=24", "grid=2", "labels=8", "relabel_every=1e-4"}},
      {"byol", {"projector=[24,8]", "predictor=[16]"}},
      {"swav", {"projector=[24,8]", "prototypes=16"}},
      {"simclr", {"projector=[24,8]"}},
      {"networks",
       {"convnext-atto.width=4",
        "convnext-femto.width=4",
        "convnext-pico.width=4",
        "convnext-nano.width=4",
        "convnext-tiny.width=4",
        "convnext-small.width=4",
        "convnext-base.width=4",
        "convnext-atto.depths=[1,1,2,1]",
        "convnext-femto.depths=[1,1,2,1]",
        "convnext-pico.depths=[1,1,2,1]",
        "convnext-nano.depths=[1,1,2,1]",
        "convnext-tiny.depths=[1,1,2,1]",
        "convnext-small.depths=[1,1,2,1]",
        "convnext-base.depths=[1,1,2,1]",
        "vgg11.width=4",
        "vgg16.width=4",
        "vgg19.width=4",
        "swin-tiny.width=6",
        "swin-tiny.depths=[1,1,1,1]",
        "swin-small.width=6",
        "swin-small.depths=[1,1,1,1]",
        "swin-base.width=8",
        "swin-base.depths=[1,1,1,1]",
        "mobilenet-v2.width=0.25",
        "efficientnet-b0.width=0.25",
        "conv-mixer.width=8",
        "wide-resnet.depth=10",
        "wide-resnet.factor=1",
        "resnet9.width=4",
        "widths=[16]"}},
      {"resnet",
       {"resnet18.width=8", "resnet34.width=8", "resnet34.depths=[2,1,1,1]", "resnet50.width=8",
        "resnet50.depths=[2,1,1,1]", "resnext50-32x4d.width=16", "resnext50-32x4d.depths=[2,1,1,1]",
        "wide-resnet50-2.width=8", "wide-resnet50-2.depths=[2,1,1,1]", "resnet101.width=4",
        "resnet101.depths=[1,1,1,1]", "resnet152.width=4", "resnet152.depths=[1,1,1,1]",
        "resnext101-32x8d.width=8", "resnext101-32x8d.depths=[1,1,1,1]", "wide-resnet101-2.width=4",
        "wide-resnet101-2.depths=[1,1,1,1]"}},
      {"vit", {"depth=2", "width=24", "heads=2", "vit-nano.patch=16"}}};
  const auto found = sizes.find(library);
  return found == sizes.end() ? std::vector<std::string>{} : found->second;
}

/// What comes before `conform` and after it, to try tasks with a backbone that has what they read.
struct TaskBackbone {
  std::vector<std::string> before{};
  std::vector<std::string> after{};
};
TaskBackbone backbone_for(const std::string& library, const fs::path& folder) {
  if (library == "dense") {
    // One whose maps have several places, also of small images.
    return {.after = {"--backbone", "conv-mixer"}};
  }
  if (library == "masked") {
    fs::copy(fs::path(fixture_plugin_folder) / "patches.so", folder / "patches.so");
    return {.before = {"--plugin-path", folder.string()}, .after = {"--backbone", "patch-network"}};
  }
  return {};
}

/// Components of libraries that have many: one for each thing that the library computes in a way of
/// its own. The others are the same at other sizes, or read the same kinds of files.
const std::map<std::string, std::vector<std::string>>& one_of_each_kind() {
  static const std::map<std::string, std::vector<std::string>> kinds{
      {"networks",
       {"conv-mixer", "convnext-atto", "efficientnet-b0", "mlp", "resnet9", "swin-tiny", "vgg11",
        "wide-resnet"}},
      {"resnet", {"resnet18", "resnet50", "resnext50-32x4d"}},
      {"image-augmentations", {"simclr", "color-jitter", "flip", "resized-crop", "to-planes"}},
      {"image-layouts", {"caltech-101", "masks", "voc2007", "voc2012-segmentation"}},
      {"idx", {"emnist"}}};
  return kinds;
}

/// All components of the library conform, or those that are named.
void expect_conforms(const std::string& library, const std::vector<std::string>& components) {
  const TemporaryFolder photos;
  const TemporaryFolder plugins;
  const TaskBackbone backbone = backbone_for(library, plugins.path());
  std::vector<std::string> call = backbone.before;
  call.insert(call.end(), {"conform", (fs::path(plugin_folder) / (library + ".so")).string()});
  call.insert(call.end(), backbone.after.begin(), backbone.after.end());
  for (const std::string& component : components) {
    call.insert(call.end(), {"--component", component});
  }
  if (library == "idx" && !fs::exists(fashion_mnist)) {
    GTEST_SKIP() << "Debian's package dataset-fashion-mnist is not installed";
  }
  const TemporaryFolder folder;
  for (const std::string& value : data_for(library, folder.path())) {
    call.insert(call.end(), {"--set", value});
  }
  for (const std::string& value : sizes_for(library)) {
    call.insert(call.end(), {"--set", value});
  }
  if (library == "segmentation") {  // its head reads feature maps
    call.insert(call.end(), {"--backbone", "resnet18", "--set", "resnet18.width=2", "--set",
                             "resnet18.stem=small"});
  }
  if (library == "torchscript") {
    call.insert(call.end(), {"--set", "file=" + std::string(source_folder) +
                                          "/tests/reference/golden/torchscript/network.pt"});
  }
  if (library == "image-folder") {
    const fs::path images = fs::path(source_folder) / "tests/reference/golden/images";
    for (const char* name : {"cat/rgb-420.jpg", "cat/deep/gray-8.png", "dog/palette.gif"}) {
      const fs::path file = photos.path() / name;
      fs::create_directories(file.parent_path());
      fs::copy_file(images / file.filename(), file);
    }
    call.insert(call.end(), {"--set", "root=" + photos.path().string()});
  }
  const Outcome outcome = run_bissl(call);
  EXPECT_EQ(outcome.code, 0) << outcome.out << outcome.err;
  EXPECT_NE(outcome.out.find(" 0 failed, "), std::string::npos) << outcome.out;
}

class ShippedPlugin : public testing::TestWithParam<std::string> {};

TEST_P(ShippedPlugin, Conforms) {
  const auto kinds = one_of_each_kind().find(GetParam());
  expect_conforms(GetParam(),
                  kinds == one_of_each_kind().end() ? std::vector<std::string>{} : kinds->second);
}

std::string test_name(std::string library) {
  std::replace(library.begin(), library.end(), '-', '_');
  return library;
}

INSTANTIATE_TEST_SUITE_P(Each, ShippedPlugin, testing::ValuesIn(shipped_libraries()),
                         [](const auto& info) { return test_name(info.param); });

/// Libraries of which the test above tries a part.
std::vector<std::string> libraries_of_many() {
  std::vector<std::string> libraries;
  for (const auto& [library, components] : one_of_each_kind()) {
    libraries.push_back(library);
  }
  return libraries;
}

class WideLibrary : public testing::TestWithParam<std::string> {};

TEST_P(WideLibrary, Conforms) { expect_conforms(GetParam(), {}); }

INSTANTIATE_TEST_SUITE_P(Each, WideLibrary, testing::ValuesIn(libraries_of_many()),
                         [](const auto& info) { return test_name(info.param); });

TEST(Conform, NamesThePromiseThatIsBroken) {
  const Outcome outcome = run_bissl(
      {"conform", "--json", (fs::path(fixture_plugin_folder) / "misbehaves.so").string()});
  EXPECT_EQ(outcome.code, 1) << outcome.err;
  const auto report = nlohmann::json::parse(outcome.out);
  EXPECT_FALSE(report.at("conforms").get<bool>());
  std::map<std::string, std::vector<std::pair<std::string, std::string>>> failed;
  std::map<std::string, int> passed;
  for (const auto& check : report.at("checks")) {
    if (check["status"] == "failed") {
      failed[check["component"]].emplace_back(check["check"], check["detail"]);
    }
    passed[check["component"]] += check["status"] == "passed" ? 1 : 0;
  }
  const std::map<std::string, std::pair<std::string, std::string>> expected = {
      {"restless",
       {"a sample is the same each time, from each instance", "differs at a second call"}},
      {"gap",
       {"views have the shape that is announced, all of it written and finite", "was not written"}},
      {"narrow", {"gives finite features of the width that it says", "features() is 5"}},
      {"counting", {"a pass that is no training leaves no trace", "some state is elsewhere"}},
      {"once", {"the second derivative is that of the gradient", "\"_cdist_backward\""}},
      {"coupling", {"the batch couples as declared", "coupling() is separable"}},
      {"uneven", {"metrics do not depend on how the data is cut into batches", "mean is "}},
      {"trusting", {"a system that answers with NaN gives a finite vector", "not finite"}},
      {"dying", {"solves, with a finite vector like u, and leaves u alone", "signal 11"}},
      {"forgetful", {"continues from its state with the same bits", "more than"}},
  };
  for (const auto& [component, what] : expected) {
    bool found = false;
    for (const auto& [check, detail] : failed[component]) {
      found = found || (check == what.first && detail.find(what.second) != std::string::npos);
    }
    EXPECT_TRUE(found) << component << ": " << what.first << "\n" << report.dump(1);
    EXPECT_GE(passed[component], 3) << component << " keeps its other promises";
  }
}

TEST(Conform, TriesTheComponentsThatAreNamedAlone) {
  const std::string library = (fs::path(fixture_plugin_folder) / "misbehaves.so").string();
  const Outcome outcome =
      run_bissl({"conform", "--json", library, "--component", "narrow", "--component", "uneven"});
  EXPECT_EQ(outcome.code, 1) << outcome.err;
  std::map<std::string, int> failed;
  const auto report = nlohmann::json::parse(outcome.out);
  for (const auto& check : report.at("checks")) {
    failed[check["component"]] += check["status"] == "failed" ? 1 : 0;
  }
  failed.erase("");  // the library's own checks
  ASSERT_EQ(failed.size(), 2U) << outcome.out;
  EXPECT_GE(failed["narrow"], 1);
  EXPECT_GE(failed["uneven"], 1);
  const Outcome unknown = run_bissl({"conform", library, "--component", "narow"});
  EXPECT_EQ(unknown.code, 2) << unknown.out;
  EXPECT_NE(unknown.err.find("--component narow: "), std::string::npos) << unknown.err;
  EXPECT_NE(unknown.err.find("no component of that name; there are "), std::string::npos)
      << unknown.err;
}

TEST(Conform, TellsWhyALibraryIsNoPlugin) {
  const std::string no_entry = (fs::path(fixture_plugin_folder) / "no_entry.so").string();
  const Outcome refused = run_bissl({"conform", no_entry});
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.out.find("bissl_plugin_entry"), std::string::npos) << refused.out;
  const Outcome crash =
      run_bissl({"conform", (fs::path(fixture_plugin_folder) / "aborts.so").string()});
  EXPECT_EQ(crash.code, 1);
  EXPECT_NE(crash.out.find("crashed: signal 6"), std::string::npos) << crash.out;
  EXPECT_EQ(run_bissl({"conform", "/nowhere.so"}).code, 2);
  EXPECT_EQ(run_bissl({"conform", no_entry, "--set", "=3"}).code, 2);
}

TEST(PluginsCheck, LoadsOneLibraryOrSaysWhyNot) {
  const fs::path fixtures(fixture_plugin_folder);
  const Outcome good = run_bissl({"plugins", "--check", (fixtures / "good.so").string()});
  EXPECT_EQ(good.code, 0);
  EXPECT_NE(good.out.find("halve"), std::string::npos) << good.out;
  const Outcome bad = run_bissl({"plugins", "--check", (fixtures / "segfaults.so").string()});
  EXPECT_EQ(bad.code, 2);
  EXPECT_NE(bad.out.find("step vet, code crashed"), std::string::npos) << bad.out;
}

}  // namespace
}  // namespace bissl::host::test
