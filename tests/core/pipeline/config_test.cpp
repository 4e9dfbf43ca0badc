#include "fixture.h"
#include "pipeline/config_loader.h"
#include "pipeline/toml_parser.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace bissl::host::test {
namespace {

// --- positions and faults of the TOML itself ---

TEST(TomlParser, KeepsOrderAndPositions) {
  DiagnosticCollector diagnostics;
  const auto root =
      parse_toml("z = 1\na.b = [1,\n  2.5]\n[t]\nk = { x = 'y' }\n", "f", diagnostics);
  ASSERT_TRUE(root);
  ASSERT_EQ(root->entries.size(), 3u);
  EXPECT_EQ(root->entries[0].key, "z");
  EXPECT_EQ(root->entries[0].value.at.text(), "f:1:5");
  const ConfigEntry* list = root->find_path("a.b");
  ASSERT_NE(list, nullptr);
  EXPECT_EQ(list->key_at.text(), "f:2:3");
  EXPECT_EQ(list->value.at.text(), "f:2:7");
  EXPECT_EQ(list->value.items[1].at.text(), "f:3:3");
  EXPECT_EQ(to_value(list->value), Value(std::vector<double>{1, 2.5}));
  EXPECT_EQ(root->find("t")->value.at.text(), "f:4:1");
  EXPECT_EQ(*root->find_path("t.k")->value.text("x"), "y");
  EXPECT_EQ(root->find_path("t.k.x")->value.at.text(), "f:5:11");
}

TEST(TomlParser, KeysInQuotes) {
  EXPECT_EQ(parse_toml_key("stage.a.lr"), (Lines{"stage", "a", "lr"}));
  EXPECT_EQ(parse_toml_key("data.\"a.b = c\".'x'"), (Lines{"data", "a.b = c", "x"}));
  EXPECT_EQ(parse_toml_key(""), Lines{});
  EXPECT_EQ(parse_toml_key("a..b"), Lines{});
  EXPECT_EQ(parse_toml_key("[a]\nb"), Lines{});
  EXPECT_EQ(parse_toml_key("# a"), Lines{});
}

TEST(TomlParser, ValuesAreOneValue) {
  const Location at{"--set x", 0, 0};
  EXPECT_EQ(to_value(parse_toml_value("3", at).value()), Value(int64_t{3}));
  EXPECT_EQ(parse_toml_value("{ a = [1] }", at)->find("a")->value.at.text(), "--set x");
  EXPECT_FALSE(parse_toml_value("word", at));
  EXPECT_FALSE(parse_toml_value("", at));
  EXPECT_FALSE(parse_toml_value("1\nother = 2", at));
}

using ConfigTest = PipelineTest;

// The words after "not valid TOML" are the parser's and change with its version.
bool begins_with(const Lines& found, const std::string& start) {
  return found.size() == 1 && found[0].rfind(start, 0) == 0;
}

TEST_F(ConfigTest, ParseErrorsHaveTheirPlace) {
  EXPECT_TRUE(begins_with(faults_of("name = \"a\"\nseed = @ 1\n"),
                          "p.toml:2:8: error: not valid "
                          "TOML: "));
  EXPECT_TRUE(begins_with(faults_of("[a]\nb = 1\n\nname = 1\nname = 2\n"), "p.toml:5:"));
  EXPECT_TRUE(begins_with(faults_of("a = { b = 1, b = 2 }\n"), "p.toml:1:"));
}

TEST_F(ConfigTest, UnreadableFiles) {
  EXPECT_EQ(lines(read({}, "absent.toml")),
            Lines{"absent.toml: error: the file cannot be opened: No such file or directory"});
  std::filesystem::create_directory(folder_.path() / "d");
  EXPECT_EQ(lines(read({}, "d")), Lines{"d: error: this is a folder; expected a TOML file"});
  const ReadResult endless = read_pipeline({"/dev/zero", {}, components_, kinds_, selection_});
  EXPECT_EQ(lines(endless), Lines{"/dev/zero: error: the file is larger than 1048576 bytes, too "
                                  "large for a pipeline"});
}

TEST_F(ConfigTest, ByteOrderMarkIsSkipped) {
  EXPECT_EQ(sound(std::string("\xEF\xBB\xBF") + head + pretrain).name, "test");
}

// --- hostile texts: every one of them is an error, none a crash ---

std::string repeated(const std::string& text, int times) {
  std::string result;
  for (int i = 0; i < times; ++i) {
    result += text;
  }
  return result;
}

TEST_F(ConfigTest, DeepNestingIsRefused) {
  EXPECT_EQ(faults_of("a" + repeated(".a", 200000) + " = 1\n"),
            Lines{"p.toml:1:64: error: a key with more than 32 parts"});
  EXPECT_TRUE(begins_with(faults_of("# ' \"\nb = '''\n' ''''\n[a" + repeated(" . 'a'", 40) + "]\n"),
                          "p.toml:4:"));
  EXPECT_TRUE(begins_with(faults_of("a = " + repeated("[", 100000)), "p.toml:1:"));
  EXPECT_TRUE(begins_with(faults_of("a = " + repeated("{a=", 100000)), "p.toml:1:"));
  // As deep as is let through: 32 inline tables of 31 parts each.
  EXPECT_FALSE(faults_of("x = " + repeated("{a" + repeated(".a", 31) + "=", 30) + "1" +
                         repeated("}", 30) + "\n")
                   .empty());
  EXPECT_NE(faults_of(head, {"a" + repeated(".a", 200000) + "=1"})[0], "");
}

TEST_F(ConfigTest, DotsThatAreNoKeysAreNotCounted) {
  const std::string many = "x = [" + repeated("0.5, ", 200) + "]\ny = \"" + repeated("a.", 200) +
                           "\"\nz = '''\n" + repeated("a.", 200) + "'''\n# " + repeated("a.", 200) +
                           "\n";
  DiagnosticCollector diagnostics;
  EXPECT_TRUE(parse_toml(many, "f", diagnostics));
}

TEST_F(ConfigTest, WhatTheParserTakesForImpossibleIsRefused) {
  EXPECT_EQ(faults_of("\na = [\"b\",}\n"),
            Lines{"p.toml:2:10: error: not valid TOML: found '}' where a value is expected"});
  EXPECT_EQ(faults_of("a = [ # b\n  }\n"),
            Lines{"p.toml:2:3: error: not valid TOML: found '}' where a value is expected"});
  EXPECT_EQ(faults_of("[gr\xC3\xB6\xC3\x9F"
                      "e]\n"),
            Lines{"p.toml:1:4: error: not valid TOML: a character outside ASCII is outside "
                  "quotes"});
  EXPECT_EQ(faults_of("a = [1]\xC2\xA0\n").size(), 1U);
}

TEST_F(ConfigTest, LettersOutsideAsciiStandInQuotesAndComments) {
  DiagnosticCollector diagnostics;
  const std::optional<ConfigNode> root = parse_toml(
      "# \xC3\xA9\n'\xC3\xA9' = \"\"\"\n\xC3\xA9 \\\n \xC3\xA9\"\"\"\nb = {}\nc = [{}, []]\n", "f",
      diagnostics);
  ASSERT_TRUE(root);
  EXPECT_EQ(std::get<std::string>(root->entries.at(0).value.scalar), "\xC3\xA9 \xC3\xA9");
}

TEST_F(ConfigTest, GarbageIsAnError) {
  for (const std::string& text :
       {std::string("\0\0\0", 3), std::string("\xff\xfe"), std::string("{}"), std::string("[["),
        std::string("a = \"\\"), std::string("a = '''"), std::string("=\n"), std::string(".")}) {
    const ReadResult result = read_text(text);
    EXPECT_FALSE(result.pipeline);
    EXPECT_TRUE(has_errors(result.diagnostics));
  }
}

TEST_F(ConfigTest, EmptyFileNamesAllThatIsNeeded) {
  EXPECT_EQ(
      faults_of(""),
      (Lines{"p.toml:1:1: error: name: this required key is missing; accepted: a string of 1 to "
             "100 letters, "
             "digits, '.', '_' and '-', not beginning with '.'",
             "p.toml:1:1: error: model.backbone: this required key is missing; accepted: a table "
             "[model.backbone]: { use = \"NAME\", … }",
             "p.toml:1:1: error: stage: there is no stage; accepted: a table [stage.NAME] for each "
             "stage, at least one"}));
}

TEST_F(ConfigTest, WrongTypesEverywhere) {
  EXPECT_EQ(
      faults_of("name = 1979-05-27\nseed = 1.5\nplugins = 1\ndata = 3\nmodel = true\n"
                "stage = [1]\n"),
      (Lines{
          "p.toml:1:8: error: name: a date was given; accepted: a string of 1 to 100 letters, "
          "digits, '.', '_' and '-', not beginning with '.'",
          "p.toml:2:8: error: seed: 1.5 is a float; accepted: an integer of at least 0",
          "p.toml:3:11: error: plugins: 1 is an integer; accepted: a table with an array of "
          "folders: path = [\"my-plugins\"]",
          "p.toml:4:8: error: data: 3 is an integer; accepted: a table [data.NAME] for each "
          "data source",
          "p.toml:5:9: error: model: true is a boolean; accepted: a table with a table "
          "[model.backbone]: { use = \"NAME\", … }",
          "p.toml:6:9: error: stage: [1] is an array of integers; accepted: a table [stage.NAME] "
          "for each stage, at least one"}));
  EXPECT_EQ(faults_of("name = \"x\"\n[[data]]\nuse = \"digits\"\n[[model]]\n[[stage]]\n").size(),
            3u);
  EXPECT_EQ(faults_of(std::string(head) + "[stage]\na = 1\nb = []\n[stage.c]\nkind = 3\n"),
            (Lines{"p.toml:7:5: error: stage.a: 1 is an integer; accepted: a table with the "
                   "stage's settings",
                   "p.toml:8:5: error: stage.b: [] is an empty array; accepted: a table with the "
                   "stage's settings",
                   "p.toml:10:8: error: stage.c.kind: 3 is an integer; accepted: \"pretrain\", "
                   "\"bissl\", \"finetune\", \"knn\""}));
}

TEST_F(ConfigTest, CopiesOfHugeTablesAreRefused) {
  std::string text = std::string(head) + pretrain + "batches = [" + repeated("1,", 100000) + "]\n";
  for (int i = 0; i < 50; ++i) {
    text += "[stage.s" + std::to_string(i) + "]\nlike = \"pretrain\"\n";
  }
  const Lines found = faults_of(text);
  ASSERT_FALSE(found.empty());
  EXPECT_NE(found.back().find("makes more than 1000000 values"), std::string::npos);
}

TEST_F(ConfigTest, HugeTablesAreMergedInTime) {
  std::string keys;
  for (int i = 0; i < 50000; ++i) {
    keys += "k" + std::to_string(i) + "=1\n";
  }
  write("common.toml", keys);
  EXPECT_EQ(faults_of("include = [\"common.toml\"]\n" + keys).size(), 50003u);
}

// --- merging ---

ConfigNode parsed(const std::string& text, const std::string& file = "f") {
  DiagnosticCollector diagnostics;
  return parse_toml(text, file, diagnostics).value();
}

TEST(Merge, TablesMergeAndAllElseIsReplaced) {
  ConfigNode base = parsed("a = 1\nl = [1, 2]\n[t]\nx = 1\ny = 2\n", "base");
  merge(base, parsed("l = [3]\n[t]\ny = 3\nz = 4\n", "over"));
  EXPECT_EQ(base.find("a")->value.at.text(), "base:1:5");
  EXPECT_EQ(to_value(base.find("l")->value), Value(std::vector<int64_t>{3}));
  EXPECT_EQ(to_value(base.find_path("t.x")->value), Value(int64_t{1}));
  EXPECT_EQ(to_value(base.find_path("t.y")->value), Value(int64_t{3}));
  EXPECT_EQ(base.find_path("t.z")->value.at.text(), "over:4:5");
  EXPECT_EQ(base.find("t")->value.at.text(), "over:2:1");
}

TEST(Merge, AnotherComponentStartsAfresh) {
  ConfigNode base = parsed("o = { use = 'sgd', lr = 1, momentum = 0.5 }\n");
  merge(base, parsed("o = { use = 'adamw', lr = 2 }\n"));
  EXPECT_EQ(base.find_path("o.momentum"), nullptr);
  EXPECT_EQ(to_value(base.find_path("o.lr")->value), Value(int64_t{2}));
}

TEST(Merge, TheSameComponentKeepsItsParameters) {
  for (const char* over : {"o = { use = 'sgd', lr = 2 }\n", "o = { use = 'descent/sgd', lr = 2 }\n",
                           "o = { lr = 2 }\n"}) {
    ConfigNode base = parsed("o = { use = 'sgd', lr = 1, momentum = 0.5 }\n");
    merge(base, parsed(over));
    EXPECT_NE(base.find_path("o.momentum"), nullptr) << over;
    EXPECT_EQ(to_value(base.find_path("o.lr")->value), Value(int64_t{2})) << over;
  }
  ConfigNode base = parsed("o = { use = 'one/sgd', lr = 1 }\n");
  merge(base, parsed("o = { use = 'other/sgd' }\n"));
  EXPECT_EQ(base.find_path("o.lr"), nullptr);
}

TEST_F(ConfigTest, DataSourcesKeepTheHostsKeysWhenTheDatasetChanges) {
  const std::string text = std::string(head) + pretrain;
  write("common.toml",
        "[data.train]\nuse = \"clothes\"\nfolder = \"/x\"\nper_class = 7\nclasses = [1]\n");
  const Pipeline pipeline = sound("include = [\"common.toml\"]\n" + text);
  const DataSource& source = pipeline.data_source("train");
  EXPECT_EQ(source.dataset.component->info.text.name, "digits");
  EXPECT_EQ(source.dataset.values.at("split"), Value(std::string("train")));
  EXPECT_EQ(source.selection.values.at("per_class"), Value(int64_t{7}));
  EXPECT_EQ(source.selection.values.at("classes"), Value(std::vector<std::string>{"1"}));
}

// --- include ---

TEST_F(ConfigTest, IncludedFilesLieBelowAndRelativeToTheirFile) {
  write("lib/a.toml", "include = [\"deep/b.toml\"]\nseed = 1\n");
  write("lib/deep/b.toml", "seed = 2\n[model.backbone]\nuse = \"tiny\"\nwidth = 3\n");
  write("c.toml", "seed = 5\n[model.backbone]\nwidth = 4\n");
  const std::string rest = "name = \"t\"\n[data.train]\nuse = \"digits\"\n" + std::string(pretrain);
  Pipeline pipeline = sound("include = [\"lib/a.toml\"]\n" + rest);
  EXPECT_EQ(pipeline.seed, 1u);
  EXPECT_EQ(pipeline.backbone.values.at("width"), Value(int64_t{3}));
  EXPECT_EQ(pipeline.backbone.origin, (folder_.path() / "lib/deep/b.toml:3:7").string());
  pipeline = sound("include = [\"lib/a.toml\", \"c.toml\"]\n" + rest);
  EXPECT_EQ(pipeline.seed, 5u) << "later files lie above earlier ones";
  EXPECT_EQ(pipeline.backbone.values.at("width"), Value(int64_t{4}));
  EXPECT_EQ(sound("include = [\"c.toml\", \"lib/a.toml\"]\nseed = 9\n" + rest).seed, 9u);
}

TEST_F(ConfigTest, FaultsInIncludedFilesNameThem) {
  write("lib/common.toml", "sed = 1\n");
  EXPECT_EQ(
      faults_of("include = [\"lib/common.toml\"]\n" + std::string(head) + pretrain),
      Lines{
          "lib/common.toml:1:1: error: sed: unknown key; accepted: \"name\", \"seed\", "
          "\"include\", \"unset\", \"plugins\", \"data\", \"model\", \"stage\", \"lock\"; did you "
          "mean \"seed\"?"});
}

TEST_F(ConfigTest, IncludesThatFail) {
  write("bad.toml", "x = \n");
  const Lines found = faults_of("include = [\"absent.toml\", \"bad.toml\"]\n");
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0],
            "p.toml:1:12: error: include: absent.toml: the file cannot be opened: No such file or "
            "directory");
  EXPECT_EQ(found[1].rfind("bad.toml:1:5: error: not valid TOML: ", 0), 0u);
  EXPECT_EQ(
      faults_of("include = \"a.toml\"\n"),
      Lines{"p.toml:1:11: error: include: \"a.toml\" is a string; accepted: an array of files, "
            "such as [\"common.toml\"]"});
  EXPECT_EQ(faults_of("include = [1]\n").size(), 1u);
  EXPECT_EQ(faults_of("include = [[], {}]\n").size(), 1u);
}

