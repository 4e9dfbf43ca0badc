#include "weights/key_rules.h"

#include "bissl/error.h"
#include "core/weights/hand_made.h"
#include "reference/golden.h"
#include "weights/coverage.h"
#include "weights/name_pattern.h"
#include "weights/naming.h"

#include <ATen/ops/ones.h>

#include <gtest/gtest.h>

namespace bissl::host::test {
namespace {

const std::string golden_folder = std::string(source_folder) + "/tests/reference/golden/weights/";

NamedShapes golden_backbone() {
  const nlohmann::json expected = golden("weights/expected.json");
  NamedShapes shapes;
  for (const auto& entry : expected.at("backbone")) {
    shapes.emplace_back(entry.at(0), entry.at(1).get<std::vector<int64_t>>());
  }
  return shapes;
}

/// Whether the numbers that a rule finds are those of the network that is meant.
void expect_right_numbers(const WeightsFile& file, const MappedWeights& mapped,
                          const nlohmann::json& wanted) {
  const Coverage coverage = cover(file, mapped, golden_backbone(), {});
  EXPECT_TRUE(coverage.complete()) << coverage_text(coverage);
  const NamedTensors tensors = read_matched(file, mapped, coverage);
  EXPECT_EQ(tensors.size(), wanted.size());
  for (const auto& [name, tensor] : tensors) {
    EXPECT_TRUE(close(tensor, wanted.at(name), 0)) << name;
  }
}

TEST(KeyRules, EachSourceIsDetectedAndReadByItsName) {
  const nlohmann::json sources = golden("weights/expected.json").at("sources");
  ASSERT_GE(sources.size(), 15U);
  for (const auto& [name, wanted] : sources.items()) {
    SCOPED_TRACE(name);
    const WeightsFile file(golden_folder + name + ".pth");
    const KeyRule* rule = find_key_rule(name);
    ASSERT_NE(rule, nullptr);
    expect_right_numbers(file, apply_rule(*rule, file), wanted);
    const MappedWeights detected = detect_rule(file, golden_backbone());
    // The momentum encoder and the student have to be asked for by name.
    const std::string meant = name == "moco-v3-momentum" ? "moco-v3"
                              : name == "dino-student"   ? "dino"
                                                         : name;
    EXPECT_EQ(detected.rule, meant);
    if (meant == name) {
      expect_right_numbers(file, detected, wanted);
    }
  }
}

TEST(KeyRules, EveryRuleThatShipsHasAFileOrANamesake) {
  const nlohmann::json sources = golden("weights/expected.json").at("sources");
  const nlohmann::json networks = golden("weights/expected.json").at("networks");
  for (const KeyRule& rule : key_rules()) {
    const bool by_hand = rule.name.starts_with("timm") || rule.name == "bissl-reference";
    if (!by_hand) {
      EXPECT_TRUE(sources.contains(rule.name) || networks.contains(rule.name)) << rule.name;
    }
    EXPECT_FALSE(rule.summary.empty());
  }
  const WeightsFile file(golden_folder + "torchvision.pth");
  for (const char* name : {"timm", "torchvision"}) {
    expect_right_numbers(file, apply_rule(*find_key_rule(name), file), sources.at("torchvision"));
  }
}

TEST(KeyRules, NamesOfTorchvisionsTransformersAndConvNextsBecomeTimms) {
  const nlohmann::json expected = golden("weights/expected.json");
  for (const auto& [name, tensors] : expected.at("networks").items()) {
    SCOPED_TRACE(name);
    NamedShapes wanted;
    for (const auto& [key, tensor] : tensors.items()) {
      wanted.emplace_back(key, tensor.at("shape").get<std::vector<int64_t>>());
    }
    const WeightsFile file(golden_folder + name + ".pth");
    const MappedWeights mapped = detect_rule(file, wanted);
    EXPECT_EQ(mapped.rule, name);
    const Coverage coverage = cover(file, mapped, wanted, {});
    ASSERT_TRUE(coverage.complete()) << coverage_text(coverage);
    EXPECT_EQ(coverage.matched.size(), wanted.size());
    for (const auto& [key, tensor] : read_matched(file, mapped, coverage)) {
      EXPECT_EQ(tensor.sizes(), tensors.at(key).at("shape").get<std::vector<int64_t>>()) << key;
      EXPECT_TRUE(close(tensor, tensors.at(key).at("values"), 1e-7)) << key;
    }
  }
}

TEST(KeyRules, DimensionsOfOneMayDifferAndAreReported) {
  const WeightsFile file(golden_folder + "torchvision-convnext.pth");
  const MappedWeights mapped = apply_rule(*find_key_rule("torchvision-convnext"), file);
  const auto reshaped = [&](const std::vector<int64_t>& shape) {
    return cover(file, mapped, {{"stages.0.blocks.0.gamma", shape}}, {"*"});
  };
  EXPECT_EQ(reshaped({2}).reshaped.size(), 1U);
  EXPECT_NE(coverage_text(reshaped({2})).find("[2, 1, 1] in the file, [2] here"),
            std::string::npos);
  EXPECT_TRUE(reshaped({2, 1, 1}).reshaped.empty());
  EXPECT_EQ(reshaped({4}).wrong_shape.size(), 1U);
}

/// The layer in front of timm's classifier is part of the features of some networks.
TEST(KeyRules, TimmsNormInFrontOfTheClassifierStays) {
  const KeyRule& timm = *find_key_rule("timm");
  EXPECT_FALSE(fits_any(timm.drop, "head.norm.weight"));
  for (const char* name : {"head.fc.weight", "head.weight", "head.bias", "fc.weight"}) {
    EXPECT_TRUE(fits_any(timm.drop, name)) << name;
  }
}

/// A prefix is taken away, not its letters: "backbone.conv1".lstrip("backbone.") is "v1" in Python.
TEST(KeyRules, APrefixIsNoSetOfLetters) {
  const WeightsFile file(golden_folder + "lightly.pth");
  const MappedWeights mapped = apply_rule(*find_key_rule("lightly"), file);
  EXPECT_EQ(mapped.tensors.front().name, "conv1.weight");
}

TEST(KeyRules, ARuleThatDoesNotFitSaysWhatIsThere) {
  const WeightsFile file(golden_folder + "dino.pth");
  try {
    apply_rule(*find_key_rule("moco"), file);
    FAIL();
  } catch (const Error& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("\"state_dict\""), std::string::npos) << text;
    EXPECT_NE(text.find("\"teacher\" ("), std::string::npos) << text;
  }
  const KeyRule wrong{
      .name = "own", .summary = "", .containers = {"teacher"}, .prefixes = {"net."}};
  try {
    apply_rule(wrong, file);
    FAIL();
  } catch (const Error& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("begin with \"net.\""), std::string::npos) << text;
    EXPECT_NE(text.find("\"backbone.conv1.weight\""), std::string::npos) << text;
  }
}

