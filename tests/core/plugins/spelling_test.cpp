#include "plugins/spelling.h"

#include <gtest/gtest.h>

namespace bissl {
namespace {

TEST(Nearest, FindsOneSlipOfEachSort) {
  const std::vector<std::string> names = {"momentum", "nesterov", "weight_decay", "lr"};
  EXPECT_EQ(nearest("momentun", names), "momentum");
  EXPECT_EQ(nearest("momntum", names), "momentum");
  EXPECT_EQ(nearest("mommentum", names), "momentum");
  EXPECT_EQ(nearest("mometnum", names), "momentum");
  EXPECT_EQ(nearest("Momentum", names), "momentum");
  EXPECT_EQ(nearest("weight-decay", names), "weight_decay");
  EXPECT_EQ(nearest("rl", names), "lr");
}

TEST(Nearest, ATranspositionCountsAsOneSlip) {
  // Two replacements would be out of reach for a word of four letters.
  EXPECT_EQ(nearest("ragd", {"grad"}), "");
  EXPECT_EQ(nearest("gard", {"grad"}), "grad");
}

TEST(Nearest, IsEmptyWhenNothingIsNear) {
  EXPECT_EQ(nearest("temperature", {"momentum", "lr"}), "");
  EXPECT_EQ(nearest("x", {"y", "z"}), "");
  EXPECT_EQ(nearest("", {"a"}), "");
  EXPECT_EQ(nearest("a", {}), "");
  EXPECT_EQ(nearest("a", {""}), "");
  EXPECT_EQ(nearest(std::string(100000, 'a'), {"a"}), "");
}

TEST(Nearest, CutOffIsAThirdOfTheLongerWord) {
  EXPECT_EQ(nearest("abcdefxxx", {"abcdefghi"}), "abcdefghi");
  EXPECT_EQ(nearest("abcdexxxx", {"abcdefghi"}), "");
}

TEST(Nearest, TheNearestWinsThenTheFirst) {
  EXPECT_EQ(nearest("simclr3", {"simclrv2", "simclr2", "simclr1"}), "simclr2");
}

}  // namespace
}  // namespace bissl
