#include "bissl/backbone.h"
#include "bissl/backbone_abilities.h"
#include "bissl/error.h"
#include "networks.h"
#include "reference/golden.h"
#include "reference/second_order.h"
#include "sdk/plugin_library.h"

#include <torch/nn/module.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

namespace bissl::host {
namespace {

using nlohmann::json;
using test::close;
using test::pattern;

const test::PluginLibrary& library() { return test::shared_library("resnet"); }

const json& golden() {
  static const json content = test::golden("resnet.json");
  return content;
}

std::shared_ptr<Backbone> make(const std::string& name, int64_t channels, int64_t width,
                               const std::string& stem) {
  return library().make<Backbone>(name, {{"width", width}, {"stem", stem}},
                                  {.input = {channels, 12, 12}});
}

/// Parameters and buffers in the order of their names.
std::map<std::string, at::Tensor> state(torch::nn::Module& module) {
  std::map<std::string, at::Tensor> tensors;
  for (const auto& item : module.named_parameters()) {
    tensors.emplace(item.key(), item.value());
  }
  for (const auto& item : module.named_buffers()) {
    tensors.emplace(item.key(), item.value());
  }
  return tensors;
}

int64_t count_parameters(torch::nn::Module& module) {
  int64_t count = 0;
  for (const at::Tensor& parameter : module.parameters()) {
    count += parameter.numel();
  }
  return count;
}

/// As set_weights in tests/reference/training.py.
void set_weights(torch::nn::Module& module) {
  const c10::NoGradGuard no_grad;
  module.to(at::kDouble);
  int64_t k = -1;
  for (auto& [name, tensor] : state(module)) {
    ++k;
    if (!tensor.is_floating_point()) {
      continue;
    }
    const at::Tensor values = pattern(k, tensor.sizes());
    if (tensor.dim() == 4) {
      tensor.copy_(values * std::sqrt(24.0 / static_cast<double>(tensor[0].numel())));
    } else if (name.ends_with("bias") || name.ends_with("running_mean")) {
      tensor.copy_(values * 0.2);
    } else {
      tensor.copy_(values * 0.5 + 1);
    }
  }
}

TEST(ResNet, HasTorchvisionsNamesAndShapes) {
  EXPECT_EQ(library().names(),
            (std::vector<std::string>{"resnet101", "resnet152", "resnet18", "resnet34", "resnet50",
                                      "resnext101-32x8d", "resnext50-32x4d", "wide-resnet101-2",
                                      "wide-resnet50-2"}));
  for (const json& network : golden()["networks"]) {
    const auto name = network["name"].get<std::string>();
    for (const std::string stem : {"imagenet", "small"}) {
      auto expected = network["shapes"].get<std::map<std::string, std::vector<int64_t>>>();
      if (stem == "small") {
        expected["conv1.weight"] = {64, 3, 3, 3};
      }
      const auto backbone = make(name, 3, 64, stem);
      std::map<std::string, std::vector<int64_t>> found;
      for (const auto& [key, tensor] : state(backbone->module())) {
        found[key] = tensor.sizes().vec();
      }
      EXPECT_EQ(found, expected) << name << " " << stem;
      EXPECT_EQ(backbone->features(), name == "resnet50" ? 2048 : 512);
    }
  }
}

TEST(ResNet, HasTorchvisionsNumberOfParameters) {
  for (const json& network : golden()["networks"]) {
    const auto name = network["name"].get<std::string>();
    EXPECT_EQ(count_parameters(make(name, 3, 64, "imagenet")->module()), network["parameters"]);
    EXPECT_EQ(count_parameters(make(name, 1, 16, "small")->module()),
              network["parameters_gray_width16_small"]);
  }
}

TEST(ResNet, ComputesWhatTorchvisionComputes) {
  for (const json& expected : golden()["forward"]) {
    const auto name = expected["name"].get<std::string>();
    SCOPED_TRACE(name);
    const auto shape = expected["images"].get<std::vector<int64_t>>();
    const auto backbone = make(name, shape[1], expected["width"], expected["stem"]);
    torch::nn::Module& module = backbone->module();
    set_weights(module);
    const at::Tensor images = pattern(1, shape) * 2;

    module.eval();
    const at::Tensor scored = backbone->forward(images);
    EXPECT_EQ(scored.sizes(), (std::vector<int64_t>{shape[0], backbone->features()}));
    EXPECT_TRUE(close(scored, expected["eval"], 1e-9));

    module.train();
    const at::Tensor trained = backbone->forward(images);
    EXPECT_TRUE(close(trained, expected["train"], 1e-9));
    const auto tensors = state(module);
    EXPECT_TRUE(close(tensors.at("bn1.running_mean"), expected["running_mean"], 1e-12));
    EXPECT_TRUE(close(tensors.at("bn1.running_var"), expected["running_var"], 1e-12));
    EXPECT_EQ(tensors.at("bn1.num_batches_tracked").item<int64_t>(), 1);

    trained.mul(pattern(2, trained.sizes())).sum().backward();
    const auto norms = expected["gradient_norms"].get<std::map<std::string, double>>();
    ASSERT_EQ(norms.size(), module.parameters().size());
    for (const auto& [key, size] : norms) {
      EXPECT_NEAR(tensors.at(key).grad().norm().item<double>(), size, 1e-9 * (1 + size)) << key;
    }
  }
}

TEST(ResNet, IsTwiceDifferentiableWhileTraining) {
  struct Case {
    std::string name;
    std::string stem;
    int64_t size;  // large enough for batch statistics over more than a few values at the end
  };
  for (const Case& network : {Case{"resnet18", "small", 16}, Case{"resnet50", "imagenet", 64}}) {
    SCOPED_TRACE(network.name);
    const auto backbone = make(network.name, 1, 2, network.stem);
    set_weights(backbone->module());
    const at::Tensor images = pattern(1, {4, 1, network.size, network.size}) * 2;
    const at::Tensor weights = pattern(2, {4, backbone->features()});
    test::expect_hessian_products(
        backbone->module().parameters(),
        [&] { return backbone->forward(images).square().mul(weights).sum(); }, 1e-5);
  }
}

TEST(ResNet, ComputesBlocksAgain) {
  for (const std::string name : {"resnet18", "resnet50"}) {
    SCOPED_TRACE(name);
    ParameterValues options{{"width", int64_t{2}}, {"stem", std::string("small")}};
    const auto plain = library().make<Backbone>(name, options, {.input = {1, 16, 16}});
    options["recompute"] = true;
    const auto again = library().make<Backbone>(name, options, {.input = {1, 16, 16}});
    test::expect_the_same_recomputed(*plain, *again, pattern(1, {4, 1, 16, 16}) * 2);
  }
}

TEST(ResNet, WideHasTorchvisionsLargerNetworks) {
  const json expected = test::golden("backbones.json")["resnet"];
  for (const auto& [name, count] : expected["parameters"].items()) {
    EXPECT_EQ(count_parameters(make(name, 3, 64, "imagenet")->module()), count) << name;
  }
  for (const json& network : expected["forward"]) {
    const auto name = network["name"].get<std::string>();
    SCOPED_TRACE(name);
    const auto backbone = make(name, 3, 64, "imagenet");
    std::map<std::string, std::vector<int64_t>> shapes;
    for (const auto& [key, tensor] : state(backbone->module())) {
      shapes[key] = tensor.sizes().vec();
    }
    EXPECT_EQ(shapes, (network["shapes"].get<std::map<std::string, std::vector<int64_t>>>()));
    set_weights(backbone->module());
    backbone->module().eval();
    const c10::NoGradGuard no_grad;
    const at::Tensor images = pattern(1, {2, 3, 48, 48}) * 2;
    const at::Tensor features = backbone->forward(images).narrow(1, 0, 12);
    EXPECT_TRUE(close(features / features.abs().max(), network["eval"], 1e-9));
  }
}

TEST(ResNet, HasTorchvisionsDeepNetworks) {
  // An eighth of the width, so that nobody waits for the weights' random numbers: all dimensions of
  // channels are an eighth then, but for the images' and, in a group, those of one channel.
  constexpr int64_t part = 8;
  const json expected = test::golden("backbones.json")["resnet"]["deep"];
  ASSERT_EQ(expected.size(), 4);
  for (const auto& [name, counts] : expected.items()) {
    const auto backbone = make(name, 3, 64 / part, "imagenet");
    EXPECT_EQ(backbone->features(), 2048 / part) << name;
    EXPECT_EQ(state(backbone->module()).size(), counts["tensors"]) << name;
    int64_t whole = 0;
    for (const auto& item : backbone->module().named_parameters()) {
      const bool both = item.value().dim() == 4 && item.key() != "conv1.weight";
      whole += item.value().numel() * part * (both ? part : 1);
    }
    EXPECT_EQ(whole, counts["parameters"]) << name;
  }
}

TEST(ResNet, RefusesWidthsThatCannotBeCutIntoGroups) {
  EXPECT_THROW(make("resnext50-32x4d", 3, 24, "small"), Error);
  EXPECT_EQ(make("resnext50-32x4d", 3, 16, "small")->features(), 512);
}

TEST(ResNet, StartsAsTorchvisionDoes) {
  // Normal with variance 2/(fan out), scale 1 and bias 0; another network gets other weights.
  const auto backbone = make("resnet18", 3, 64, "small");
  const auto tensors = state(backbone->module());
  const at::Tensor& convolution = tensors.at("layer4.1.conv2.weight");
  EXPECT_NEAR(convolution.std().item<double>(), std::sqrt(2.0 / (512 * 9)), 1e-4);
  EXPECT_NEAR(convolution.mean().item<double>(), 0.0, 1e-4);
  EXPECT_EQ(tensors.at("layer4.1.bn2.weight").sum().item<double>(), 512);
  EXPECT_EQ(tensors.at("layer4.1.bn2.bias").norm().item<double>(), 0);
  const auto other = make("resnet18", 3, 64, "small");
  EXPECT_FALSE(convolution.equal(state(other->module()).at("layer4.1.conv2.weight")));
}

TEST(ResNet, HasAsManyBlocksAsItIsGiven) {
  const auto backbone = library().make<Backbone>(
      "resnet50", {{"width", int64_t{2}}, {"depths", std::vector<int64_t>{1, 3, 1, 1}}},
      {.input = {3, 16, 16}});
  const auto tensors = state(backbone->module());
  EXPECT_TRUE(tensors.contains("layer2.2.conv3.weight"));
  EXPECT_FALSE(tensors.contains("layer2.3.conv3.weight"));
  EXPECT_FALSE(tensors.contains("layer1.1.conv3.weight"));
  EXPECT_EQ(capability<LayerDepths>(*backbone)->depths(), 1 + 1 + 3 + 1 + 1);
}

TEST(ResNet, KnowsHowDeepItsLayersLie) {
  const auto backbone =
      library().make<Backbone>("resnet34", {{"width", int64_t{2}}}, {.input = {3, 16, 16}});
  const auto* layers = capability<LayerDepths>(*backbone);
  ASSERT_NE(layers, nullptr);
  EXPECT_EQ(layers->depths(), 1 + 3 + 4 + 6 + 3);
  EXPECT_EQ(layers->depth_of("conv1.weight"), 0);
  EXPECT_EQ(layers->depth_of("bn1.bias"), 0);
  EXPECT_EQ(layers->depth_of("layer1.0.conv1.weight"), 1);
  EXPECT_EQ(layers->depth_of("layer1.2.bn2.weight"), 3);
  EXPECT_EQ(layers->depth_of("layer2.0.downsample.0.weight"), 4);
  EXPECT_EQ(layers->depth_of("layer4.2.conv2.weight"), 16);
}

TEST(ResNet, RefusesValuesOutOfBounds) {
  EXPECT_THROW(library().values("resnet18", {{"width", int64_t{0}}}), std::invalid_argument);
  EXPECT_THROW(library().values("resnet18", {{"stem", "tiny"}}), std::invalid_argument);
}

TEST(ResNet, ComputesInBfloat16) {
  for (const bool recompute : {false, true}) {
    torch::manual_seed(2);
    const auto backbone = library().make<Backbone>(
        "resnet18",
        {{"width", int64_t{2}}, {"stem", std::string("imagenet")}, {"recompute", recompute}},
        {.input = {3, 16, 16}});
    test::expect_near_in_bf16(*backbone, (pattern(1, {4, 3, 16, 16}) * 2).to(at::kFloat));
  }
}

}  // namespace
}  // namespace bissl::host