class Detection : public testing::Test {
 protected:
  /// A file with a tensor of one number under each of these names, in "state_dict"; beside it, at
  /// the top, an empty dictionary under `key` if that is not empty.
  WeightsFile file_with(const std::vector<std::string>& names, const std::string& key = "") {
    std::vector<std::pair<std::string, std::string>> items;
    for (const std::string& name : names) {
      items.emplace_back(name, pickled_tensor("ByteStorage", "0", 1, 0, {1}, {1}));
    }
    std::vector<std::pair<std::string, std::string>> top = {{"state_dict", pickled_dict(items)}};
    if (!key.empty()) {
      top.emplace_back(key, "}");
    }
    write_file(folder_.path() / "f.pth", hand_made_pth(pickle_of(pickled_dict(top)), "\x01"));
    return WeightsFile(folder_.path() / "f.pth");
  }
  const NamedShapes wanted_ = {{"a.weight", {1}}, {"b.weight", {1}}};
  TemporaryFolder folder_;
};

TEST_F(Detection, FindsAPrefixThatNoRuleKnows) {
  const WeightsFile file =
      file_with({"net.body.a.weight", "net.body.b.weight", "net.head.a.weight"});
  const MappedWeights mapped = detect_rule(file, wanted_);
  EXPECT_EQ(mapped.rule, "prefix");
  EXPECT_EQ(mapped.prefix, "net.body.");
  EXPECT_TRUE(cover(file, mapped, wanted_, {}).complete());
}

