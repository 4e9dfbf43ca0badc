// Paths that components take, and values that are written in several ways.

#include "fixture.h"

#include <nlohmann/json.hpp>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

struct FilesOptions {
  std::string root;
  std::vector<std::string> more;
  std::string name;
};

class PathsTest : public PipelineTest {
 protected:
  PathsTest() {
    Schema<FilesOptions> schema;
    schema.add("root", &FilesOptions::root, "a folder").path();
    schema.add("more", &FilesOptions::more, "folders").path();
    schema.add("name", &FilesOptions::name, "no path");
    components_.add(ComponentKind::dataset, "files-lib", "files", schema.specs());
  }

  /// The value of data.train's parameter `root`.
  Value root(const std::string& data, const std::vector<std::string>& overrides = {}) {
    return sound("name = \"t\"\n[model.backbone]\nuse = \"tiny\"\n" + std::string(pretrain) +
                     "[data.train]\nuse = \"files\"\n" + data,
                 overrides)
        .data_source("train")
        .dataset.values.at("root");
  }

  std::string in_folder(const std::string& path) const { return (folder_.path() / path).string(); }
};

TEST_F(PathsTest, AreRelativeToTheFileThatNamesThem) {
  EXPECT_EQ(root("root = \"images\"\n"), Value(in_folder("images")));
  EXPECT_EQ(root("root = \"./a/../images/\"\n"), Value(in_folder("images")));
  write("lib/common.toml", "[data.train]\nuse = \"files\"\nroot = \"images\"\n");
  write("p.toml",
        "include = [\"lib/common.toml\"]\nname = \"t\"\n[model.backbone]\nuse = \"tiny\"\n" +
            std::string(pretrain));
  const ReadResult result = read();
  ASSERT_TRUE(result.pipeline) << to_text(result.diagnostics);
  EXPECT_EQ(result.pipeline->data_source("train").dataset.values.at("root"),
            Value(in_folder("lib/images")));
}

TEST_F(PathsTest, OfOverridesAreRelativeToTheCurrentFolder) {
  EXPECT_EQ(root("", {"data.train.root=images"}), Value((fs::current_path() / "images").string()));
}

TEST_F(PathsTest, AbsoluteAndEmptyOnesStayAsTheyAreWritten) {
  for (const std::string path : {"/data//images/", "/a/../b", ""}) {
    EXPECT_EQ(root("root = \"" + path + "\"\n"), Value(path));
  }
}

TEST_F(PathsTest, ListsOfPathsAndTextsThatAreNone) {
  const std::string text = "name = \"t\"\n[model.backbone]\nuse = \"tiny\"\n" +
                           std::string(pretrain) +
                           "[data.train]\nuse = \"files\"\nmore = [\"a\", \"/b\"]\nname = \"c\"\n";
  const Pipeline pipeline = sound(text);
  const ParameterValues& values = pipeline.data_source("train").dataset.values;
  EXPECT_EQ(values.at("more"), Value(std::vector<std::string>{in_folder("a"), "/b"}));
  EXPECT_EQ(values.at("name"), Value(std::string("c")));
  EXPECT_EQ(values.at("root"), Value(std::string()));
  EXPECT_EQ(canonical(sound(to_lock_toml(pipeline))), canonical(pipeline))
      << "the lock says the same from any folder";
}

TEST_F(PathsTest, WhatUsedToBeTakenFromTheCurrentFolderIsSaid) {
  const fs::path before = fs::current_path();
  write("here/images/x", "");
  fs::current_path(folder_.path() / "here");
  write("p.toml", "name = \"t\"\n[model.backbone]\nuse = \"tiny\"\n" + std::string(pretrain) +
                      "[data.train]\nuse = \"files\"\nroot = \"images\"\n");
  const Lines found = lines(read());
  fs::current_path(before);
  EXPECT_EQ(found,
            Lines{"p.toml:14:8: error: data.train.root: \"images\" is relative to the folder "
                  "of this file, and there is no images; it used to be taken from the "
                  "current folder, where there is one: to mean that one, write "
                  "\"here/images\""});
}

/// The system would take what comes before the character for the whole path: another one.
TEST_F(PathsTest, ANulCharacterEndsNoPath) {
  const std::string before =
      "name = \"t\"\n[model.backbone]\nuse = \"tiny\"\n" + std::string(pretrain);
  const std::string said = "\\u0000x\" holds a NUL character, which no path can hold";
  write("images/x", "");
  write("more.toml", "seed = 1\n");
  EXPECT_EQ(faults_of(before + "[data.train]\nuse = \"files\"\nroot = \"images\\u0000x\"\n"),
            Lines{"p.toml:14:8: error: data.train.root: \"images" + said});
  EXPECT_EQ(faults_of("include = [\"more.toml\\u0000x\"]\n" + before),
            Lines{"p.toml:1:12: error: include: \"more.toml" + said});
  const Lines folder =
      faults_of(std::string(head) + pretrain + "[plugins]\npath = [\"images\\u0000x\"]\n");
  ASSERT_EQ(folder.size(), 1u);
  EXPECT_NE(folder[0].find(": error: plugins.path: \"images" + said), std::string::npos)
      << folder[0];
}

