#include "bissl/backbone_abilities.h"
#include "bissl/error.h"
#include "networks.h"
#include "reference/second_order.h"
#include "sdk/plugin_library.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/tensor.h>

namespace bissl::host {
namespace {

using nlohmann::json;
using test::close;
using test::pattern;

const test::PluginLibrary& library() { return test::shared_library("vit"); }

const json& golden() { return test::backbones()["vit"]; }

/// The small network of tests/reference/backbones.py.
ParameterValues small(ParameterValues changes = {}) {
  ParameterValues values{{"patch", int64_t{4}},
                         {"width", int64_t{12}},
                         {"depth", int64_t{2}},
                         {"heads", int64_t{3}},
                         {"mlp_ratio", 2.0}};
  for (auto& [name, value] : changes) {
    values[name] = value;
  }
  return values;
}

std::shared_ptr<Backbone> make_small(ParameterValues changes, const ImageShape& input) {
  return library().make<Backbone>("vit-tiny", small(std::move(changes)), {.input = input});
}

std::string refusal(const ParameterValues& changes, const ImageShape& input) {
  try {
    library().make<Backbone>("vit-tiny", changes, {.input = input});
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    return error.what();
  }
  return "taken";
}

TEST(Vit, HasTimmsNamesAndTorchvisionsShapes) {
  const auto expected = golden()["shapes"].get<std::map<std::string, std::vector<int64_t>>>();
  const auto base = library().make<Backbone>("vit-base", {}, {.input = {3, 224, 224}});
  EXPECT_EQ(test::shapes_of(base->module()), expected);
  EXPECT_EQ(base->features(), 768);
  // vit_b_16 of torchvision has 86,567,656 weights, its classifier 769,000 of them.
  EXPECT_EQ(test::count_parameters(base->module()), 86567656 - 769000);
}

TEST(Vit, ComputesWhatTorchvisionsBlocksCompute) {
  for (const json& expected : golden()["forward"]) {
    SCOPED_TRACE(expected.dump().substr(0, 160));
    const auto shape = expected["images"].get<std::vector<int64_t>>();
    const auto backbone = make_small({{"pool", expected["pool"].get<std::string>()},
                                      {"class_token", expected["class_token"].get<bool>()},
                                      {"registers", expected["registers"].get<int64_t>()},
                                      {"positions", expected["positions"].get<std::string>()},
                                      {"position_size", expected["position_size"].get<int64_t>()}},
                                     {shape[1], shape[2], shape[3]});
    const bool fixed = expected["positions"] == "sincos";
    test::set_network_weights(backbone->module(), fixed ? "pos_embed" : "");
    const at::Tensor features = backbone->forward(pattern(1, shape) * 2);
    EXPECT_TRUE(close(features, expected["features"], 1e-9));
    features.mul(pattern(2, features.sizes())).sum().backward();
    test::expect_gradient_norms(backbone->module(), expected["gradient_norms"]);
  }
}

TEST(Vit, LeavesOutAndMasksPatches) {
  const json& expected = golden()["selection"];
  const auto backbone = make_small({{"registers", int64_t{2}}}, {3, 12, 12});
  test::set_network_weights(backbone->module());
  auto* tokens = capability<Tokens>(*backbone);
  ASSERT_NE(tokens, nullptr);
  EXPECT_EQ(tokens->extra_tokens(), 3);
  EXPECT_EQ(tokens->token_width(), 12);
  EXPECT_EQ(tokens->patch().height, 4);
  const at::Tensor images = pattern(1, {2, 3, 12, 12}) * 2;
  const auto kept = expected["kept"].get<std::vector<std::vector<int64_t>>>();
  PatchSelection some;
  some.kept = at::cat({at::tensor(kept[0]), at::tensor(kept[1])}).reshape({2, 3});
  EXPECT_TRUE(close(tokens->tokens(images, some), expected["tokens_kept"], 1e-9));
  PatchSelection masked;
  masked.masked = at::arange(18).reshape({2, 9}).remainder(3) == 0;
  masked.mask_token = pattern(9, {12});
  EXPECT_TRUE(close(tokens->tokens(images, masked), expected["tokens_masked"], 1e-9));
}

TEST(Vit, IsTwiceDifferentiableInEachForm) {
  const std::vector<ParameterValues> forms = {
      {},
      {{"pool", std::string("mean")}, {"positions", std::string("sincos")}},
      {{"registers", int64_t{1}}, {"layer_scale", 0.5}, {"position_size", int64_t{12}}}};
  for (const ParameterValues& form : forms) {
    const auto backbone = make_small(form, {1, 8, 8});
    test::set_network_weights(backbone->module());
    const at::Tensor images = pattern(1, {2, 1, 8, 8}) * 2;
    const at::Tensor weights = pattern(2, {2, 12});
    test::expect_hessian_products(
        backbone->module().parameters(),
        [&] { return backbone->forward(images).square().mul(weights).sum(); }, 1e-5);
  }
}

TEST(Vit, ComputesBlocksAgain) {
  const ParameterValues form{{"layer_scale", 0.5}, {"drop_path", 0.5}, {"registers", int64_t{1}}};
  const auto plain = make_small(form, {1, 8, 8});
  ParameterValues more = form;
  more["recompute"] = true;
  const auto again = make_small(more, {1, 8, 8});
  test::expect_the_same_recomputed(*plain, *again, pattern(1, {4, 1, 8, 8}) * 2);
}

TEST(Vit, DropsBranchesInTrainingAlone) {
  const auto backbone = make_small({{"drop_path", 0.9}}, {1, 8, 8});
  const auto plain = make_small({}, {1, 8, 8});
  test::set_network_weights(backbone->module());
  test::set_network_weights(plain->module());
  const c10::NoGradGuard no_grad;
  const at::Tensor images = pattern(1, {16, 1, 8, 8});
  backbone->module().eval();
  EXPECT_TRUE(backbone->forward(images).equal(plain->forward(images)));
  backbone->module().train();
  // The first block keeps its branches; the last one drops those of most samples.
  const at::Tensor difference = (backbone->forward(images) - plain->forward(images)).abs().amax(1);
  EXPECT_GT(difference.min().item<double>(), 1e-6);
}

TEST(Vit, KnowsHowDeepItsLayersLie) {
  const auto backbone = make_small({{"registers", int64_t{2}}}, {3, 8, 8});
  const auto* layers = capability<LayerDepths>(*backbone);
  ASSERT_NE(layers, nullptr);
  EXPECT_EQ(layers->depths(), 3);
  const std::map<std::string, int64_t> expected{{"cls_token", 0},
                                                {"reg_token", 0},
                                                {"pos_embed", 0},
                                                {"patch_embed.proj.bias", 0},
                                                {"blocks.0.norm1.weight", 1},
                                                {"blocks.1.mlp.fc2.bias", 2},
                                                {"norm.weight", 3}};
  for (const auto& [name, depth] : expected) {
    EXPECT_TRUE(backbone->module().named_parameters().contains(name)) << name;
    EXPECT_EQ(layers->depth_of(name), depth) << name;
  }
}

TEST(Vit, RefusesWhatPatchesDoNotCut) {
  EXPECT_NE(refusal(small(), {3, 12, 14}).find("patch = 4) do not cut images of 12x14 pixels"),
            std::string::npos);
  EXPECT_NE(refusal(small({{"position_size", int64_t{30}}}), {3, 12, 12}).find("30x30"),
            std::string::npos);
  const auto backbone = make_small({}, {3, 12, 12});
  EXPECT_THROW(backbone->forward(pattern(1, {1, 3, 10, 12}).to(at::kFloat)), Error);
  EXPECT_EQ(library().findings("vit-tiny", {{"heads", int64_t{5}}}),
            (std::vector<std::string>{"heads: must divide width = 192; 5 does not"}));
  EXPECT_EQ(library().findings("vit-tiny", {{"class_token", false}}).size(), 1);
}

TEST(Vit, ComputesInBfloat16) {
  torch::manual_seed(2);
  const auto backbone = make_small({}, {3, 8, 8});
  test::expect_near_in_bf16(*backbone, (pattern(1, {4, 3, 8, 8}) * 2).to(at::kFloat));
}

}  // namespace
}  // namespace bissl::host
