#include "weights/key_rules.h"

#include "bissl/error.h"
#include "core/weights/hand_made.h"
#include "reference/golden.h"
#include "weights/coverage.h"
#include "weights/name_pattern.h"
#include "weights/naming.h"
#include "weights/position_grid.h"

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

NamedShapes with_positions(int64_t tokens) {
  return {{"cls_token", {1, 1, 3}}, {"pos_embed", {1, tokens, 3}}};
}

TEST(PositionEmbeddings, AreInterpolatedForAnotherGrid) {
  const nlohmann::json expected = golden("weights/expected.json").at("positions");
  const WeightsFile file(golden_folder + "positions.pth");
  const MappedWeights mapped = apply_rule(*find_key_rule("mae"), file);
  for (const int64_t side : {2, 3, 7}) {
    SCOPED_TRACE(side);
    const Coverage coverage = cover(file, mapped, with_positions(1 + side * side), {});
    EXPECT_TRUE(coverage.complete()) << coverage_text(coverage);
    EXPECT_NO_THROW(require_complete(coverage));
    ASSERT_EQ(coverage.interpolated.size(), 1U);
    EXPECT_TRUE(coverage.wrong_shape.empty());
    const NamedTensors tensors = read_matched(file, mapped, coverage);
    ASSERT_EQ(tensors.size(), 2U);
    EXPECT_EQ(tensors[1].tensor.sizes(), (std::vector<int64_t>{1, 1 + side * side, 3}));
    // In single precision, which LibTorch 2 rounds in another way than 1.13.
    EXPECT_TRUE(close(tensors[1].tensor, expected.at(std::to_string(side)), 1e-5));
    const std::string text = fmt::format("from a grid of 4x4 places to {0}x{0}", side);
    EXPECT_NE(coverage_text(coverage).find(text), std::string::npos) << coverage_text(coverage);
    EXPECT_NE(coverage_text(coverage).find("1 of 2 tensors"), std::string::npos);
    EXPECT_EQ(coverage_json(coverage).at("interpolated").at(0).at("name"), "pos_embed");
  }
  EXPECT_EQ(cover(file, mapped, with_positions(17), {}).matched.size(), 2U)
      << "the grid is the same";
}

/// A network with registers has no place for its class token, as timm's; the sum of both is what
/// the file's network begins with.
TEST(PositionEmbeddings, OfTheClassTokenJoinItWhereItHasNoPlace) {
  const nlohmann::json expected = golden("weights/expected.json").at("positions");
  const WeightsFile file(golden_folder + "positions.pth");
  const MappedWeights mapped = apply_rule(*find_key_rule("mae"), file);
  for (const int64_t side : {2, 4, 7}) {
    SCOPED_TRACE(side);
    const Coverage coverage = cover(file, mapped, with_positions(side * side), {});
    EXPECT_TRUE(coverage.complete()) << coverage_text(coverage);
    const std::string text =
        fmt::format("4x4 places to {0}x{0}, the class token's own added", side);
    EXPECT_NE(coverage_text(coverage).find(text), std::string::npos) << coverage_text(coverage);
    const NamedTensors tensors = read_matched(file, mapped, coverage);
    ASSERT_EQ(tensors.size(), 2U);
    const at::Tensor all =
        read_matched(file, mapped, cover(file, mapped, with_positions(17), {}))[1].tensor;
    EXPECT_TRUE(tensors[0].tensor.equal(all.narrow(1, 0, 1) + 1)) << "the file's token is 1";
    EXPECT_EQ(tensors[1].tensor.sizes(), (std::vector<int64_t>{1, side * side, 3}));
    if (side == 4) {
      EXPECT_TRUE(tensors[1].tensor.equal(all.narrow(1, 1, 16)));
    } else {
      auto numbers = expected.at(std::to_string(side)).get<std::vector<double>>();
      numbers.erase(numbers.begin(), numbers.begin() + 3);
      EXPECT_TRUE(close(tensors[1].tensor, numbers, 1e-5));
    }
  }
  const NamedShapes without_token = {{"pos_embed", {1, 16, 3}}};
  EXPECT_EQ(cover(file, mapped, without_token, {"cls_token"}).wrong_shape.size(), 1U);
}

