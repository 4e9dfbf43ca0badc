// `augment` and `views`: augmentations, chains of transforms, groups of views.

#include "fixture.h"

#include <nlohmann/json.hpp>

namespace bissl::host::test {
namespace {

/// A kind "views" for several views of a sample, and one "heir" whose table `lower` inherits them.
class ViewsTest : public PipelineTest {
 protected:
  ViewsTest() {
    ParameterSpec size;
    size.name = "size";
    size.type = ValueType::integer;
    size.default_value = int64_t{8};
    size.minimum = 1;
    size.doc = "size";
    components_.add(ComponentKind::transform, "steps", "cut", {size});
    components_.add(ComponentKind::transform, "steps", "turn");
    StageKindSpec several;
    several.name = "views";
    several.table.augment = AugmentSlot{true, "makes views"};
    several.table.exclusive = {{"augment", "views"}};
    several.hands_on = {"backbone"};
    StageKindSpec heir;
    heir.name = "heir";
    heir.table.tables = {{.name = "lower", .table = several.table, .inherits_from = "views"}};
    heir.needs_parent = true;
    StageKindSpec one;
    one.name = "one";
    one.table.augment = AugmentSlot{false, "makes a view"};
    kinds_ = {several, heir, one};
  }

  /// The views of a table: "2*[cut size=4, turn]; crop size=3".
  static std::string text_of(const ViewsChoice& views) {
    std::string text;
    for (const ViewGroup& group : views.groups) {
      text += text.empty() ? "" : "; ";
      text += views.declares_number ? fmt::format("{}*", group.count) : "";
      std::string steps;
      for (const ComponentChoice& step : group.augment.steps) {
        steps += (steps.empty() ? "" : ", ") + step.component->info.text.name;
        for (const auto& [name, value] : step.values) {
          steps += fmt::format(" {}={}", name, to_toml(value));
        }
      }
      text += group.augment.is_chain ? "[" + steps + "]" : steps;
    }
    return text;
  }

  /// Of stage a, or of `lower` of stage b; what is said of them if the text is not sound.
  std::string views(const std::string& text, const std::vector<std::string>& set = {}) {
    const ReadResult result = read_text(head + text, set);
    if (!result.pipeline) {
      return to_text(result.diagnostics);
    }
    const Table& last = result.pipeline->stages.back().table;
    return text_of(last.has_table("lower") ? last.table("lower").augment() : last.augment());
  }

  /// Of stage a, from which these keys are taken away.
  std::string views_without(const std::string& text, const std::vector<std::string>& unset) {
    write("p.toml", head + text);
    const ReadResult result = read_pipeline({.file = folder_.path() / "p.toml",
                                             .overrides = {},
                                             .components = components_,
                                             .stage_kinds = kinds_,
                                             .data_selection = selection_,
                                             .warn_of_unused_data = false,
                                             .unset = unset});
    return result.pipeline ? text_of(result.pipeline->stage("a").table.augment())
                           : to_text(result.diagnostics);
  }