TEST_F(PathsTest, ADeclarationThatIsNoPathIsAFault) {
  struct Wrong {
    std::string folder = "data";
    int64_t count = 1;
  };
  Schema<Wrong> schema;
  schema.add("folder", &Wrong::folder, "a folder").path();
  schema.add("count", &Wrong::count, "a number").path();
  EXPECT_EQ(faults(schema.specs()),
            (Lines{"parameter \"folder\": the default \"data\" is a path that is not absolute",
                   "parameter \"count\": only a string can be a path"}));
}

// --- numbers and texts ---

using ValuesTest = PipelineTest;
const std::string text = std::string(head) + pretrain;

TEST_F(ValuesTest, WholeNumbersMayBeWrittenAsFloats) {
  for (const std::string written : {"1e3", "1000.0", "1_000", "0x3e8", "10e2"}) {
    EXPECT_EQ(
        sound(text, {"stage.pretrain.batch=" + written}).stage("pretrain").table.values.at("batch"),
        Value(int64_t{1000}))
        << written;
  }
  EXPECT_EQ(sound(text, {"seed=2e1"}).seed, 20u);
  std::string file = text;
  file.replace(file.find("epochs = 3"), 10, "epochs = 3e0");
  EXPECT_EQ(sound(file).stage("pretrain").table.values.at("epochs"), Value(int64_t{3}));
}

TEST_F(ValuesTest, NumbersThatAreNoIntegersOfSixtyFourBits) {
  const auto fault = [&](const std::string& value) {
    const Lines found = faults_of(text, {"stage.pretrain.batch=" + value});
    const std::string place =
        "--set stage.pretrain.batch=" + value + ": error: stage.pretrain.batch: ";
    return found.size() == 1 && found[0].rfind(place, 0) == 0 ? found[0].substr(place.size()) : "?";
  };
  const std::string end = "; accepted: an integer of at least 1";
  EXPECT_EQ(fault("9223372036854775808"), "9223372036854775808 is beyond the integers of 64 bits");
  EXPECT_EQ(fault("-0x1FFFFFFFFFFFFFFFFF").find("9223"), std::string::npos);
  EXPECT_EQ(fault("1e300"), "1e+300 is beyond the integers of 64 bits" + end);
  EXPECT_EQ(fault("1e400"), "1e400 is beyond the floats of 64 bits");
  EXPECT_EQ(fault("1e17").rfind("1e+17 is a float beyond 2^53", 0), 0u);
  EXPECT_EQ(fault("1.5"), "1.5 is a float" + end);
  EXPECT_EQ(fault("nan"), "nan is a float" + end);
  EXPECT_EQ(fault("-inf"), "-inf is a float" + end);
  EXPECT_EQ(fault("true"), "true is a boolean" + end);
  EXPECT_EQ(fault("1979-05-27"), "a date was given" + end);
  EXPECT_EQ(faults_of("seed = 9223372036854775808\n"),
            Lines{"p.toml:1:27: error: 9223372036854775808 is beyond the integers of 64 bits"});
}

TEST_F(ValuesTest, WhereATextIsWantedAnUnquotedValueIsTheText) {
  for (const std::string name : {"42", "true", "1e3", "1_000", "1979-05-27", "nan"}) {
    EXPECT_EQ(sound(text, {"name=" + name}).name, name);
  }
  EXPECT_EQ(
      faults_of("name = 42\n" + text.substr(text.find('\n') + 1)),
      Lines{"p.toml:1:8: error: name: 42 is an integer; accepted: a string of 1 to 100 letters, "
            "digits, '.', '_' and '-', not beginning with '.'"});
  const std::string data = "[data.7]\nuse = \"digits\"\n";
  EXPECT_EQ(sound(text + data, {"stage.pretrain.data=7"}).stage("pretrain").table.values.at("data"),
            Value(std::string("7")));
  EXPECT_EQ(faults_of(text, {"model.backbone.use=1"}).size(), 1u);
}

TEST_F(ValuesTest, WhatBeginsAsAListOrATableIsMeantAsOne) {
  for (const std::string value : {"[Coat]", "[1, 2", "{ use = sgd }", "\"open", "'open"}) {
    const Lines found = faults_of(text, {"data.train.classes=" + value});
    ASSERT_EQ(found.size(), 1u) << value;
    EXPECT_NE(found[0].find("data.train.classes: not "), std::string::npos) << found[0];
  }
}

}  // namespace
}  // namespace bissl::host::test