TEST(PositionEmbeddings, StayAtRandomWhereThatIsAllowed) {
  const WeightsFile file(golden_folder + "positions.pth");
  const MappedWeights mapped = apply_rule(*find_key_rule("mae"), file);
  const Coverage coverage = cover(file, mapped, with_positions(10), {"pos_embed"});
  EXPECT_TRUE(coverage.complete());
  EXPECT_TRUE(coverage.interpolated.empty());
  EXPECT_EQ(read_matched(file, mapped, coverage).size(), 1U);
}

TEST(PositionEmbeddings, OfOtherKindsAreOfAWrongShape) {
  const auto grids = [](const std::string& name, const std::vector<int64_t>& found,
                        const std::vector<int64_t>& wanted) {
    return position_grids(name, found, wanted).has_value();
  };
  EXPECT_TRUE(grids("pos_embed", {1, 197, 8}, {1, 37, 8}));
  EXPECT_TRUE(grids("trunk.pos_embed", {1, 196, 8}, {1, 36, 8}));
  EXPECT_FALSE(grids("pos_embed", {1, 197, 8}, {1, 36, 8})) << "one has a class token";
  EXPECT_FALSE(grids("pos_embed", {1, 197, 8}, {1, 37, 4})) << "channels";
  EXPECT_FALSE(grids("pos_embed", {1, 199, 8}, {1, 37, 8})) << "no square";
  EXPECT_FALSE(grids("pos_embed", {1, 1, 8}, {1, 37, 8})) << "a class token alone";
  EXPECT_FALSE(grids("pos_embed", {197, 8}, {37, 8}));
  EXPECT_FALSE(grids("pos_embed", {1, 0, 8}, {1, 36, 8}));
  EXPECT_FALSE(grids("pos_embed", {1, int64_t{1} << 62, 8}, {1, 36, 8}));
  EXPECT_FALSE(grids("decoder_pos_embeds", {1, 196, 8}, {1, 36, 8}));
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
    SCOPED_TRACE(network.rule);
    std::vector<std::string> names = {"classifier.weight"};
    NamedShapes wanted;
    for (const auto& [torchvisions, timms] : network.names) {
      names.emplace_back(timms);
      wanted.emplace_back(torchvisions, std::vector<int64_t>{1});
    }
    const WeightsFile file = file_with(names);
    const MappedWeights mapped = detect_rule(file, wanted);
    EXPECT_EQ(mapped.rule, network.rule);
    const Coverage coverage = cover(file, mapped, wanted, {});
    EXPECT_TRUE(coverage.complete()) << coverage_text(coverage);
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

TEST(ProgramsWithNames, AreThoseOfTheBackbonesThatShip) {
  using Names = std::vector<std::string>;
  EXPECT_EQ(programs_with_names({"conv1.weight", "layer4.0.bn1.weight"}),
            (Names{"torchvision", "timm"}));
  EXPECT_EQ(programs_with_names({"patch_embed.proj.weight", "blocks.0.attn.qkv.weight"}),
            Names{"timm"});
  EXPECT_EQ(programs_with_names({"features.1.0.attn.relative_position_bias_table"}),
            Names{"torchvision"});
  EXPECT_EQ(programs_with_names({"prep.0.weight", "layer1.0.weight"}), Names{});
  EXPECT_EQ(programs_with_names({}), Names{});
}

/// What torchvision's file holds comes back under its names and in its shapes, from the names that
/// its rule gives.
TEST(NamesOfAProgram, AreTorchvisionsOwnAgain) {
  const nlohmann::json expected = golden("weights/expected.json");
  for (const auto& [name, classifier] :
       {std::pair("torchvision-vit", "heads.head"), {"torchvision-convnext", "classifier.2"}}) {
    SCOPED_TRACE(name);
    const WeightsFile file(golden_folder + name + ".pth");
    NamedShapes wanted;
    for (const auto& [key, tensor] : expected.at("networks").at(name).items()) {
      wanted.emplace_back(key, tensor.at("shape").get<std::vector<int64_t>>());
    }
    const MappedWeights mapped = apply_rule(*find_key_rule(name), file);
    const NamedTensors backbone = read_matched(file, mapped, cover(file, mapped, wanted, {}));
    const NamedTensors head = {{"fc.weight", at::ones({2, 3})}, {"fc.bias", at::ones({2})}};
    const NamedTensors written = with_names_of("torchvision", backbone, head);
    ASSERT_EQ(written.size(), mapped.tensors.size() + 2);
    for (const auto& [key, tensor] : written) {
      SCOPED_TRACE(key);
      const StoredTensor* stored = file.dicts().front().find(key);
      ASSERT_NE(stored, nullptr);
      if (!key.starts_with(classifier)) {
        EXPECT_TRUE(tensor.equal(file.read(*stored)));
      }
    }
    EXPECT_EQ(written.back().name, classifier + std::string(".bias"));
    // timm's are those that it has.
    const NamedTensors timms = with_names_of("timm", backbone, {});
    ASSERT_EQ(timms.size(), backbone.size());
    EXPECT_EQ(timms.front().name, backbone.front().name);
  }
}

TEST(NamesOfAProgram, AreRefusedWhereItHasNoSuchNetwork) {
  const auto with = [](const std::vector<std::string>& names) {
    NamedTensors tensors;
    for (const std::string& name : names) {
      tensors.emplace_back(name, at::ones({1}));
    }
    return tensors;
  };
  const auto refusal = [](const char* program, const NamedTensors& backbone,
                          const NamedTensors& head) -> std::string {
    try {
      with_names_of(program, backbone, head);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
      return error.what();
    }
    return "";
  };
  const std::string mark = "blocks.0.attn.qkv.weight";
  const NamedTensors resnet = with({"conv1.weight", "layer4.0.bn1.weight"});
  const NamedTensors linear = with({"fc.weight", "fc.bias"});
  EXPECT_EQ(refusal("timm", resnet, linear), "");
  EXPECT_EQ(with_names_of("timm", with({mark}), linear).back().name, "head.bias");
  EXPECT_NE(refusal("timm", resnet, with({"hidden0.weight", "fc.weight"}))
                .find("the head has a \"hidden0.weight\""),
            std::string::npos);
  EXPECT_NE(
      refusal("torchvision", with({"features.1.running_mean"}), linear).find("has several layers"),
      std::string::npos);
  EXPECT_EQ(refusal("torchvision", with({"features.1.running_mean"}), {}), "");
  EXPECT_NE(refusal("timm", with({"features.1.0.attn.relative_position_bias_table"}), {})
                .find("give --names torchvision"),
            std::string::npos);
  EXPECT_NE(refusal("timm", with({"prep.0.weight"}), {}).find("names of their own"),
            std::string::npos);
  EXPECT_NE(refusal("torchvision", with({mark, "pos_embed"}), {}).find("has no \"cls_token\""),
            std::string::npos);
  for (const char* extra : {"reg_token", "blocks.0.ls1.gamma"}) {
    EXPECT_NE(refusal("torchvision", with({mark, "cls_token", "pos_embed", extra}), {})
                  .find("has a \"" + std::string(extra)),
              std::string::npos);
  }
}

TEST(NamePattern, FitsNamesAndWhatIsBelowThem) {
  EXPECT_TRUE(fits_pattern("fc", "fc"));
  EXPECT_TRUE(fits_pattern("fc", "fc.weight"));
  EXPECT_FALSE(fits_pattern("fc", "fc2.weight"));
  EXPECT_TRUE(fits_pattern("layer*.bn1", "layer4.0.bn1"));
  EXPECT_FALSE(fits_pattern("layer*.bn1", "layer4.0.bn1.weight"));
  EXPECT_TRUE(fits_pattern("*bias*", "a.bias"));
  EXPECT_TRUE(fits_pattern("a*b*c", "aXbYbZc"));
  EXPECT_FALSE(fits_pattern("a*b*c", "aXbYbZ"));
  EXPECT_FALSE(fits_pattern("", "a"));
  EXPECT_TRUE(fits_pattern("*", ""));
}

TEST(NamePattern, ReplacesWholeParts) {
  EXPECT_EQ(with_parts_replaced("0.0.10.0", "0", "x"), "x.x.10.x");
  EXPECT_EQ(with_parts_replaced("0.0.10", "^0", "conv1"), "conv1.0.10");
  EXPECT_EQ(with_parts_replaced("a.b.c", "a.b", "z"), "z.c");
  EXPECT_EQ(with_parts_replaced("ab.c", "a", "z"), "ab.c");
  EXPECT_EQ(with_parts_replaced("a.b", "", "z"), "a.b");
}

}  // namespace
}  // namespace bissl::host::test