struct NamesOfBoth {
  const char* rule;
  std::vector<std::pair<const char*, const char*>> names;  ///< torchvision's and timm's
};

const std::vector<NamesOfBoth>& mobile_networks() {
  static const std::vector<NamesOfBoth> all = {
      {"timm-mobilenet-v2",
       {{"features.0.0.weight", "conv_stem.weight"},
        {"features.0.1.running_mean", "bn1.running_mean"},
        {"features.1.conv.0.0.weight", "blocks.0.0.conv_dw.weight"},
        {"features.1.conv.0.1.bias", "blocks.0.0.bn1.bias"},
        {"features.1.conv.1.weight", "blocks.0.0.conv_pw.weight"},
        {"features.1.conv.2.bias", "blocks.0.0.bn2.bias"},
        {"features.2.conv.0.0.weight", "blocks.1.0.conv_pw.weight"},
        {"features.2.conv.0.1.bias", "blocks.1.0.bn1.bias"},
        {"features.3.conv.1.0.weight", "blocks.1.1.conv_dw.weight"},
        {"features.4.conv.1.1.bias", "blocks.2.0.bn2.bias"},
        {"features.10.conv.2.weight", "blocks.3.3.conv_pwl.weight"},
        {"features.17.conv.3.num_batches_tracked", "blocks.6.0.bn3.num_batches_tracked"},
        {"features.18.0.weight", "conv_head.weight"},
        {"features.18.1.weight", "bn2.weight"}}},
      {"timm-efficientnet-b0",
       {{"features.0.0.weight", "conv_stem.weight"},
        {"features.0.1.bias", "bn1.bias"},
        {"features.1.0.block.0.0.weight", "blocks.0.0.conv_dw.weight"},
        {"features.1.0.block.0.1.bias", "blocks.0.0.bn1.bias"},
        {"features.1.0.block.1.fc1.bias", "blocks.0.0.se.conv_reduce.bias"},
        {"features.1.0.block.1.fc2.bias", "blocks.0.0.se.conv_expand.bias"},
        {"features.1.0.block.2.0.weight", "blocks.0.0.conv_pw.weight"},
        {"features.1.0.block.2.1.bias", "blocks.0.0.bn2.bias"},
        {"features.2.0.block.0.0.weight", "blocks.1.0.conv_pw.weight"},
        {"features.2.1.block.0.1.bias", "blocks.1.1.bn1.bias"},
        {"features.3.1.block.1.0.weight", "blocks.2.1.conv_dw.weight"},
        {"features.6.3.block.1.1.bias", "blocks.5.3.bn2.bias"},
        {"features.6.3.block.2.fc1.weight", "blocks.5.3.se.conv_reduce.weight"},
        {"features.6.3.block.2.fc2.weight", "blocks.5.3.se.conv_expand.weight"},
        {"features.7.0.block.3.0.weight", "blocks.6.0.conv_pwl.weight"},
        {"features.7.0.block.3.1.bias", "blocks.6.0.bn3.bias"},
        {"features.8.0.weight", "conv_head.weight"},
        {"features.8.1.weight", "bn2.weight"}}}};
  return all;
}

/// timm numbers the blocks of these networks by stages, and its first block is of another kind.
TEST_F(Detection, TakesTimmsMobileNetworks) {
  for (const NamesOfBoth& network : mobile_networks()) {
    for (const std::string wrapper : {"", "module."}) {
      SCOPED_TRACE(network.rule + (" below \"" + wrapper + "\""));
      std::vector<std::string> names = {wrapper + "classifier.weight"};
      NamedShapes wanted;
      for (const auto& [torchvisions, timms] : network.names) {
        names.push_back(wrapper + timms);
        wanted.emplace_back(torchvisions, std::vector<int64_t>{1});
      }
      const WeightsFile file = file_with(names);
      const MappedWeights mapped = detect_rule(file, wanted);
      EXPECT_EQ(mapped.rule, network.rule);
      const Coverage coverage = cover(file, mapped, wanted, {});
      EXPECT_TRUE(coverage.complete()) << coverage_text(coverage);
    }
  }
}

