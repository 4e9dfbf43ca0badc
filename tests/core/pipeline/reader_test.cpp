#include "fixture.h"

#include <nlohmann/json.hpp>

namespace bissl::host::test {
namespace {

using ReaderTest = PipelineTest;

const std::string sound_text = std::string(head) + pretrain;

TEST_F(ReaderTest, ASoundFileHasAllValues) {
  const Pipeline pipeline = sound(sound_text);
  EXPECT_EQ(pipeline.name, "test");
  EXPECT_EQ(pipeline.seed, 0u);
  EXPECT_EQ(pipeline.file, folder_.path() / "p.toml");
  EXPECT_EQ(pipeline.data_source("train").dataset.values,
            (ParameterValues{{"split", std::string("train")}, {"noise", 0.0}}));
  EXPECT_EQ(pipeline.backbone.values, (ParameterValues{{"width", int64_t{8}}}));
  const Stage& stage = pipeline.stage("pretrain");
  EXPECT_EQ(stage.kind, "pretrain");
  EXPECT_EQ(stage.from, "");
  EXPECT_EQ(data_names(stage.table), Lines{"train"});
  EXPECT_EQ(stage.table.values,
            (ParameterValues{
                {"data", std::string("train")}, {"batch", int64_t{64}}, {"epochs", int64_t{3}}}));
  EXPECT_EQ(stage.table.origin, (folder_.path() / "p.toml:6:1").string());
  const ComponentChoice& optimizer = stage.table.component("optimizer");
  EXPECT_EQ(optimizer.component->qualified_name(), "descent/sgd");
  EXPECT_EQ(optimizer.origin, (folder_.path() / "p.toml:10:21").string());
  EXPECT_EQ(optimizer.values,
            (ParameterValues{
                {"lr", 0.5}, {"momentum", 0.8}, {"nesterov", false}, {"clip", std::monostate{}}}));
  EXPECT_EQ(stage.table.table("schedule").values,
            (ParameterValues{{"use", std::string("cosine")}, {"warmup_epochs", int64_t{2}}}));
  EXPECT_TRUE(read_text(sound_text).diagnostics.empty());
}

TEST_F(ReaderTest, AskingForWhatIsNotThereIsAnError) {
  const Pipeline pipeline = sound(sound_text);
  EXPECT_THROW(pipeline.stage("x"), Error);
  EXPECT_THROW(pipeline.data_source("x"), Error);
}

TEST_F(ReaderTest, ManyFaultsAreReportedTogether) {
  const std::string text =
      "nam = \"test\"\n"                                                      // 1
      "seed = -1\n"                                                           // 2
      "[data.\"a b\"]\n"                                                      // 3
      "use = \"digit\"\n"                                                     // 4
      "[data.test]\n"                                                         // 5
      "use = \"digits\"\n"                                                    // 6
      "split = \"tset\"\n"                                                    // 7
      "per_clas = 3\n"                                                        // 8
      "[model]\n"                                                             // 9
      "backbon = 1\n"                                                         // 10
      "[stage.s]\n"                                                           // 11
      "kind = \"pretrain\"\n"                                                 // 12
      "data = \"tests\"\n"                                                    // 13
      "batch = 0\n"                                                           // 14
      "epochs = 2.5\n"                                                        // 15
      "augment = \"crop\"\n"                                                  // 16
      "  optimizer = { use = \"cg\", lr = 1 }\n"                              // 17
      "  schedule = { use = \"linear\", warmup_epochs = \"many\", x = 1 }\n"  // 18
      "[stage.t]\n"                                                           // 19
      "kind = \"finetun\"\n";                                                 // 20
  EXPECT_EQ(
      faults_of(text),
      (Lines{
          "p.toml:1:1: error: nam: unknown key; accepted: \"name\", \"seed\", \"include\", "
          "\"unset\", \"plugins\", \"data\", \"model\", \"stage\", \"lock\"; did you mean "
          "\"name\"?",
          "p.toml:1:1: error: name: this required key is missing; accepted: a string of 1 to 100 "
          "letters, "
          "digits, '.', '_' and '-', not beginning with '.'",
          "p.toml:2:8: error: seed: -1 is out of bounds; accepted: an integer of at least 0",
          "p.toml:3:7: error: data.\"a b\": this cannot name a data source; accepted: a string of "
          "1 to 100 "
          "letters, digits, '.', '_' and '-', not beginning with '.'",
          "p.toml:4:7: error: data.\"a b\".use: there is no dataset \"digit\"; accepted: "
          "\"clothes\", \"digits\"; did you mean \"digits\"?",
          "p.toml:7:9: error: data.test.split: \"tset\" is not among the choices; accepted: one of "
          "\"train\", \"test\"; did you mean \"test\"?",
          "p.toml:8:1: error: data.test.per_clas: unknown key; accepted: \"use\", \"split\", "
          "\"noise\", \"classes\", \"per_class\", \"host\"; did you mean \"per_class\"?",
          "p.toml:9:1: error: model.backbone: this required key is missing; accepted: a table "
          "[model.backbone]: { use = \"NAME\", … }",
          "p.toml:10:1: error: model.backbon: unknown key; accepted: \"backbone\"; did you mean "
          "\"backbone\"?",
          "p.toml:13:8: error: stage.s.data: there is no data source \"tests\"; accepted: \"a b\", "
          "\"test\"; did you mean \"test\"?",
          "p.toml:14:9: error: stage.s.batch: 0 is out of bounds; accepted: an integer of at least "
          "1",
          "p.toml:15:10: error: stage.s.epochs: 2.5 is a float; accepted: an integer of at least "
          "1",
          "p.toml:16:11: error: stage.s.augment: \"crop\" is a string; accepted: a table that "
          "names "
          "an augmentation: { use = \"NAME\", … }",
          "p.toml:17:23: error: stage.s.optimizer.use: there is no optimizer \"cg\" (the name "
          "belongs to a hypergradient); accepted: \"adamw\", \"sgd\"",
          "p.toml:18:22: error: stage.s.schedule.use: \"linear\" is not among the choices; "
          "accepted: one of \"cosine\", \"constant\"",
          "p.toml:18:48: error: stage.s.schedule.warmup_epochs: \"many\" is a string; accepted: an "
          "integer of at least 0",
          "p.toml:18:56: error: stage.s.schedule.x: unknown key; accepted: \"use\", "
          "\"warmup_epochs\"",
          "p.toml:20:8: error: stage.t.kind: there is no kind of stage \"finetun\"; accepted: "
          "\"pretrain\", \"bissl\", \"finetune\", \"knn\"; did you mean \"finetune\"?",
      }));
  EXPECT_FALSE(read_text(text).pipeline);
}

TEST_F(ReaderTest, ValuesOfEveryWrongType) {
  const auto fault = [&](const std::string& value) {
    const Lines found = faults_of(std::string(head) +
                                  "[stage.s]\nkind = \"pretrain\"\ndata = \"train\"\n"
                                  "augment = { use = \"flip\", scale = " +
                                  value + " }\noptimizer = { use = \"sgd\", lr = 1 }\n");
    return found.empty() ? "" : found[0];
  };
  const std::string start = "p.toml:9:35: error: stage.s.augment.scale: ";
  const std::string end = "; accepted: an array of floats";
  EXPECT_EQ(fault("[1, 2.5]"), "");
  EXPECT_EQ(fault("[1, 2]"), "");
  EXPECT_EQ(fault("[]"), "");
  EXPECT_EQ(fault("1"), start + "1 is an integer" + end);
  EXPECT_EQ(fault("[1, \"a\"]"), start + "an array of mixed or unsuitable types was given" + end);
  EXPECT_EQ(fault("[[1]]"), start + "an array of mixed or unsuitable types was given" + end);
  EXPECT_EQ(fault("[true]"), start + "an array of mixed or unsuitable types was given" + end);
  EXPECT_EQ(fault("[{}]"), start + "an array of mixed or unsuitable types was given" + end);
  EXPECT_EQ(fault("[\"a\"]"), start + "[\"a\"] is an array of strings" + end);
  EXPECT_EQ(fault("07:32:00"), start + "a date was given" + end);
  EXPECT_EQ(fault("{ a = 1 }"), start + "a table was given" + end);
  EXPECT_EQ(fault("[1, nan]"),
            start + "[1.0, nan] has an element (nan) that is not a finite number" + end);
  EXPECT_EQ(fault("[\"" + std::string(500, 'x') + "\"]"),
            start + "[\"" + std::string(78, 'x') + "… is an array of strings" + end);
}

TEST_F(ReaderTest, ARealTakesAnIntegerAndAnIntegerNoFraction) {
  EXPECT_EQ(sound(sound_text, {"stage.pretrain.optimizer.lr=2"})
                .stage("pretrain")
                .table.component("optimizer")
                .values.at("lr"),
            Value(2.0));
  EXPECT_EQ(faults_of(sound_text, {"stage.pretrain.batch=2.5"}),
            Lines{"--set stage.pretrain.batch=2.5: error: stage.pretrain.batch: 2.5 is a float; "
                  "accepted: an integer of at least 1"});
  EXPECT_EQ(faults_of(sound_text, {"stage.pretrain.optimizer.lr=0"}),
            Lines{"--set stage.pretrain.optimizer.lr=0: error: stage.pretrain.optimizer.lr: 0.0 is "
                  "out of bounds; accepted: a float of more than 0"});
}

TEST_F(ReaderTest, MissingKeysOfComponentsAndTables) {
  EXPECT_EQ(faults_of(std::string(head) + "[stage.s]\nkind = \"pretrain\"\noptimizer = {}\n"
                                          "augment = { use = 3 }\nschedule = 1\n"),
            (Lines{"p.toml:6:1: error: stage.s.data: this required key is missing; accepted: a "
                   "string",
                   "p.toml:8:13: error: stage.s.optimizer.use: this required key is missing; "
                   "accepted: \"adamw\", \"sgd\"",
                   "p.toml:9:19: error: stage.s.augment.use: 3 is an integer; accepted: \"crop\", "
                   "\"flip\"",
                   "p.toml:10:12: error: stage.s.schedule: 1 is an integer; accepted: a table with "
                   "\"use\", \"warmup_epochs\""}));
}

TEST_F(ReaderTest, RulesOfComponentsAndOfTables) {
  EXPECT_EQ(faults_of(sound_text,
                      {"stage.pretrain.optimizer.momentum=0",
                       "stage.pretrain.optimizer.nesterov=true", "stage.pretrain.optimizer.lr=20"}),
            (Lines{"--set stage.pretrain.optimizer.lr=20: warning: stage.pretrain.optimizer.lr: is "
                   "very large",
                   "--set stage.pretrain.optimizer.nesterov=true: error: "
                   "stage.pretrain.optimizer.nesterov: needs a momentum"}));
  const ReadResult result = read_text(
      sound_text + "[stage.k]\nkind = \"knn\"\nfrom = \"pretrain\"\ndata = [\"train\"]\n");
  EXPECT_TRUE(result.pipeline) << "a warning is no error";
  EXPECT_EQ(lines(result),
            Lines{"p.toml:14:1: warning: stage.k.neighbours: an even number can tie"});
}

TEST_F(ReaderTest, RulesSeeOnlyValidValues) {
  const auto broken = [](const ParameterValues&) -> std::vector<Finding> {
    throw std::runtime_error("broken rule");
  };
  components_.add(ComponentKind::backbone, "nets", "strict", {}, broken);
  EXPECT_EQ(faults_of(sound_text, {"model.backbone.use=strict"}),
            Lines{"p.toml:4:1: error: model.backbone: the rules over its values failed: broken "
                  "rule"});
  EXPECT_EQ(faults_of(sound_text, {"stage.pretrain.optimizer.momentum=2",
                                   "stage.pretrain.optimizer.nesterov=true"})
                .size(),
            1u);
}

// --- components ---

TEST_F(ReaderTest, QualifiedNames) {
  EXPECT_EQ(sound(sound_text, {"model.backbone.use=nets/tiny"}).backbone.component->info.text.name,
            "tiny");
  EXPECT_EQ(faults_of(sound_text, {"model.backbone.use=net/tiny"}),
            Lines{"--set model.backbone.use=net/tiny: error: model.backbone.use: there is no "
                  "backbone \"net/tiny\"; accepted: \"nets/tiny\"; did you mean \"nets/tiny\"?"});
}

/// A dataset that has a key of the host's for itself.
ParameterSpec own_per_class() {
  ParameterSpec spec;
  spec.name = "per_class";
  spec.type = ValueType::integer;
  spec.default_value = int64_t{1};
  return spec;
}

TEST_F(ReaderTest, AKeyThatADatasetDeclaresIsTheDatasets) {
  components_.add(ComponentKind::dataset, "greedy", "greedy", {own_per_class()});
  const Lines both = {"data.train.use=greedy", "data.train.per_class=5",
                      "data.train.host.per_class=7"};
  const DataSource source = sound(sound_text, both).data.at(0);
  EXPECT_EQ(source.dataset.values.at("per_class"), Value(int64_t{5}));
  EXPECT_EQ(source.selection.values.at("per_class"), Value(int64_t{7}));
  const DataSource own = sound(sound_text, {both[0], both[1]}).data.at(0);
  EXPECT_EQ(own.dataset.values.at("per_class"), Value(int64_t{5}));
  EXPECT_EQ(own.selection.values.at("per_class"), Value(int64_t{0})) << "the host's default";
}

TEST_F(ReaderTest, TheHostsKeysMayAlwaysBeInTheirOwnTable) {
  EXPECT_EQ(sound(sound_text, {"data.train.host.per_class=7"})
                .data.at(0)
                .selection.values.at("per_class"),
            Value(int64_t{7}));
  EXPECT_EQ(
      faults_of(sound_text, {"data.train.per_class=5", "data.train.host.per_class=7"}),
      Lines{"--set data.train.host.per_class=7: error: data.train.host.per_class: given twice, "
            "also at --set data.train.per_class=5"});
  EXPECT_EQ(faults_of(sound_text, {"data.train.host.per_class=-1"}),
            Lines{"--set data.train.host.per_class=-1: error: data.train.host.per_class: -1 is out "
                  "of bounds; accepted: an integer of at least 0"});
  EXPECT_EQ(faults_of(sound_text, {"data.train.host.root=x"}),
            Lines{"--set data.train.host.root=x: error: data.train.host.root: unknown key; "
                  "accepted: \"classes\", \"per_class\""});
  EXPECT_EQ(faults_of(sound_text, {"data.train.host=3"}),
            Lines{"--set data.train.host=3: error: data.train.host: 3 is an integer; accepted: a "
                  "table with \"classes\", \"per_class\""});
}

TEST_F(ReaderTest, ALockKeepsBothMeaningsOfAKeyApart) {
  components_.add(ComponentKind::dataset, "greedy", "greedy", {own_per_class()});
  const Pipeline pipeline = sound(sound_text, {"data.train.use=greedy", "data.train.per_class=5",
                                               "data.train.host.per_class=7"});
  const Pipeline again = sound(to_lock_toml(pipeline, {}));
  EXPECT_EQ(canonical(again), canonical(pipeline));
  EXPECT_EQ(again.data.at(0).selection.values.at("per_class"), Value(int64_t{7}));
}

TEST_F(ReaderTest, FormerNamesOfComponentsAreRefusedWithTheNewOne) {
  components_.add_renamed(ComponentKind::dataset, "renamed", "numbers", {"figures"});
  for (const char* name : {"figures", "renamed/figures"}) {
    const std::string setting = std::string("data.train.use=") + name;
    EXPECT_EQ(faults_of(sound_text, {setting}),
              Lines{"--set " + setting + ": error: data.train.use: renamed: the dataset `" + name +
                    "` is `numbers` now"});
  }
}

TEST_F(ReaderTest, FormerNamesOfParametersAreRefusedWithTheNewOne) {
  ParameterSpec spec = own_per_class();
  spec.name = "number";
  spec.traits["formerly"] = std::vector<std::string>{"count", "amount"};
  components_.add(ComponentKind::dataset, "renamed", "renamed", {spec});
  EXPECT_EQ(faults_of(sound_text, {"data.train.use=renamed", "data.train.amount=3"}),
            Lines{"--set data.train.amount=3: error: data.train.amount: renamed: `amount` is "
                  "`number` now"});
}

TEST_F(ReaderTest, UnusedDataIsAWarning) {
  const ReadResult result = read_text(sound_text + "[data.spare]\nuse = \"digits\"\n");
  EXPECT_TRUE(result.pipeline);
  EXPECT_EQ(lines(result),
            Lines{"p.toml:14:7: warning: data.spare: no stage uses this data source"});
}

// --- plugins ---

TEST_F(ReaderTest, PluginFoldersAreLoadedBeforeNamesAreLookedUp) {
  components_.offer(folder_.path() / "lib" / "mine", ComponentKind::backbone, "novel");
  write("lib/common.toml", "[plugins]\npath = [\"mine\"]\n");
  const Pipeline pipeline = sound(
      "include = [\"lib/common.toml\"]\nname = \"test\"\n"
      "[data.train]\nuse = \"digits\"\n"
      "[model.backbone]\nuse = \"novel\"\n" +
      std::string(pretrain));
  EXPECT_EQ(pipeline.backbone.component->qualified_name(), "offered/novel");
  EXPECT_EQ(components_.asked_folders,
            std::vector<std::filesystem::path>{folder_.path() / "lib" / "mine"});
  EXPECT_EQ(pipeline.plugin_folders, components_.asked_folders);
}

TEST_F(ReaderTest, FoldersOfOverridesAreRelativeToTheWorkingDirectory) {
  read_text(sound_text, {"plugins.path=[\"mine\"]"});
  EXPECT_EQ(components_.asked_folders,
            std::vector<std::filesystem::path>{std::filesystem::current_path() / "mine"});
}

TEST_F(ReaderTest, FaultsOfPluginFolders) {
  components_.spoil(folder_.path() / "bad", "/lib/bad.so");
  EXPECT_EQ(
      faults_of(sound_text + "[plugins]\npaht = 1\npath = [\"absent\", 3, \"bad\"]\n"),
      (Lines{"p.toml:15:1: error: plugins.paht: unknown key; accepted: \"path\"; did you mean "
             "\"path\"?",
             "p.toml:16:9: error: plugins.path: no such folder",
             "p.toml:16:19: error: plugins.path: 3 is an integer; accepted: the path of a "
             "folder",
             "p.toml:16:22: warning: plugins.path: /lib/bad.so is not a library"}));
  EXPECT_EQ(faults_of(sound_text + "[plugins]\npath = \"bad\"\n"),
            Lines{"p.toml:15:8: error: plugins.path: \"bad\" is a string; accepted: an array of "
                  "folders: path = [\"my-plugins\"]"});
}

TEST_F(ReaderTest, UnknownComponentsMentionRefusedLibraries) {
  components_.spoil(folder_.path() / "bad", "/lib/bad.so");
  const Lines found =
      faults_of(sound_text + "[plugins]\npath = [\"bad\"]\n", {"model.backbone.use=novel"});
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[1],
            "--set model.backbone.use=novel: error: model.backbone.use: there is no backbone "
            "\"novel\" (it may be in what could not be loaded: /lib/bad.so; `bissl plugins` says "
            "why); accepted: \"tiny\"");
}

// --- names become names of folders ---

TEST_F(ReaderTest, NamesThatCouldLeaveTheRunFolderAreRefused) {
  for (const char* name : {"..", ".", "", ".hidden", "a/b", "a b", "\xC3\xA9"}) {
    EXPECT_EQ(faults_of(sound_text, {"name=\"" + std::string(name) + "\""}).size(), 1u) << name;
    EXPECT_EQ(faults_of(sound_text + "[stage.\"" + name + "\"]\nlike = \"pretrain\"\n").size(), 1u)
        << name;
  }
  EXPECT_EQ(faults_of(sound_text, {"name=" + std::string(101, 'x')}).size(), 1u);
  EXPECT_EQ(sound(sound_text, {"name=a.B_c-1"}).name, "a.B_c-1");
}

}  // namespace
}  // namespace bissl::host::test
