#include "preview/recipes.h"

#include <gtest/gtest.h>

namespace bissl::host::test {
namespace {

Table table_on(const std::string& key, Value data) {
  Table table;
  table.values[key] = std::move(data);
  table.data_keys = {key};
  table.views = ViewsChoice{.groups = {{}}, .declares_number = false, .origin = "p.toml:1:1"};
  return table;
}

TEST(ViewRecipes, AreThoseOfTheStageAndOfTheTablesInIt) {
  Stage stage{.name = "fit", .kind = "finetune", .from = "", .table = table_on("data", "few")};
  stage.table.values["batch"] = int64_t{12};
  stage.table.components["optimizer"] = {};
  stage.table.tables["evaluate"] = table_on("data", std::vector<std::string>{"test", "shifted"});
  stage.table.tables["schedule"] = {};
  const std::vector<ViewRecipe> recipes = view_recipes(stage);
  ASSERT_EQ(recipes.size(), 2U);
  EXPECT_EQ(recipes[0].place, "fit");
  EXPECT_EQ(recipes[0].data, "few");
  EXPECT_EQ(recipes[0].batch, 12);
  EXPECT_TRUE(recipes[0].trains);
  EXPECT_EQ(recipes[1].place, "fit.evaluate");
  EXPECT_EQ(recipes[1].stage, "fit");
  EXPECT_EQ(recipes[1].data, "test");
  EXPECT_FALSE(recipes[1].trains);
}

TEST(ViewRecipes, HaveTheViewsThatAreDeclaredOrThoseOfThePair) {
  Stage stage{.name = "pre", .kind = "pretrain", .from = "", .table = table_on("data", "all")};
  EXPECT_EQ(view_recipes(stage).front().views, 1);
  stage.table.components["pretext"] = {};
  EXPECT_EQ(view_recipes(stage).front().views, 2);
  stage.table.views->declares_number = true;
  stage.table.views->groups = {{.count = 2, .augment = {}}, {.count = 6, .augment = {}}};
  EXPECT_EQ(view_recipes(stage).front().views, 8);
}

TEST(ViewRecipes, ATableWithoutDataOfItsOwnTakesThatAroundIt) {
  Stage stage{.name = "s", .kind = "bissl", .from = "", .table = table_on("data", "outer")};
  stage.table.views.reset();
  stage.table.tables["inner"].views =
      ViewsChoice{.groups = {{}}, .declares_number = false, .origin = ""};
  const std::vector<ViewRecipe> recipes = view_recipes(stage);
  ASSERT_EQ(recipes.size(), 1U);
  EXPECT_EQ(recipes[0].data, "outer");
}

}  // namespace
}  // namespace bissl::host::test