TEST(NamesOfAProgram, AreTimmsOfMobileNetworks) {
  for (const NamesOfBoth& network : mobile_networks()) {
    SCOPED_TRACE(network.rule);
    NamedTensors backbone;
    for (const auto& names : network.names) {
      backbone.emplace_back(names.first, at::ones({1}));
    }
    NamedTensors head;
    head.emplace_back("fc.bias", at::ones({1}));
    const NamedTensors written = with_names_of("timm", backbone, head);
    ASSERT_EQ(written.size(), backbone.size() + 1);
    for (size_t i = 0; i < network.names.size(); ++i) {
      EXPECT_EQ(written[i].name, network.names[i].second);
    }
    EXPECT_EQ(written.back().name, "classifier.bias");
  }
}

/// MMPretrain has names of its own for the parts of a vision transformer.
TEST_F(Detection, TakesMmpretrainsVisionTransformers) {
  const WeightsFile file = file_with(
      {"backbone.cls_token", "backbone.pos_embed", "backbone.patch_embed.projection.weight",
       "backbone.layers.0.ln1.weight", "backbone.layers.0.attn.qkv.weight",
       "backbone.layers.0.attn.proj.bias", "backbone.layers.0.ln2.weight",
       "backbone.layers.0.ffn.layers.0.0.weight", "backbone.layers.0.ffn.layers.1.weight",
       "backbone.layers.11.ffn.layers.1.bias", "backbone.ln1.weight", "head.layers.head.weight"},
      "meta");
  NamedShapes wanted;
  for (const char* name :
       {"cls_token", "pos_embed", "patch_embed.proj.weight", "blocks.0.norm1.weight",
        "blocks.0.attn.qkv.weight", "blocks.0.attn.proj.bias", "blocks.0.norm2.weight",
        "blocks.0.mlp.fc1.weight", "blocks.0.mlp.fc2.weight", "blocks.11.mlp.fc2.bias",
        "norm.weight"}) {
    wanted.emplace_back(name, std::vector<int64_t>{1});
  }
  const MappedWeights mapped = detect_rule(file, wanted);
  EXPECT_EQ(mapped.rule, "mmpretrain");
  const Coverage coverage = cover(file, mapped, wanted, {});
  EXPECT_TRUE(coverage.complete()) << coverage_text(coverage);
}

/// As above, of its ConvNeXts; a masked image's token is no part of the network.
TEST_F(Detection, TakesMmpretrainsConvNexts) {
  const WeightsFile file =
      file_with({"backbone.downsample_layers.0.0.weight", "backbone.downsample_layers.0.1.bias",
                 "backbone.stages.0.0.depthwise_conv.weight", "backbone.stages.0.0.norm.weight",
                 "backbone.stages.0.2.pointwise_conv1.weight",
                 "backbone.stages.0.2.pointwise_conv2.bias", "backbone.stages.0.2.gamma",
                 "backbone.downsample_layers.1.0.weight", "backbone.downsample_layers.3.1.bias",
                 "backbone.stages.1.0.norm.bias", "backbone.stages.3.1.gamma",
                 "backbone.norm3.weight", "backbone.mask_token", "head.fc.weight"},
                "meta");
  NamedShapes wanted;
  for (const char* name :
       {"stem.0.weight", "stem.1.bias", "stages.0.blocks.0.conv_dw.weight",
        "stages.0.blocks.0.norm.weight", "stages.0.blocks.2.mlp.fc1.weight",
        "stages.0.blocks.2.mlp.fc2.bias", "stages.0.blocks.2.gamma", "stages.1.downsample.0.weight",
        "stages.3.downsample.1.bias", "stages.1.blocks.0.norm.bias", "stages.3.blocks.1.gamma",
        "head.norm.weight"}) {
    wanted.emplace_back(name, std::vector<int64_t>{1});
  }
  const MappedWeights mapped = detect_rule(file, wanted);
  EXPECT_EQ(mapped.rule, "mmpretrain");
  const Coverage coverage = cover(file, mapped, wanted, {});
  EXPECT_TRUE(coverage.complete()) << coverage_text(coverage);
}

