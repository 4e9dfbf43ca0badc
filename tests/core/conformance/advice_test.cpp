#include "conformance/advice.h"

#include <gtest/gtest.h>

namespace bissl::host::test {
namespace {

TEST(Advice, FollowsTheErrorsOfUsualMistakes) {
  EXPECT_NE(with_advice("expected scalar type Double but found Float").find("register_parameter"),
            std::string::npos);
  EXPECT_NE(with_advice("one of the variables has been modified by an inplace operation")
                .find("buffer.clone()"),
            std::string::npos);
  EXPECT_EQ(with_advice("the moon is full"), "the moon is full");
}

TEST(Advice, NamesTheOptionForABackbone) {
  EXPECT_EQ(advice_to_name_a_backbone("wants tokens").find("wants tokens. Give --backbone NAME"),
            0);
}

}  // namespace
}  // namespace bissl::host::test
