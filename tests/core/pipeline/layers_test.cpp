// Tables laid over each other: keys that exclude each other, and keys that are taken away.

#include "fixture.h"
#include "pipeline/config_loader.h"
#include "pipeline/exclusive_keys.h"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace bissl::host::test {
namespace {

ParameterSpec optional_integer(const std::string& name) {
  ParameterSpec spec;
  spec.name = name;
  spec.type = ValueType::integer;
  spec.doc = name;
  return spec;
}

/// A kind with a length in epochs or steps, a schedule with a warm-up in either, and a table that
/// inherits the schedule from a stage of kind train.
class LayersTest : public PipelineTest {
 protected:
  LayersTest() {
    TableSpec schedule;
    schedule.parameters = {optional_integer("warmup_epochs"), optional_integer("warmup_steps")};
    schedule.exclusive = {{"warmup_epochs", "warmup_steps"}};
    StageKindSpec train;
    train.name = "train";
    train.table.parameters = {optional_integer("epochs"), optional_integer("steps"),
                              optional_integer("batch")};
    train.table.exclusive = {{"epochs", "steps"}};
    train.table.tables = {{"schedule", schedule, false, ""}};
    train.table.check = [](const ParameterValues& values) {
      const bool both = type_of(values.at("epochs")) != ValueType::none &&
                        type_of(values.at("steps")) != ValueType::none;
      return both ? std::vector<Finding>{{Finding::Severity::error, "epochs", "both are given"}}
                  : std::vector<Finding>{};
    };
    train.hands_on = {"backbone"};
    StageKindSpec heir;
    heir.name = "heir";
    TableSpec lower;
    lower.parameters = {optional_integer("batch")};
    lower.tables = {{"schedule", schedule, false, ""}};
    heir.table.tables = {{.name = "lower", .table = lower, .inherits_from = "train"}};
    heir.needs_parent = true;
    kinds_ = {train, heir};
  }

  /// The values that the table has, as "key=value", those of its schedule with "schedule." before.
  static Lines values(const Table& table) {
    Lines found;
    const auto take = [&](const std::string& prefix, const ParameterValues& values) {
      for (const auto& [name, value] : values) {
        if (type_of(value) != ValueType::none) {
          found.push_back(prefix + name + "=" + to_toml(value));
        }
      }
    };
    take("", table.values);
    if (table.has_table("schedule")) {
      take("schedule.", table.table("schedule").values);
    }
    return found;
  }