/// A checkpoint by its names, and what is to be found in it.
struct FoundNames {
  const char* what;
  std::vector<std::string> names;
  const char* key;  ///< at the file's top, beside the state_dict; may be empty
  std::vector<const char*> wanted;
  const char* rule;
  const char* prefix;
};

/// Heads and second networks beside the backbone, where the programs that wrote them have them.
const std::vector<FoundNames>& checkpoints_with_heads() {
  static const std::vector<const char*> transformer = {"cls_token", "norm.weight"};
  static const std::vector<const char*> convnext = {"stem.0.weight", "head.norm.weight"};
  static const std::vector<FoundNames> cases = {
      {"timm's classifier of a transformer",
       {"cls_token", "norm.weight", "head.weight", "head.bias"},
       "",
       transformer,
       "timm",
       ""},
      {"timm's classifier of a ConvNeXt",
       {"stem.0.weight", "head.norm.weight", "head.fc.weight", "head.fc.bias"},
       "",
       convnext,
       "timm",
       ""},
      {"a wrapper around timm's ConvNeXt",
       {"module.stem.0.weight", "module.head.norm.weight", "module.head.fc.weight"},
       "",
       convnext,
       "prefix",
       "module."},
      {"a wrapper around torchvision's VGG",
       {"module.features.0.weight", "module.classifier.6.weight"},
       "",
       {"features.0.weight"},
       "prefix",
       "module."},
      {"a wrapper around torchvision's transformer",
       {"module.class_token", "module.encoder.layers.encoder_layer_0.ln_1.weight",
        "module.encoder.ln.weight", "module.heads.head.weight"},
       "",
       {"cls_token", "blocks.0.norm1.weight", "norm.weight"},
       "torchvision-vit",
       "module."},
      {"a wrapper around torchvision's ConvNeXt",
       {"module.features.0.0.weight", "module.features.1.0.layer_scale",
        "module.classifier.0.weight", "module.classifier.2.weight"},
       "",
       {"stem.0.weight", "stages.0.blocks.0.gamma", "head.norm.weight"},
       "torchvision-convnext",
       "module."},
      {"solo-learn's ConvNeXt",
       {"backbone.stem.0.weight", "backbone.head.norm.weight", "projector.0.weight",
        "momentum_backbone.stem.0.weight", "momentum_backbone.head.norm.weight"},
       "pytorch-lightning_version",
       convnext,
       "solo-learn",
       "backbone."},
      {"MoCo v3's transformer",
       {"module.base_encoder.cls_token", "module.base_encoder.norm.weight",
        "module.base_encoder.head.0.weight", "module.base_encoder.head.7.running_mean",
        "module.momentum_encoder.cls_token", "module.momentum_encoder.norm.weight",
        "module.predictor.0.weight"},
       "",
       transformer,
       "moco-v3",
       "module.base_encoder."},
      {"lightly's masked transformer, and its teacher",
       {"backbone.mask_token", "backbone.vit.cls_token", "backbone.vit.norm.weight",
        "teacher_backbone.vit.cls_token", "teacher_backbone.vit.norm.weight",
        "projection_head.layers.0.weight"},
       "pytorch-lightning_version",
       transformer,
       "lightly",
       "backbone.vit."},
      {"stable-pretraining's teacher and student",
       {"backbone.student.cls_token", "backbone.student.norm.weight",
        "backbone.base_ema_coefficient", "backbone.teacher.cls_token",
        "backbone.teacher.norm.weight"},
       "pytorch-lightning_version",
       transformer,
       "stable-pretraining",
       "backbone.teacher."}};
  return cases;
}

TEST_F(Detection, TakesTheBackboneFromBesideItsHeads) {
  for (const FoundNames& one : checkpoints_with_heads()) {
    SCOPED_TRACE(one.what);
    NamedShapes wanted;
    for (const char* name : one.wanted) {
      wanted.emplace_back(name, std::vector<int64_t>{1});
    }
    const WeightsFile file = file_with(one.names, one.key);
    const MappedWeights mapped = detect_rule(file, wanted);
    EXPECT_EQ(mapped.rule, one.rule);
    EXPECT_EQ(mapped.prefix, one.prefix);
    const Coverage coverage = cover(file, mapped, wanted, {});
    EXPECT_TRUE(coverage.complete()) << coverage_text(coverage);
  }
}

