#include "bissl/error.h"
#include "networks.h"
#include "reference/second_order.h"
#include "sdk/plugin_library.h"
#include "support/temporary_folder.h"

#include <c10/core/GradMode.h>

#include <filesystem>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

using nlohmann::json;
using test::close;
using test::pattern;

const test::PluginLibrary& library() { return test::shared_library("torchscript"); }

fs::path fixture(const std::string& name) {
  return fs::path(test::source_folder) / "tests/reference/golden/torchscript" / name;
}

const json& golden() {
  static const json content = test::golden("torchscript/expected.json");
  return content;
}

std::shared_ptr<Backbone> make(const fs::path& file, const ImageShape& input = {3, 6, 5}) {
  return library().make<Backbone>("torchscript", {{"file", file.string()}}, {.input = input});
}

std::string refusal(const fs::path& file) {
  try {
    make(file);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    return error.what();
  }
  return "taken";
}

at::Tensor images() { return (pattern(1, {4, 3, 6, 5}) * 2).to(at::kFloat); }

TEST(TorchScript, StartsFromTheFilesWeights) {
  const auto backbone = make(fixture("network.pt"));
  EXPECT_EQ(backbone->features(), 6);
  const auto state = test::state_of(backbone->module());
  ASSERT_EQ(state.size(), golden()["state"].size());
  for (const auto& [name, values] : golden()["state"].items()) {
    ASSERT_TRUE(state.contains(name)) << name;
    EXPECT_TRUE(close(state.at(name), values, 0)) << name;
  }
}

TEST(TorchScript, ComputesWhatPythonComputes) {
  const auto backbone = make(fixture("network.pt"));
  const c10::NoGradGuard no_grad;
  backbone->module().eval();
  EXPECT_TRUE(close(backbone->forward(images()), golden()["eval"], 1e-6));
  backbone->module().train();
  EXPECT_TRUE(close(backbone->forward(images()), golden()["train"], 1e-6));
  EXPECT_TRUE(close(test::state_of(backbone->module()).at("stem.1.running_mean"),
                    golden()["running_mean"], 1e-6));
  const auto maps = make(fixture("maps.pt"));
  EXPECT_EQ(maps->features(), 5);
  EXPECT_TRUE(close(maps->forward(images()), golden()["maps"], 1e-6));
}

TEST(TorchScript, IsTwiceDifferentiableWhileTraining) {
  const auto backbone = make(fixture("network.pt"));
  test::set_network_weights(backbone->module());
  const at::Tensor weights = pattern(2, {4, 6});
  test::expect_hessian_products(
      backbone->module().parameters(),
      [&] { return backbone->forward(images().to(at::kDouble)).square().mul(weights).sum(); },
      1e-5);
}

TEST(TorchScript, InstancesShareNothing) {
  const auto first = make(fixture("network.pt"));
  const auto second = make(fixture("network.pt"));
  const c10::NoGradGuard no_grad;
  first->module().parameters()[0].zero_();
  EXPECT_TRUE(close(second->module().parameters()[0], golden()["state"]["stem.0.weight"], 0));
}

TEST(TorchScript, TakesOtherPrecisionsAndSizesWhereTheModuleDoes) {
  const auto half = make(fixture("half.pt"));
  EXPECT_EQ(half->module().parameters()[0].scalar_type(), at::kFloat);
  EXPECT_EQ(half->forward(images()).scalar_type(), at::kFloat);
  const auto twelve = make(fixture("twelve.pt"), {3, 12, 12});
  try {
    twelve->forward(images());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::run);
    EXPECT_NE(std::string(error.what()).find("[4, 3, 6, 5]: only images of 12 pixels"),
              std::string::npos)
        << error.what();
  }
}

TEST(TorchScript, RefusesWhatItCannotTrain) {
  const test::TemporaryFolder folder;
  const std::string whole = test::read_file(fixture("network.pt"));
  test::write_file(folder.path() / "cut.pt", whole.substr(0, whole.size() / 2));
  test::write_file(folder.path() / "short.pt", "PK");
  test::write_file(folder.path() / "text.pt", "weights");
  const std::vector<std::pair<fs::path, std::string>> cases = {
      {folder.path() / "none.pt", "there is no file"},
      {folder.path(), "there is no file"},
      {folder.path() / "text.pt", "no ZIP archive"},
      {folder.path() / "short.pt", "no ZIP archive"},
      {folder.path() / "cut.pt", "damaged"},
      {fixture("state_dict.pth"), "a stage of kind \"import\""},
      {fixture("pair.pt"), "gives a Tuple"},
      {fixture("once.pt"), "not twice differentiable, which a stage of kind \"bissl\" needs"},
      {fixture("detached.pt"), "not twice differentiable"},
      {fixture("frozen.pt"), "no parameters of floating point that require a gradient"},
      {fixture("without_gradient.pt"), "no parameters of floating point"},
      {fixture("tied.pt"), "share their memory"},
      {fixture("twelve.pt"), "6x5 pixels in 3 channels: only images of 12 pixels"},
  };
  for (const auto& [file, words] : cases) {
    const std::string found = refusal(file);
    EXPECT_NE(found.find(words), std::string::npos) << file << ": " << found;
    EXPECT_EQ(found.find('\n'), std::string::npos) << found;
  }
}

/// Each is taken or refused as wrong input.
TEST(TorchScript, SurvivesDamagedFiles) {
  const test::TemporaryFolder folder;
  const fs::path file = folder.path() / "damaged.pt";
  const std::string whole = test::read_file(fixture("maps.pt"));
  int refused = 0;
  for (size_t place = 5; place < whole.size(); place += 61) {
    std::string damaged = whole;
    damaged[place] = char(damaged[place] ^ 0x15);
    test::write_file(file, damaged);
    refused += refusal(file) == "taken" ? 0 : 1;
  }
  EXPECT_GT(refused, 5);
}

}  // namespace
}  // namespace bissl::host