  /// Of stage `name`; what is said of them if the text is not sound.
  Lines values(const std::string& text, const Changes& changes, const std::string& name = "a") {
    write("p.toml", head + text);
    const ReadResult read = read_pipeline({.file = folder_.path() / "p.toml",
                                           .overrides = changes.set,
                                           .components = components_,
                                           .stage_kinds = kinds_,
                                           .data_selection = selection_,
                                           .warn_of_unused_data = false,
                                           .unset = changes.unset});
    return read.pipeline ? values(read.pipeline->stage(name).table) : lines(read);
  }
};

const std::string train =
    "[stage.a]\nkind = \"train\"\nsteps = 3\nschedule = { warmup_steps = 1 }\n";

TEST_F(LayersTest, AnOverrideExchangesAKey) {
  EXPECT_EQ(values(train, {{"stage.a.epochs=2"}, {}}),
            (Lines{"epochs=2", "schedule.warmup_steps=1"}));
  EXPECT_EQ(values(train, {{"stage.a.schedule.warmup_epochs=2"}, {}}),
            (Lines{"steps=3", "schedule.warmup_epochs=2"}));
  EXPECT_EQ(values(train, {{"stage.a.schedule={warmup_epochs=2}"}, {}}),
            (Lines{"steps=3", "schedule.warmup_epochs=2"}));
}

TEST_F(LayersTest, TheFileExchangesAKeyOfWhatItIncludes) {
  write("below.toml", "[stage.a]\nkind = \"train\"\nepochs = 7\nbatch = 4\n");
  write("middle.toml", "[stage.a]\nsteps = 5\n");
  const std::string text = "[stage.a]\nschedule = { warmup_steps = 1 }\n";
  const auto of = [&](const std::string& include) {
    write("p.toml", "include = " + include + "\n" + head + text);
    const ReadResult result = read();
    return result.pipeline ? values(result.pipeline->stage("a").table) : lines(result);
  };
  EXPECT_EQ(of("[\"below.toml\", \"middle.toml\"]"),
            (Lines{"batch=4", "steps=5", "schedule.warmup_steps=1"}));
  EXPECT_EQ(of("[\"middle.toml\", \"below.toml\"]"),
            (Lines{"batch=4", "epochs=7", "schedule.warmup_steps=1"}));
}

TEST_F(LayersTest, LikeExchangesAKeyWhateverTheLayers) {
  const std::string text = train + "[stage.b]\nlike = \"a\"\nepochs = 9\n";
  EXPECT_EQ(values(text, {}, "b"), (Lines{"epochs=9", "schedule.warmup_steps=1"}));
  EXPECT_EQ(values(text, {{"stage.a.steps=4"}, {}}, "b"),
            (Lines{"epochs=9", "schedule.warmup_steps=1"}))
      << "b's own key lies above what a has, and be that from the command line";
}

TEST_F(LayersTest, AnHeirExchangesAKeyOfItsAncestor) {
  const std::string text = train + "[stage.b]\nkind = \"heir\"\nfrom = \"a\"\n";
  const auto lower = [&](const std::string& more) {
    return values(sound(head + text + more).stage("b").table.table("lower"));
  };
  EXPECT_EQ(lower(""), Lines{"schedule.warmup_steps=1"});
  EXPECT_EQ(lower("lower = { schedule = { warmup_epochs = 4 } }\n"),
            Lines{"schedule.warmup_epochs=4"});
  EXPECT_EQ(lower("unset = [\"lower.schedule\"]\n"), Lines{});
  EXPECT_EQ(lower("unset = [\"lower.schedule\"]\nlower = { schedule = { warmup_epochs = 4 } }\n"),
            Lines{"schedule.warmup_epochs=4"});
}

TEST_F(LayersTest, BothInOneLayerAreAnError) {
  const std::string text = "[stage.a]\nkind = \"train\"\nsteps = 3\nepochs = 2\n";
  EXPECT_EQ(values(text, {}), Lines{"p.toml:9:10: error: stage.a.epochs: both are given"});
  EXPECT_EQ(values(train, {{"stage.a.epochs=2", "stage.a.steps=4"}, {}}),
            Lines{"--set stage.a.epochs=2: error: stage.a.epochs: both are given"});
  EXPECT_EQ(values(train + "[stage.b]\nlike = \"a\"\nepochs = 1\nsteps = 1\n", {}, "b"),
            Lines{"p.toml:12:10: error: stage.b.epochs: both are given"});
}

TEST_F(LayersTest, ALockReadsBackAsItIs) {
  const Pipeline pipeline = sound(head + train, {"stage.a.epochs=2"});
  const std::string lock = to_lock_toml(pipeline);
  EXPECT_EQ(lock.find("unset"), std::string::npos);
  EXPECT_EQ(canonical(sound(lock)), canonical(pipeline));
}

TEST_F(LayersTest, TheRawTreeOfAPipelineIsFreedOfWhatIsOverruled) {
  write("p.toml", head + train + "[stage.b]\nlike = \"a\"\nsteps = 5\n");
  DiagnosticCollector diagnostics;
  std::optional<ConfigNode> root = load_config(
      folder_.path() / "p.toml", {{"stage.a.epochs=1", "stage.b.epochs=1"}, {}}, {}, diagnostics);
  ASSERT_TRUE(root);
  drop_overruled(*root, kinds_);
  EXPECT_EQ(root->find_path("stage.a.steps"), nullptr);
  EXPECT_EQ(root->find_path("stage.b.steps"), nullptr) << "its kind is that of a";
  EXPECT_NE(root->find_path("stage.b.epochs"), nullptr);
}

// --- unset ---

TEST_F(LayersTest, TheCommandLineTakesKeysAway) {
  EXPECT_EQ(values(train, {{}, {"stage.a.steps"}}), Lines{"schedule.warmup_steps=1"});
  EXPECT_EQ(values(train, {{}, {"stage.a.schedule", "stage.a.steps"}}), Lines{});
  EXPECT_EQ(values(train, {{"stage.a.schedule.warmup_epochs=2"}, {"stage.a.schedule"}}),
            (Lines{"steps=3", "schedule.warmup_epochs=2"}))
      << "taken away before anything is set";
  EXPECT_EQ(values(train + "[stage.\"b.c\"]\nlike = \"a\"\n", {{}, {"stage.\"b.c\".steps"}}, "b.c"),
            Lines{"schedule.warmup_steps=1"})
      << "also what `like` brings";
}

TEST_F(LayersTest, AFileTakesKeysAwayFromWhatItIncludes) {
  write("below.toml", "[stage.a]\nkind = \"train\"\nsteps = 7\nbatch = 4\n");
  write("without.toml", "unset = [\"stage.a.batch\"]\n");
  write("p.toml", "include = [\"below.toml\", \"without.toml\"]\nunset = [\"stage.a.steps\"]\n" +
                      std::string(head) +
                      "[stage.a]\nepochs = 1\n[stage.b]\nlike = \"a\"\nbatch = 9\n");
  const ReadResult result = read();
  ASSERT_TRUE(result.pipeline) << to_text(result.diagnostics);
  EXPECT_EQ(values(result.pipeline->stage("a").table), Lines{"epochs=1"});
  EXPECT_EQ(values(result.pipeline->stage("b").table), (Lines{"batch=9", "epochs=1"}));
}

TEST_F(LayersTest, AStageTakesKeysAwayFromWhatItIsLike) {
  const std::string like = train + "[stage.b]\nlike = \"a\"\n";
  EXPECT_EQ(values(like + "unset = [\"steps\", \"schedule.warmup_steps\"]\n", {}, "b"), Lines{});
  EXPECT_EQ(values(like + "unset = [\"steps\"]\n", {}, "a"),
            (Lines{"steps=3", "schedule.warmup_steps=1"}));
  EXPECT_EQ(values(like + "unset = [\"steps\"]\n[stage.c]\nlike = \"b\"\n", {}, "c"),
            Lines{"schedule.warmup_steps=1"});
}

TEST_F(LayersTest, WhatIsNotThereCannotBeTakenAway) {
  const std::string taken = ": this key is not there, so it cannot be taken away; accepted: ";
  EXPECT_EQ(values(train, {{}, {"stage.a.stesp"}}),
            Lines{"--unset stage.a.stesp: error: stage.a.stesp" + taken +
                  "\"stage.a.kind\", \"stage.a.steps\", \"stage.a.schedule\"; did you mean "
                  "\"stage.a.steps\"?"});
  EXPECT_EQ(values(train, {{}, {"stage.aa.steps"}}),
            Lines{"--unset stage.aa.steps: error: stage.aa.steps" + taken +
                  "\"stage.a\"; did you mean \"stage.a\"?"});
  EXPECT_EQ(values(train, {{}, {"data.train.splitt"}}).size(), 1u);
  EXPECT_EQ(values(train + "[stage.b]\nlike = \"a\"\nunset = [\"batch\"]\n", {}).size(), 1u);
  EXPECT_EQ(
      values(train + "unset = [\"steps\"]\n", {}),
      Lines{"p.toml:10:10: error: stage.a.steps: nothing below sets this key, so it cannot be "
            "taken away"});
}

TEST_F(LayersTest, FaultsOfUnset) {
  EXPECT_EQ(values(train + "unset = \"steps\"\n", {}).size(), 1u);
  EXPECT_EQ(values(train + "unset = [3]\n", {}),
            Lines{"p.toml:10:10: error: stage.a.unset: 3 is an integer; accepted: an array of the "
                  "stage's keys, such as [\"epochs\"]"});
  EXPECT_EQ(values(train + "unset = [\"a..b\"]\n", {}).size(), 1u);
  EXPECT_EQ(values(train, {{}, {"=", "a b", "\xff"}}).size(), 3u);
}

}  // namespace
}  // namespace bissl::host::test
