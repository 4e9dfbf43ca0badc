#include "bissl/error.h"
#include "reference/golden.h"
#include "weights/coverage.h"
#include "weights/key_rules.h"
#include "weights/naming.h"

#include <ATen/ops/ones.h>

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace bissl::host::test {
namespace {

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
    const WeightsFile file(std::string(source_folder) + "/tests/reference/golden/weights/" + name +
                           ".pth");
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

}  // namespace
}  // namespace bissl::host::test