  /// Whether the lock of a pipeline reads as the same pipeline.
  void expect_same_from_lock(const std::string& text) {
    const Pipeline original = sound(head + text);
    write("lock.toml", to_lock_toml(original));
    const ReadResult again = read({}, "lock.toml");
    ASSERT_TRUE(again.pipeline) << to_text(again.diagnostics) << to_lock_toml(original);
    EXPECT_EQ(canonical(*again.pipeline).dump(), canonical(original).dump());
    EXPECT_EQ(text_of(again.pipeline->stages.back().table.augment()),
              text_of(original.stages.back().table.augment()));
  }
};

const std::string recipe = "[stage.a]\nkind = \"views\"\naugment = { use = \"crop\", size = 3 }\n";
const std::string chain =
    "[stage.a]\nkind = \"views\"\naugment = [ { use = \"cut\", size = 4 }, { use = \"turn\" } ]\n";
const std::string groups =
    "[stage.a]\nkind = \"views\"\nviews = [\n"
    "  { count = 2, augment = [ { use = \"cut\" }, { use = \"turn\" } ] },\n"
    "  { augment = { use = \"crop\", size = 3 } },\n"
    "]\n";

TEST_F(ViewsTest, AreMadeByARecipeAChainOrGroups) {
  EXPECT_EQ(views(recipe), "crop size=3");
  EXPECT_EQ(views(chain), "[cut size=4, turn]");
  EXPECT_EQ(views(groups), "2*[cut size=8, turn]; 1*crop size=3");
  EXPECT_EQ(sound(head + groups).stage("a").table.augment().count(), 3);
  EXPECT_EQ(sound(head + chain).stage("a").table.augment().count(), std::nullopt);
  EXPECT_EQ(sound(head + chain).stage("a").table.augment().describe(),
            "augment (" + (folder_.path() / "p.toml").string() + ":8:11)");
}

TEST_F(ViewsTest, StandInTablesAsTheyDoInArrays) {
  EXPECT_EQ(views("[stage.a]\nkind = \"views\"\n"
                  "[[stage.a.views]]\ncount = 2\n"
                  "[[stage.a.views.augment]]\nuse = \"cut\"\n"
                  "[[stage.a.views.augment]]\nuse = \"turn\"\n"
                  "[[stage.a.views]]\naugment.use = \"crop\"\n"),
            "2*[cut size=8, turn]; 1*crop size=28");
}

TEST_F(ViewsTest, ItemsAndTheirKeysAreTakenAway) {
  EXPECT_EQ(views_without(chain, {"stage.a.augment.0.size"}), "[cut size=8, turn]");
  EXPECT_EQ(views_without(chain, {"stage.a.augment.1"}), "[cut size=4]");
  EXPECT_EQ(views_without(groups, {"stage.a.views.0.augment.0", "stage.a.views.0.count"}),
            "1*[turn]; 1*crop size=3");
  EXPECT_EQ(views_without(groups, {"stage.a.views.0", "stage.a.views.1.augment.size"}),
            "1*crop size=28")
      << "numbers count what was there before anything was taken away";
  const std::string longer =
      "[stage.a]\nkind = \"views\"\naugment = [ { use = \"cut\", size = 1 },"
      " { use = \"turn\" }, { use = \"cut\", size = 3 } ]\n";
  EXPECT_EQ(views_without(longer, {"stage.a.augment.0", "stage.a.augment.1"}), "[cut size=3]");
  EXPECT_EQ(views(chain + "[stage.b]\nlike = \"a\"\nunset = [\"augment.1\"]\n"), "[cut size=4]");
  EXPECT_EQ(views(chain + "[stage.b]\nkind = \"heir\"\nfrom = \"a\"\n"
                          "unset = [\"lower.augment.0.size\"]\n"),
            "[cut size=8, turn]");
  const std::string missing = views_without(chain, {"stage.a.augment.2"});
  EXPECT_NE(missing.find("stage.a.augment.2: this key is not there, so it cannot be taken away; "
                         "accepted: \"stage.a.augment.0\", \"stage.a.augment.1\""),
            std::string::npos)
      << missing;
}

TEST_F(ViewsTest, AreReachedByOverrides) {
  EXPECT_EQ(views(recipe, {"stage.a.augment.size=5"}), "crop size=5");
  EXPECT_EQ(views(chain, {"stage.a.augment.0.size=5"}), "[cut size=5, turn]");
  EXPECT_EQ(views(chain, {"stage.a.augment.0.use=turn"}), "[turn, turn]");
  EXPECT_EQ(views(groups, {"stage.a.views.1.count=6", "stage.a.views.0.augment.0.size=2"}),
            "2*[cut size=2, turn]; 6*crop size=3");
  EXPECT_EQ(views(chain, {"stage.a.augment={use=\"crop\"}"}), "crop size=28");
  EXPECT_EQ(views(recipe, {"stage.a.augment=[{use=\"turn\"}]"}), "[turn]");
  EXPECT_EQ(views(recipe, {"stage.a.views=[{count=2,augment={use=\"crop\"}}]"}), "2*crop size=28")
      << "views from above take the place of augment";
  EXPECT_NE(views(chain, {"stage.a.augment.2.size=5"}).find("stage.a.augment is not a table"),
            std::string::npos);
}

TEST_F(ViewsTest, AreReachedByTheFileThatIncludesThem) {
  write("below.toml", head + chain);
  const ReadResult result =
      read_text("include = [\"below.toml\"]\n[stage.a.augment.0]\nsize = 6\n");
  ASSERT_TRUE(result.pipeline) << to_text(result.diagnostics);
  EXPECT_EQ(text_of(result.pipeline->stage("a").table.augment()), "[cut size=6, turn]");
}

TEST_F(ViewsTest, AreTakenOver) {
  EXPECT_EQ(views(chain + "[stage.b]\nlike = \"a\"\n"), "[cut size=4, turn]");
  EXPECT_EQ(views(chain + "[stage.b]\nlike = \"a\"\n", {"stage.b.augment.0.size=6"}),
            "[cut size=6, turn]");
  EXPECT_EQ(
      views(chain + "[stage.b]\nlike = \"a\"\nviews = [ { augment = { use = \"crop\" } } ]\n"),
      "1*crop size=28");
  const std::string heir = "[stage.b]\nkind = \"heir\"\nfrom = \"a\"\n";
  EXPECT_EQ(views(groups + heir), "2*[cut size=8, turn]; 1*crop size=3");
  EXPECT_EQ(views(groups + heir + "lower = { augment = { use = \"crop\" } }\n"), "crop size=28");
}

TEST_F(ViewsTest, ComeBackFromTheLock) {
  expect_same_from_lock(recipe);
  expect_same_from_lock(chain);
  expect_same_from_lock(groups);
}

TEST_F(ViewsTest, HaveKeysOfTheirOwn) {
  const auto key = [this](const std::string& text) {
    return canonical(sound(head + text).stage("a").table).dump();
  };
  EXPECT_NE(key(chain), key(recipe));
  EXPECT_NE(key(chain), key("[stage.a]\nkind = \"views\"\naugment = [ { use = \"turn\" }, "
                            "{ use = \"cut\", size = 4 } ]\n"))
      << "the order of the steps counts";
  std::string more = groups;
  more.replace(more.find("count = 2"), 9, "count = 3");
  EXPECT_NE(key(groups), key(more));
}

TEST_F(ViewsTest, FaultsNameTheirPlace) {
  const auto faults = [this](const std::string& text) {
    return faults_of(head + ("[stage.a]\nkind = \"views\"\n" + text));
  };
  const auto said = [&](const std::string& text, const std::string& expected) {
    const Lines lines = faults(text);
    ASSERT_EQ(lines.size(), 1U) << testing::PrintToString(lines);
    EXPECT_NE(lines[0].find(expected), std::string::npos) << lines[0];
  };
  said("", "stage.a.augment: this required key is missing");
  said("augment = []\n", "p.toml:8:11");
  said("augment = [ \"turn\" ]\n", "a chain of transforms");
  said("augment = 3\n", "an augmentation, { use = \"NAME\", … }");
  said("augment = [ { use = \"crop\" } ]\n",
       "there is no transform \"crop\" (the name belongs to an augmentation)");
  said("augment = { use = \"turn\" }\n",
       "there is no augmentation \"turn\" (the name belongs to a transform)");
  said("augment = [ { use = \"turn\" }, { use = \"cut\", sise = 2 } ]\n",
       "stage.a.augment.1.sise: unknown key");
  said("augment = { use = \"crop\" }\nviews = [ { augment = { use = \"crop\" } } ]\n",
       "views and augment (at ");
  said("views = []\n", "an array of groups of views");
  said("views = [ 2 ]\n", "stage.a.views.0");
  said("views = [ { count = 2 } ]\n", "stage.a.views.0.augment: this required key is missing");
  said("views = [ { count = 0, augment = { use = \"crop\" } } ]\n", "stage.a.views.0.count");
  said("views = [ { counts = 2, augment = { use = \"crop\" } } ]\n", "stage.a.views.0.counts");
  said(
      "views = [ { count = 999, augment = { use = \"crop\" } }, "
      "{ count = 2, augment = { use = \"crop\" } } ]\n",
      "1001 views are declared");
  EXPECT_NE(
      to_text(read_text(head + std::string("[stage.a]\nkind = \"one\"\nviews = []\n")).diagnostics)
          .find("unknown key"),
      std::string::npos)
      << "a stage that sees one view takes no `views`";
}

}  // namespace
}  // namespace bissl::host::test
