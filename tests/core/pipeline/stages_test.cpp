#include "fixture.h"

#include "pipeline/stage_graph.h"

#include <nlohmann/json.hpp>

namespace bissl::host::test {
namespace {

using StagesTest = PipelineTest;

const std::string base = std::string(head) + pretrain;

/// Behind `base`: lines 14 to 18.
const std::string bissl =
    "[stage.bissl]\n"
    "kind = \"bissl\"\n"
    "from = \"pretrain\"\n"
    "upper = { data = \"train\" }\n"
    "hypergradient = { use = \"cg\", iterations = 3 }\n";

const std::string finetune =
    "[stage.finetune]\n"
    "kind = \"finetune\"\n"
    "from = \"bissl\"\n"
    "data = \"train\"\n"
    "augment = { use = \"flip\" }\n"
    "optimizer = { use = \"adamw\", lr = 0.01 }\n";

Lines names(const Pipeline& pipeline) {
  Lines result;
  for (const Stage& stage : pipeline.stages) {
    result.push_back(stage.name);
  }
  return result;
}

// --- from ---

TEST_F(StagesTest, ParentsComeFirst) {
  EXPECT_EQ(names(sound(base + bissl + finetune)), (Lines{"pretrain", "bissl", "finetune"}));
  EXPECT_EQ(names(sound(std::string(head) + finetune + bissl + pretrain)),
            (Lines{"pretrain", "bissl", "finetune"}));
  const Pipeline pipeline =
      sound(base + bissl + finetune + "[stage.a]\nlike = \"finetune\"\nfrom = \"scratch\"\n");
  EXPECT_EQ(names(pipeline), (Lines{"pretrain", "bissl", "finetune", "a"}));
  EXPECT_EQ(pipeline.stage("finetune").from, "bissl");
  EXPECT_EQ(pipeline.stage("a").from, "");
}

/// A kind that reads the weights of other stages beside its parent's.
StageKindSpec comparing_kind() {
  StageKindSpec kind;
  kind.name = "compare";
  ParameterSpec with;
  with.name = "with";
  with.type = ValueType::strings;
  with.default_value = std::vector<std::string>{};
  with.traits["or_one"] = true;
  with.traits[names_stages] = true;
  kind.table.parameters = {with};
  kind.takes = {"backbone"};
  return kind;
}

TEST_F(StagesTest, NamedStagesComeFirst) {
  kinds_.push_back(comparing_kind());
  const std::string compare = "[stage.c]\nkind = \"compare\"\nwith = ";
  const Pipeline pipeline =
      sound(std::string(head) + compare + "[\"bissl\", \"scratch\"]\n" + bissl + pretrain);
  EXPECT_EQ(names(pipeline), (Lines{"pretrain", "bissl", "c"}));
  const Stage& stage = pipeline.stage("c");
  EXPECT_EQ(named_stages(kinds_.back().table, stage.table.values), Lines{"bissl"});
  EXPECT_EQ(names(sound(std::string(head) + compare + "\"pretrain\"\n" + pretrain)),
            (Lines{"pretrain", "c"}));
  const Lines unknown = faults_of(base + compare + "[\"pretrian\"]\n");
  ASSERT_EQ(unknown.size(), 1U);
  EXPECT_NE(unknown[0].find("stage.c.with: there is no stage \"pretrian\""), std::string::npos)
      << unknown[0];
  const Lines circle = faults_of(base + compare + "\"c\"\n");
  ASSERT_EQ(circle.size(), 1U);
  EXPECT_NE(circle[0].find("stage \"c\" is of kind \"compare\", which hands on no backbone"),
            std::string::npos)
      << circle[0];
}

TEST_F(StagesTest, IndependentStagesKeepTheOrderOfTheFile) {
  std::string text = base;
  for (const char* name : {"z", "m", "a"}) {
    text += std::string("[stage.") + name + "]\nlike = \"pretrain\"\n";
  }
  EXPECT_EQ(names(sound(text)), (Lines{"pretrain", "z", "m", "a"}));
}

TEST_F(StagesTest, FromThatNamesNoStage) {
  EXPECT_EQ(faults_of(base + bissl, {"stage.bissl.from=pretrian"}),
            Lines{"--set stage.bissl.from=pretrian: error: stage.bissl.from: there is no stage "
                  "\"pretrian\"; accepted: \"pretrain\", \"bissl\", \"scratch\"; did you mean "
                  "\"pretrain\"?"});
  EXPECT_EQ(
      faults_of(base + bissl, {"stage.bissl.from=[1]"}),
      Lines{"--set stage.bissl.from=[1]: error: stage.bissl.from: [1] is an array of integers; "
            "accepted: the name of a stage"});
}

TEST_F(StagesTest, FromItself) {
  EXPECT_EQ(faults_of(base + bissl, {"stage.bissl.from=bissl"})[0],
            "--set stage.bissl.from=bissl: error: stage.bissl.from: a stage cannot continue "
            "itself; accepted: \"pretrain\", \"bissl\", \"scratch\"");
}

TEST_F(StagesTest, MissingFrom) {
  EXPECT_EQ(faults_of(base + "[stage.k]\nkind = \"knn\"\nneighbours = 3\n"),
            Lines{"p.toml:14:1: error: stage.k.from: this required key is missing: a stage of kind "
                  "\"knn\" continues another; accepted: \"pretrain\", \"scratch\""});
}

TEST_F(StagesTest, KindsThatCannotBeContinued) {
  EXPECT_EQ(faults_of(base + bissl + finetune +
                      "[stage.k]\nkind = \"knn\"\nneighbours = 3\nfrom = \"finetune\"\n"),
            Lines{"p.toml:28:8: error: stage.k.from: stage \"finetune\" is of kind \"finetune\", "
                  "which no stage can continue; accepted: \"pretrain\", \"bissl\", \"scratch\""});
}

TEST_F(StagesTest, CyclesNameTheChain) {
  EXPECT_EQ(
      faults_of(base + "from = \"b\"\n"
                       "[stage.b]\nlike = \"pretrain\"\nfrom = \"c\"\n"
                       "[stage.c]\nlike = \"pretrain\"\nfrom = \"pretrain\"\n"
                       "[stage.outside]\nlike = \"pretrain\"\nfrom = \"c\"\n"),
      Lines{"p.toml:14:8: error: stage.pretrain.from: stages continue each other in a circle: "
            "pretrain → b → c → pretrain"});
  EXPECT_EQ(
      faults_of(std::string(head) + bissl,
                {"stage.bissl.from=other", "stage.other.like=bissl", "stage.other.from=bissl"})
          .size(),
      1u)
      << "nothing is said to be missing that a sound chain would have given";
}

TEST_F(StagesTest, ScratchIsNoName) {
  EXPECT_EQ(faults_of(base + "[stage.scratch]\nlike = \"pretrain\"\n"),
            Lines{"p.toml:14:8: error: stage.scratch: no stage can have this name: from = "
                  "\"scratch\" means random weights"});
}

TEST_F(StagesTest, KindIsRequired) {
  EXPECT_EQ(faults_of(base + "[stage.x]\n"),
            Lines{"p.toml:14:1: error: stage.x.kind: this required key is missing; accepted: "
                  "\"pretrain\", \"bissl\", \"finetune\", \"knn\""});
}

TEST_F(StagesTest, TooManyStages) {
  std::string text = base;
  for (int i = 0; i < 1000; ++i) {
    text += "[stage.s" + std::to_string(i) + "]\n";
  }
  EXPECT_EQ(faults_of(text).size(), 1u);
}

TEST_F(StagesTest, ALongChainIsWalkedWithoutRecursion) {
  std::string text = base;
  std::string previous = "pretrain";
  for (int i = 0; i < 900; ++i) {
    const std::string name = "s" + std::to_string(i);
    text += "[stage." + name + "]\nlike = \"" + previous + "\"\nfrom = \"" + previous + "\"\n";
    previous = name;
  }
  EXPECT_EQ(sound(text).stages.back().name, "s899");
}

// --- like ---

TEST_F(StagesTest, LikeTakesEverythingThatIsNotGiven) {
  const Pipeline pipeline =
      sound(base +
            "[stage.again]\nlike = \"pretrain\"\nbatch = 8\noptimizer = { lr = 2.0 }\n"
            "[stage.third]\nlike = \"again\"\noptimizer = { use = \"adamw\", lr = 3.0 }\n");
  const Table& again = pipeline.stage("again").table;
  EXPECT_EQ(pipeline.stage("again").kind, "pretrain");
  EXPECT_EQ(again.values.at("batch"), Value(int64_t{8}));
  EXPECT_EQ(again.values.at("epochs"), Value(int64_t{3}));
  EXPECT_EQ(again.component("optimizer").values.at("lr"), Value(2.0));
  EXPECT_EQ(again.component("optimizer").values.at("momentum"), Value(0.8));
  const Table& third = pipeline.stage("third").table;
  EXPECT_EQ(third.values.at("batch"), Value(int64_t{8}));
  EXPECT_EQ(third.component("optimizer").values, (ParameterValues{{"lr", 3.0}}));
  EXPECT_EQ(third.table("schedule").values.at("warmup_epochs"), Value(int64_t{2}));
}

TEST_F(StagesTest, LikeTakesFromUnlessItIsGiven) {
  const std::string text = base + bissl + finetune;
  EXPECT_EQ(sound(text + "[stage.b]\nlike = \"finetune\"\n").stage("b").from, "bissl");
  EXPECT_EQ(sound(text + "[stage.b]\nlike = \"finetune\"\nfrom = \"pretrain\"\n").stage("b").from,
            "pretrain");
}

TEST_F(StagesTest, LikeDoesNotDependOnTheOrder) {
  const Pipeline pipeline =
      sound(std::string(head) +
            "[stage.c]\nlike = \"b\"\n[stage.b]\nlike = \"pretrain\"\nbatch = "
            "9\n" +
            pretrain);
  EXPECT_EQ(pipeline.stage("c").table.values.at("batch"), Value(int64_t{9}));
  EXPECT_EQ(pipeline.stage("c").table.values.at("epochs"), Value(int64_t{3}));
}

TEST_F(StagesTest, FaultsOfLike) {
  EXPECT_EQ(faults_of(base + "[stage.x]\nlike = \"pretrian\"\n"),
            Lines{"p.toml:15:8: error: stage.x.like: there is no stage \"pretrian\"; accepted: "
                  "\"pretrain\"; did you mean \"pretrain\"?"});
  EXPECT_EQ(faults_of(base + "[stage.x]\nlike = 1\n"),
            Lines{"p.toml:15:8: error: stage.x.like: 1 is an integer; accepted: the name of a "
                  "stage"});
  EXPECT_EQ(faults_of(base + "[stage.a]\nlike = \"c\"\n[stage.b]\nlike = \"c\"\n"
                             "[stage.c]\nlike = \"b\"\n"),
            Lines{"p.toml:17:8: error: stage.b.like: stages are like each other in a circle: b → c "
                  "→ b"});
  EXPECT_EQ(faults_of(base + "[stage.a]\nlike = \"a\"\n"),
            Lines{"p.toml:15:8: error: stage.a.like: stages are like each other in a circle: a → "
                  "a"});
}

TEST_F(StagesTest, AFaultThatLikeCopiesIsReportedOnce) {
  EXPECT_EQ(faults_of(base + "[stage.x]\nlike = \"pretrain\"\n", {"stage.pretrain.batch=0"}).size(),
            1u);
}

// --- inheritance ---

TEST_F(StagesTest, LowerTakesWhatItLacksFromPretraining) {
  const Table lower =
      sound(base + bissl + "[stage.bissl.lower]\nbatch = 16\noptimizer = { lr = 0.25 }\n")
          .stage("bissl")
          .table.table("lower");
  EXPECT_EQ(lower.values,
            (ParameterValues{
                {"data", std::string("train")}, {"batch", int64_t{16}}, {"steps", int64_t{20}}}));
  EXPECT_EQ(lower.component("augment").values.at("size"), Value(int64_t{24}));
  EXPECT_EQ(lower.component("optimizer").values.at("lr"), Value(0.25));
  EXPECT_EQ(lower.component("optimizer").values.at("momentum"), Value(0.8));
  EXPECT_EQ(lower.table("schedule").values.at("warmup_epochs"), Value(int64_t{2}));
}

TEST_F(StagesTest, LowerNeedNotBeThereAtAll) {
  const Table lower = sound(base + bissl).stage("bissl").table.table("lower");
  EXPECT_EQ(lower.values.at("batch"), Value(int64_t{64}));
  EXPECT_EQ(lower.component("augment").origin, (folder_.path() / "p.toml:9:19").string());
}

TEST_F(StagesTest, AnotherComponentInheritsNothing) {
  const Table lower = sound(base + bissl +
                            "lower = { optimizer = { use = \"sgd\", lr = 0.25 }, augment = { use = "
                            "\"flip\" } }\n")
                          .stage("bissl")
                          .table.table("lower");
  EXPECT_EQ(lower.component("optimizer").values.at("momentum"), Value(0.8)) << "the same one does";
  EXPECT_EQ(lower.component("augment").values,
            (ParameterValues{{"scale", std::vector<double>{1}}}));
}

TEST_F(StagesTest, InheritanceReachesThroughOtherStages) {
  const std::string second =
      "[stage.second]\nlike = \"bissl\"\nfrom = \"bissl\"\nrounds = 3\n[stage.bissl.lower]\nbatch "
      "= "
      "16\n";
  const Pipeline pipeline = sound(base + bissl + second);
  EXPECT_EQ(pipeline.stage("second").table.table("lower").component("augment").values.at("size"),
            Value(int64_t{24}));
}

TEST_F(StagesTest, OptionalThingsThatTheAncestorLacksStayAbsent) {
  std::string plain = pretrain;
  plain.erase(plain.find("schedule"), plain.find("batch") - plain.find("schedule"));
  EXPECT_FALSE(sound(std::string(head) + plain + bissl)
                   .stage("bissl")
                   .table.table("lower")
                   .has_table("schedule"));
}

TEST_F(StagesTest, WithoutAnAncestorRequiredThingsAreMissing) {
  EXPECT_EQ(faults_of(base + bissl, {"stage.bissl.from=scratch"}),
            (Lines{"p.toml:14:1: error: stage.bissl.lower: this required key is missing; accepted: "
                   "a table with \"data\", \"batch\", \"steps\", \"augment\", \"optimizer\", "
                   "\"schedule\""}));
  EXPECT_EQ(
      faults_of(base + bissl + "[stage.bissl.lower]\nbatch = 1\n", {"stage.bissl.from=scratch"})
          .size(),
      3u);
}

TEST_F(StagesTest, WhatTheAncestorLacksTooIsMissingAtTheStage) {
  std::string plain = pretrain;
  plain.erase(plain.find("data"), plain.find("augment") - plain.find("data"));
  EXPECT_EQ(
      faults_of(std::string(head) + plain + bissl),
      (Lines{"p.toml:6:1: error: stage.pretrain.data: this required key is missing; accepted: "
             "a string",
             "p.toml:13:1: error: stage.bissl.lower.data: this required key is missing; "
             "accepted: a string"}));
}

TEST_F(StagesTest, NothingIsSaidToBeMissingIfTheAncestorIsNotKnown) {
  EXPECT_EQ(faults_of(base + bissl, {"stage.bissl.from=pretrian"}).size(), 1u);
  EXPECT_EQ(faults_of(base + bissl, {"stage.pretrain.kind=pretrian"}).size(), 1u);
}

TEST_F(StagesTest, FaultsOfWhatIsInheritedAreReportedOnce) {
  EXPECT_EQ(faults_of(base + bissl, {"stage.pretrain.augment.size=0"}),
            Lines{"--set stage.pretrain.augment.size=0: error: stage.pretrain.augment.size: 0 is "
                  "out of bounds; accepted: an integer of at least 1"});
}

// --- names of data sources ---

TEST_F(StagesTest, DataNamesInSubtablesAndLists) {
  EXPECT_EQ(
      faults_of(base + bissl + finetune +
                    "evaluate = { data = \"trian\" }\n"
                    "[stage.k]\nkind = \"knn\"\nneighbours = 1\nfrom = \"bissl\"\n"
                    "data = [\"train\", \"tests\"]\n",
                {"stage.bissl.upper.data=few"}),
      (Lines{"p.toml:25:21: error: stage.finetune.evaluate.data: there is no data source "
             "\"trian\"; accepted: \"train\"; did you mean \"train\"?",
             "p.toml:30:18: error: stage.k.data: there is no data source \"tests\"; accepted: "
             "\"train\"",
             "--set stage.bissl.upper.data=few: error: stage.bissl.upper.data: there is no "
             "data source \"few\"; accepted: \"train\""}));
}

TEST_F(StagesTest, AnEmptyNameStandsForNoDataWhereItIsTheDefault) {
  ParameterSpec spec;
  spec.name = "data";
  spec.type = ValueType::string;
  spec.default_value = std::string();
  spec.traits["names_data"] = true;
  kinds_[3].table.parameters[0] = spec;
  const std::string knn = "[stage.k]\nkind = \"knn\"\nneighbours = 1\nfrom = \"pretrain\"\n";
  const Pipeline pipeline = sound(base + knn);
  EXPECT_EQ(canonical(sound(to_lock_toml(pipeline))), canonical(pipeline));
  EXPECT_EQ(stage_description(pipeline, pipeline.stage("k"), {}, ""),
            stage_description(pipeline, sound(base + knn + "data = \"\"\n").stage("k"), {}, ""));
  EXPECT_EQ(faults_of(base + knn + "data = \"x\"\n").size(), 1u);
  EXPECT_EQ(faults_of(base, {"stage.pretrain.data=\"\""}).size(), 1u) << "required there";
}

}  // namespace
}  // namespace bissl::host::test
