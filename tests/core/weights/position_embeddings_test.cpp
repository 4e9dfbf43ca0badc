#include "reference/golden.h"
#include "weights/coverage.h"
#include "weights/key_rules.h"
#include "weights/position_grid.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

namespace bissl::host::test {
namespace {

const std::string positions_file =
    std::string(source_folder) + "/tests/reference/golden/weights/positions.pth";

NamedShapes with_positions(int64_t tokens) {
  return {{"cls_token", {1, 1, 3}}, {"pos_embed", {1, tokens, 3}}};
}

TEST(PositionEmbeddings, AreInterpolatedForAnotherGrid) {
  const nlohmann::json expected = golden("weights/expected.json").at("positions");
  const WeightsFile file(positions_file);
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
  const WeightsFile file(positions_file);
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
  const WeightsFile file(positions_file);
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

}  // namespace
}  // namespace bissl::host::test
