#include "base/difference.h"

#include <gtest/gtest.h>

namespace bissl::host::test {
namespace {

using nlohmann::json;

TEST(Differences, NameThePlaceAndBothValues) {
  const json left = {{"a", {{"b", 1}, {"c", {1, 2}}}}, {"d", "x"}, {"e", json::object()}};
  const json right = {{"a", {{"b", 2}, {"c", {1, 3}}}}, {"d", "x"}, {"f", true}};
  const std::vector<Difference> found = differences(left, right);
  ASSERT_EQ(found.size(), 4u);
  EXPECT_EQ(found[0].path, "a.b");
  EXPECT_EQ(found[0].left, 1);
  EXPECT_EQ(found[0].right, 2);
  EXPECT_EQ(found[1].path, "a.c");
  EXPECT_EQ(short_text(found[1].right), "[1,3]");
  EXPECT_EQ(found[2].path, "e");
  EXPECT_TRUE(found[2].right.is_null());
  EXPECT_EQ(found[3].path, "f");
  EXPECT_EQ(short_text(found[3].left), "–");
  EXPECT_TRUE(differences(left, left).empty());
}

TEST(Differences, SpellPathsLikeKeys) {
  const json left = {{"stage", {{"ft.v1", {{"steps", 1}}}, {"a b", {{"steps", 1}}}}}};
  json right = left;
  right["stage"]["ft.v1"]["steps"] = 2;
  right["stage"]["a b"]["steps"] = 2;
  const std::vector<Difference> found = differences(left, right);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].path, "stage.\"a b\".steps");
  EXPECT_EQ(found[1].path, "stage.\"ft.v1\".steps");
}

TEST(Differences, GoIntoListsOfTables) {
  const json left = {{"list", {{{"use", "a"}}, {{"use", "b"}}}}};
  json right = left;
  right["list"][1]["use"] = "c";
  const std::vector<Difference> found = differences(left, right);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].path, "list.1.use");
}

}  // namespace
}  // namespace bissl::host::test
