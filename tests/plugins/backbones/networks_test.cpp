#include "networks.h"
#include "bissl/backbone_abilities.h"
#include "bissl/error.h"
#include "reference/second_order.h"
#include "sdk/plugin_library.h"

namespace bissl::host {
namespace {

using nlohmann::json;
using test::close;
using test::pattern;

const test::PluginLibrary& library() { return test::shared_library("networks"); }

const json& golden() { return test::backbones()["convolutional"]; }

std::shared_ptr<Backbone> make(const std::string& name, const ParameterValues& changes,
                               const ImageShape& input) {
  return library().make<Backbone>(name, changes, {.input = input});
}

/// Options as the golden file has them.
ParameterValues values_from(const json& options) {
  ParameterValues values;
  for (const auto& [name, value] : options.items()) {
    if (value.is_array()) {
      values[name] = value.get<std::vector<int64_t>>();
    } else if (value.is_number_integer()) {
      values[name] = value.get<int64_t>();
    } else {
      values[name] = value.get<double>();
    }
  }
  return values;
}

std::string refusal(const std::string& name, const ImageShape& input) {
  try {
    make(name, {}, input);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    return error.what();
  }
  return "taken";
}

/// Windows of 2 places in maps of 5, 3, 2 and 1 for images of 11 pixels.
ParameterValues small_swin(ParameterValues options = {}) {
  options["patch"] = int64_t{2};
  options["width"] = int64_t{4};
  options["depths"] = std::vector<int64_t>{2, 2, 1, 1};
  options["heads"] = std::vector<int64_t>{2, 2, 2, 2};
  options["window"] = int64_t{2};
  options["mlp_ratio"] = 1.0;
  return options;
}

TEST(Networks, HaveTorchvisionsShapes) {
  for (const auto& [name, shapes] : golden()["shapes"].items()) {
    const auto backbone = make(name, {}, {3, 64, 64});
    EXPECT_EQ(test::shapes_of(backbone->module()),
              (shapes.get<std::map<std::string, std::vector<int64_t>>>()))
        << name;
  }
  for (const auto& [name, count] : golden()["parameters"].items()) {
    EXPECT_EQ(test::count_parameters(make(name, {}, {3, 64, 64})->module()), count) << name;
  }
}

TEST(Networks, ComputeWhatTheReferencesCompute) {
  for (const json& expected : golden()["forward"]) {
    const auto name = expected["name"].get<std::string>();
    SCOPED_TRACE(name);
    const auto shape = expected["images"].get<std::vector<int64_t>>();
    const auto backbone =
        make(name, values_from(expected["options"]), {shape[1], shape[2], shape[3]});
    torch::nn::Module& module = backbone->module();
    test::set_network_weights(module);
    const at::Tensor images = pattern(1, shape) * 2;
    module.eval();
    const auto first_channels = [](const at::Tensor& features) {
      return features.narrow(1, 0, std::min<int64_t>(12, features.size(1)));
    };
    EXPECT_TRUE(close(first_channels(backbone->forward(images)), expected["eval"], 1e-9));
    module.train();
    const at::Tensor trained = backbone->forward(images);
    EXPECT_EQ(trained.size(1), backbone->features());
    EXPECT_TRUE(close(first_channels(trained), expected["train"], 1e-8));
    trained.mul(pattern(2, trained.sizes())).sum().backward();
    test::expect_gradient_norms(module, expected["gradient_norms"], 1e-7);
  }
}

TEST(Networks, AreTwiceDifferentiableWhileTraining) {
  struct Case {
    std::string name;
    ParameterValues options;
    int64_t size;
  };
  const std::vector<int64_t> ones{1, 1, 1, 1};
  const std::vector<Case> cases = {
      {"convnext-atto", {{"width", int64_t{2}}, {"depths", ones}, {"layer_scale", 0.5}}, 32},
      {"swin-tiny", small_swin(), 11},
      {"mlp", {{"widths", std::vector<int64_t>{5, 4}}}, 6},
      {"resnet9", {{"width", int64_t{2}}}, 16},
      {"wide-resnet", {{"depth", int64_t{10}}, {"factor", int64_t{1}}, {"width", int64_t{3}}}, 16},
      {"conv-mixer", {{"width", int64_t{4}}, {"depth", int64_t{2}}, {"kernel", int64_t{3}}}, 8},
  };
  for (const Case& network : cases) {
    SCOPED_TRACE(network.name);
    const auto backbone = make(network.name, network.options, {1, network.size, network.size});
    test::set_network_weights(backbone->module());
    const at::Tensor images = pattern(1, {4, 1, network.size, network.size}) * 2;
    const at::Tensor weights = pattern(2, {4, backbone->features()});
    test::expect_hessian_products(
        backbone->module().parameters(),
        [&] { return backbone->forward(images).square().mul(weights).sum(); }, 1e-5);
  }
}

TEST(Networks, ComputeBlocksAgain) {
  struct Case {
    std::string name;
    ParameterValues options;
    int64_t size;
  };
  const std::vector<int64_t> ones{1, 1, 1, 1};
  const std::vector<Case> cases = {
      {"convnext-atto",
       {{"width", int64_t{2}}, {"depths", ones}, {"layer_scale", 0.5}, {"drop_path", 0.5}},
       32},
      {"swin-tiny", small_swin({{"drop_path", 0.5}}), 11},
      {"wide-resnet", {{"depth", int64_t{10}}, {"factor", int64_t{1}}, {"width", int64_t{3}}}, 8},
      {"conv-mixer", {{"width", int64_t{4}}, {"depth", int64_t{2}}, {"kernel", int64_t{3}}}, 8},
      {"mobilenet-v2", {{"width", 0.1}, {"stem", std::string("small")}, {"drop_path", 0.5}}, 16},
      {"efficientnet-b0", {{"width", 0.1}, {"stem", std::string("small")}}, 16},
      {"vgg16", {{"width", int64_t{2}}, {"depths", std::vector<int64_t>{1, 2, 1, 1, 1}}}, 64},
      {"resnet9", {{"width", int64_t{2}}}, 16},
  };
  for (const Case& network : cases) {
    SCOPED_TRACE(network.name);
    const ImageShape shape{1, network.size, network.size};
    ParameterValues options = network.options;
    const auto plain = make(network.name, options, shape);
    options["recompute"] = true;
    const auto again = make(network.name, options, shape);
    test::expect_the_same_recomputed(*plain, *again,
                                     pattern(1, {4, 1, network.size, network.size}) * 2);
  }
}

TEST(Networks, ComputeInBfloat16) {
  struct Case {
    std::string name;
    ParameterValues options;
    int64_t size;
  };
  const std::vector<int64_t> ones{1, 1, 1, 1};
  const std::vector<Case> cases = {
      {"convnext-atto", {{"width", int64_t{8}}, {"depths", ones}, {"layer_scale", 0.5}}, 32},
      {"swin-tiny", small_swin(), 11},
      {"mlp", {{"widths", std::vector<int64_t>{8, 8}}}, 6},
      {"resnet9", {{"width", int64_t{2}}}, 16},
      {"wide-resnet", {{"depth", int64_t{10}}, {"factor", int64_t{1}}, {"width", int64_t{3}}}, 8},
      {"conv-mixer", {{"width", int64_t{4}}, {"depth", int64_t{2}}, {"kernel", int64_t{3}}}, 8},
      {"mobilenet-v2", {{"width", 0.1}, {"stem", std::string("small")}}, 16},
      {"efficientnet-b0", {{"width", 0.1}, {"stem", std::string("small")}}, 16},
      {"vgg16", {{"width", int64_t{2}}, {"depths", std::vector<int64_t>{1, 2, 1, 1, 1}}}, 64},
  };
  for (const Case& network : cases) {
    SCOPED_TRACE(network.name);
    torch::manual_seed(2);
    const auto backbone = make(network.name, network.options, {1, network.size, network.size});
    test::expect_near_in_bf16(*backbone,
                              (pattern(1, {4, 1, network.size, network.size}) * 2).to(at::kFloat));
  }
}

void expect_announced_maps(const std::vector<std::string>& names) {
  const c10::NoGradGuard no_grad;
  for (const std::string& name : names) {
    const auto backbone = make(name, {}, {3, 64, 64});
    auto* maps = capability<FeatureMaps>(*backbone);
    if (name == "mlp") {
      EXPECT_EQ(maps, nullptr);
      continue;
    }
    ASSERT_NE(maps, nullptr) << name;
    backbone->module().eval();
    const TensorList found = maps->maps(at::ones({1, 3, 64, 64}));
    const auto levels = maps->map_levels();
    ASSERT_EQ(found.size(), levels.size()) << name;
    for (size_t i = 0; i < levels.size(); ++i) {
      const int64_t side = 64 / levels[i].stride;
      EXPECT_EQ(found[i].sizes(), (std::vector<int64_t>{1, levels[i].channels, side, side}))
          << name << " level " << i;
    }
  }
}

/// The smallest network of each kind.
TEST(Networks, GiveTheMapsThatTheyAnnounce) {
  expect_announced_maps({"conv-mixer", "convnext-atto", "efficientnet-b0", "mlp", "mobilenet-v2",
                         "resnet9", "swin-tiny", "vgg11"});
}

TEST(Networks, WideGiveTheMapsThatTheyAnnounce) { expect_announced_maps(library().names()); }

TEST(Networks, KnowHowDeepSwinsLayersLie) {
  const auto backbone = make("swin-tiny", small_swin(), {1, 11, 11});
  const auto* layers = capability<LayerDepths>(*backbone);
  ASSERT_NE(layers, nullptr);
  EXPECT_EQ(layers->depths(), 7);
  const std::map<std::string, int64_t> expected{{"features.0.0.weight", 0},
                                                {"features.0.2.bias", 0},
                                                {"features.1.0.norm1.weight", 1},
                                                {"features.1.1.mlp.3.bias", 2},
                                                {"features.2.norm.weight", 2},
                                                {"features.3.0.attn.qkv.weight", 3},
                                                {"features.6.reduction.weight", 5},
                                                {"features.7.0.norm2.bias", 6},
                                                {"norm.weight", 7}};
  for (const auto& [name, depth] : expected) {
    EXPECT_TRUE(backbone->module().named_parameters().contains(name)) << name;
    EXPECT_EQ(layers->depth_of(name), depth) << name;
  }
}

TEST(Networks, RefuseImagesThatAreTooSmall) {
  EXPECT_NE(refusal("convnext-atto", {3, 28, 64}).find("at least 32x32 pixels, found 28x64"),
            std::string::npos);
  EXPECT_NE(refusal("vgg16", {3, 31, 32}).find("at least 32x32"), std::string::npos);
  EXPECT_NE(refusal("resnet9", {1, 7, 9}).find("at least 8x8"), std::string::npos);
  EXPECT_NE(refusal("wide-resnet", {1, 3, 9}).find("at least 4x4"), std::string::npos);
  const auto mlp = make("mlp", {}, {1, 6, 6});
  mlp->module().eval();
  EXPECT_THROW(mlp->forward(at::ones({2, 1, 6, 7})), Error);
  EXPECT_EQ(library().findings("wide-resnet", {{"depth", int64_t{27}}}).size(), 1);
  EXPECT_NE(refusal("swin-tiny", {3, 3, 9}).find("at least 4x4"), std::string::npos);
  EXPECT_EQ(library().findings("swin-tiny", {{"width", int64_t{94}}}),
            (std::vector<std::string>{"heads: must divide the channels of each stage; 3 does not "
                                      "divide the 94 of stage 1"}));
  EXPECT_EQ(library().findings("conv-mixer", {{"kernel", int64_t{4}}}).size(), 1);
  EXPECT_EQ(library().findings("mlp", {{"widths", std::vector<int64_t>{}}}).size(), 1);
}

}  // namespace
}  // namespace bissl::host