TEST_F(Detection, DoesNotChooseBetweenTwoNetworks) {
  const WeightsFile file =
      file_with({"one.a.weight", "one.b.weight", "two.a.weight", "two.b.weight"});
  try {
    detect_rule(file, wanted_);
    FAIL();
  } catch (const Error& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("\"one.\""), std::string::npos) << text;
    EXPECT_NE(text.find("\"two.\""), std::string::npos) << text;
    EXPECT_NE(text.find("prefix ="), std::string::npos) << text;
  }
}

TEST_F(Detection, SaysSoWhereNoNameFits) {
  const WeightsFile file = file_with({"x.weight"});
  EXPECT_THROW(detect_rule(file, wanted_), Error);
}

TEST_F(Detection, OwnRulesRenameAndDrop) {
  const WeightsFile file = file_with({"net.first.weight", "net.0.1.weight", "net.probe.weight"});
  const KeyRule rule{.name = "own",
                     .summary = "",
                     .containers = {"state_dict"},
                     .prefixes = {"net."},
                     .drop = {"probe"},
                     .rename = {{"^first", "a"}, {"0.1", "b"}}};
  const MappedWeights mapped = apply_rule(rule, file);
  const Coverage coverage = cover(file, mapped, wanted_, {});
  EXPECT_TRUE(coverage.complete()) << coverage_text(coverage);
  EXPECT_EQ(coverage.dropped, (std::vector<std::string>{"net.probe.weight"}));
  const KeyRule clash{.name = "own",
                      .summary = "",
                      .containers = {"state_dict"},
                      .prefixes = {"net."},
                      .rename = {{"first", "probe"}}};
  EXPECT_THROW(apply_rule(clash, file), Error);
}

TEST_F(Detection, CoverageListsEachKindOfGap) {
  const WeightsFile file = file_with({"a.weight", "b.weight", "c.weight"});
  const NamedShapes wanted = {
      {"a.weight", {1}}, {"b.weight", {2, 3}}, {"d.weight", {1}}, {"bn.num_batches_tracked", {}}};
  const MappedWeights mapped = apply_rule(*find_key_rule("torchvision"), file);
  const Coverage coverage = cover(file, mapped, wanted, {});
  EXPECT_EQ(coverage.matched, (std::vector<std::string>{"a.weight"}));
  EXPECT_EQ(coverage.missing, (std::vector<std::string>{"d.weight"}));
  EXPECT_EQ(coverage.unexpected, (std::vector<std::string>{"c.weight"}));
  EXPECT_EQ(coverage.counters, (std::vector<std::string>{"bn.num_batches_tracked"}));
  ASSERT_EQ(coverage.wrong_shape.size(), 1U);
  EXPECT_EQ(coverage.wrong_shape[0].wanted, (std::vector<int64_t>{2, 3}));
  EXPECT_FALSE(coverage.complete());
  try {
    require_complete(coverage);
    FAIL();
  } catch (const Error& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("1 of 3 tensors"), std::string::npos) << text;
    EXPECT_NE(text.find("1 are missing: \"d.weight\""), std::string::npos) << text;
    EXPECT_NE(text.find("\"b.weight\" is [1] in the file, [2, 3] here"), std::string::npos) << text;
    EXPECT_NE(text.find("allow"), std::string::npos) << text;
  }
  EXPECT_NE(coverage_text(coverage).find("they stay 0"), std::string::npos);
  EXPECT_EQ(coverage_json(coverage).at("missing"), nlohmann::json({"d.weight"}));
}

TEST_F(Detection, GapsAreAllowedByName) {
  const WeightsFile file = file_with({"a.weight", "c.weight"});
  const MappedWeights mapped = apply_rule(*find_key_rule("torchvision"), file);
  EXPECT_FALSE(cover(file, mapped, wanted_, {"b"}).complete());
  const Coverage allowed = cover(file, mapped, wanted_, {"b", "c.*"});
  EXPECT_TRUE(allowed.complete());
  EXPECT_NO_THROW(require_complete(allowed));
  EXPECT_THROW(cover(file, mapped, wanted_, {"b", "c", "x"}), Error);
}

}  // namespace
}  // namespace bissl::host::test