TEST_F(ConfigTest, APipeIsReadWhereSomebodyWritesToIt) {
  ASSERT_EQ(::mkfifo((folder_.path() / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(faults_of("include = [\"pipe\"]\n"),
            Lines{"p.toml:1:12: error: include: pipe: this is a pipe that nobody writes to; "
                  "expected a TOML file"});
  // As of <(command) in a shell.
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const std::string content = "seed = 7\n";
  ASSERT_EQ(::write(ends[1], content.data(), content.size()), std::ssize(content));
  ::close(ends[1]);
  const std::string include = fmt::format("include = [\"/dev/fd/{}\"]\n", ends[0]);
  EXPECT_EQ(sound(include + std::string(head) + pretrain).seed, 7u);
  ::close(ends[0]);
}

TEST_F(ConfigTest, IncludeCyclesNameTheChain) {
  write("a.toml", "include = [\"./b.toml\"]\n");
  write("b.toml", "\ninclude = [\"a.toml\"]\n");
  EXPECT_EQ(faults_of("include = [\"a.toml\"]\n"),
            Lines{"b.toml:2:12: error: include: files include each other in a circle: a.toml → "
                  "b.toml → a.toml"});
  EXPECT_EQ(faults_of("include = [\"p.toml\"]\n"),
            Lines{"p.toml:1:12: error: include: files include each other in a circle: p.toml → "
                  "p.toml"});
}

TEST_F(ConfigTest, TheSameFileTwiceIsNoCycleButNotWithoutEnd) {
  for (int i = 0; i < 40; ++i) {
    const std::string next = std::to_string(i + 1) + ".toml";
    write(std::to_string(i) + ".toml", "include = [\"" + next + "\", \"" + next + "\"]\n");
  }
  write("40.toml", "seed = 3\n");
  const std::string text = std::string(head) + pretrain;
  EXPECT_EQ(sound("include = [\"38.toml\"]\n" + text).seed, 3u);
  EXPECT_NE(faults_of("include = [\"0.toml\"]\n")[0].find("more than 100 files are included"),
            std::string::npos);
}

// --- overrides ---

TEST_F(ConfigTest, OverridesAreTomlValuesOrTexts) {
  const std::string text = std::string(head) + pretrain;
  const Pipeline pipeline =
      sound(text, {"seed=7", "name=renamed", "stage.pretrain.optimizer.lr=1",
                   "stage.\"pretrain\".batch = 32", "data.train.classes=[3, 1]"});
  EXPECT_EQ(pipeline.seed, 7u);
  EXPECT_EQ(pipeline.name, "renamed");
  const Table& table = pipeline.stage("pretrain").table;
  EXPECT_EQ(table.values.at("batch"), Value(int64_t{32}));
  EXPECT_EQ(table.component("optimizer").values.at("lr"), Value(1.0));
  EXPECT_EQ(table.component("optimizer").values.at("momentum"), Value(0.8)) << "untouched";
  EXPECT_EQ(pipeline.data_source("train").selection.values.at("classes"),
            Value(std::vector<std::string>{"3", "1"}));
  EXPECT_EQ(sound(text, {"seed=7", "seed=8"}).seed, 8u) << "the last one counts";
}

TEST_F(ConfigTest, OverridingUseStartsAfreshInWhateverOrder) {
  const std::string text = std::string(head) + pretrain;
  for (const Lines& overrides :
       {Lines{"stage.pretrain.optimizer.use=adamw", "stage.pretrain.optimizer.lr=2"},
        Lines{"stage.pretrain.optimizer.lr=2", "stage.pretrain.optimizer.use=adamw"},
        Lines{"stage.pretrain.optimizer={ use = 'adamw', lr = 2 }"}}) {
    const Pipeline pipeline = sound(text, overrides);
    const ComponentChoice& optimizer = pipeline.stage("pretrain").table.component("optimizer");
    EXPECT_EQ(optimizer.component->info.text.name, "adamw");
    EXPECT_EQ(optimizer.values, (ParameterValues{{"lr", 2.0}}));
  }
  EXPECT_EQ(faults_of(text, {"stage.pretrain.optimizer.use=adamw"}),
            Lines{"p.toml:10:13: error: stage.pretrain.optimizer.lr: this required key is missing; "
                  "accepted: a float"});
}

TEST_F(ConfigTest, FaultsOfOverrides) {
  const std::string text = std::string(head) + pretrain;
  EXPECT_EQ(
      faults_of(text, {"stage.pretrain.batch=0", "stage.pretrain.bacth=1", "seed", "=1",
                       "stage.pretrain.batch.x=1", "include=[\"a.toml\"]", "name=\xff"}),
      (Lines{
          "--set =1: error: this is not an override; accepted: KEY=VALUE, such as "
          "stage.pretrain.optimizer.lr=0.1",
          "--set include=[\"a.toml\"]: error: include: this can only stand in a file",
          "--set name=\xff: error: not valid UTF-8",
          "--set seed: error: this is not an override; accepted: KEY=VALUE, such as "
          "stage.pretrain.optimizer.lr=0.1",
          "--set stage.pretrain.bacth=1: error: stage.pretrain.bacth: unknown key; accepted: "
          "\"kind\", \"from\", \"like\", \"unset\", \"data\", \"batch\", \"epochs\", \"augment\", "
          "\"optimizer\", \"schedule\"; did you mean \"batch\"?",
          "--set stage.pretrain.batch.x=1: error: stage.pretrain.batch.x: stage.pretrain.batch "
          "is not a table (at --set stage.pretrain.batch=0: 0 is an integer), so nothing can be "
          "set in it",
          "--set stage.pretrain.batch=0: error: stage.pretrain.batch: 0 is out of bounds; "
          "accepted: an integer of at least 1"}));
  EXPECT_EQ(faults_of(text, {"stage.pretrain.data.x=1"}),
            Lines{"--set stage.pretrain.data.x=1: error: stage.pretrain.data.x: "
                  "stage.pretrain.data is not a table (at p.toml:8:8: \"train\" is a string), so "
                  "nothing can be set in it"});
}

}  // namespace
}  // namespace bissl::host::test
