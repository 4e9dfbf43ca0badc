#include "plugins/registry.h"

#include "fixtures.h"
#include "plugins/load_report_json.h"
#include "support/temporary_folder.h"

#include <nlohmann/json.hpp>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

class RegistryTest : public testing::Test {
 protected:
  /// Copies fixtures into the folder under the given name.
  fs::path copy(const std::string& fixture_name, const std::string& name) {
    fs::copy_file(fixture(fixture_name), folder_.path() / name);
    return folder_.path() / name;
  }

  TemporaryFolder folder_;
  Registry registry_;
};

TEST_F(RegistryTest, LoadsAGoodLibrary) {
  ASSERT_TRUE(registry_.load_library(fixture("good"), false));
  EXPECT_EQ(registry_.report().loaded, std::vector{fixture("good").string()});
  EXPECT_TRUE(registry_.report().problems.empty());
  const auto components = registry_.components();
  ASSERT_EQ(components.size(), 2U);
  EXPECT_EQ(components[0]->info.text.name, "halve");
  EXPECT_EQ(components[1]->info.text.name, "still");
  const LibraryIdentity& library = components[0]->library;
  EXPECT_EQ(library.path, fixture("good").string());
  EXPECT_EQ(library.name, "good");
  EXPECT_EQ(library.version, "1.2.3");
  EXPECT_EQ(library.license, "MIT");
  EXPECT_FALSE(library.compiler.empty());
  EXPECT_EQ(components[0]->qualified_name(), "good/halve");
  ASSERT_EQ(registry_.libraries().size(), 1U);
  EXPECT_EQ(registry_.libraries()[0].name, "good");
}

TEST_F(RegistryTest, FindsPlainAndQualifiedNames) {
  ASSERT_TRUE(registry_.load_library(fixture("good"), true));
  const auto halve = registry_.find(ComponentKind::hypergradient, "halve");
  ASSERT_NE(halve, nullptr);
  EXPECT_EQ(registry_.find(ComponentKind::hypergradient, "good/halve"), halve);
  EXPECT_EQ(registry_.find(ComponentKind::optimizer, "halve"), nullptr);
  for (const char* name :
       {"", "/", "good/", "/halve", "other/halve", "good/halve/", "good/still"}) {
    EXPECT_EQ(registry_.find(ComponentKind::hypergradient, name), nullptr) << name;
  }
}

TEST_F(RegistryTest, TheSameFileIsLoadedOnce) {
  const fs::path link = folder_.path() / "link.so";
  fs::create_symlink(fixture("good"), link);
  EXPECT_TRUE(registry_.load_library(fixture("good"), true));
  EXPECT_TRUE(registry_.load_library(fixture("good"), false));
  EXPECT_TRUE(registry_.load_library(link, false));
  EXPECT_TRUE(
      registry_.load_library(fixture("good").parent_path() / ".." / "plugins" / "good.so", true));
  EXPECT_EQ(registry_.report().loaded.size(), 1U);
  EXPECT_TRUE(registry_.report().problems.empty());
}

TEST_F(RegistryTest, TheSameFileIsRefusedOnce) {
  EXPECT_FALSE(registry_.load_library(fixture("other_sdk"), true));
  EXPECT_FALSE(registry_.load_library(fixture("other_sdk"), false));
  EXPECT_EQ(registry_.report().problems.size(), 1U);
}

TEST_F(RegistryTest, LoadsAFolderInTheOrderOfNames) {
  copy("same_plugin_name", "b.so");
  copy("good", "a.so");
  copy("other_sdk", "c.so");
  write_file(folder_.path() / "README", "not looked at");
  write_file(folder_.path() / "d.so.bak", "not looked at");
  fs::create_directory(folder_.path() / "sub");
  copy("no_entry", "sub/e.so");
  registry_.load_folder(folder_.path(), false, true);
  const LoadReport& report = registry_.report();
  EXPECT_EQ(report.searched, std::vector{folder_.path().string()});
  EXPECT_EQ(report.loaded, std::vector{(folder_.path() / "a.so").string()});
  ASSERT_EQ(report.problems.size(), 2U);
  EXPECT_EQ(report.problems[0].path, (folder_.path() / "b.so").string());
  EXPECT_EQ(report.problems[0].code, "duplicate_plugin");
  EXPECT_EQ(report.problems[1].path, (folder_.path() / "c.so").string());
  EXPECT_EQ(report.problems[1].code, "mismatch");
}

TEST_F(RegistryTest, MissingFolder) {
  const fs::path nowhere = folder_.path() / "nowhere";
  registry_.load_folder(nowhere, true, false);
  EXPECT_TRUE(registry_.report().problems.empty());
  registry_.load_folder(nowhere, true, true);
  const LoadProblem expected{
      nowhere.string(),  "find", "missing", "nothing", "a folder of plugin libraries",
      "correct the path"};
  EXPECT_EQ(registry_.report().problems, std::vector{expected});
  EXPECT_EQ(registry_.report().searched, std::vector{nowhere.string()});
}

TEST_F(RegistryTest, FileInPlaceOfAFolder) {
  write_file(folder_.path() / "file", "");
  registry_.load_folder(folder_.path() / "file", true, false);
  const LoadProblem expected{(folder_.path() / "file").string(),
                             "find",
                             "not_a_folder",
                             "a file",
                             "a folder of plugin libraries",
                             "give the folder, not a file in it"};
  EXPECT_EQ(registry_.report().problems, std::vector{expected});
}

TEST_F(RegistryTest, RelativePathsAreReportedAsAbsoluteOnes) {
  EXPECT_FALSE(registry_.load_library("nowhere/../x.so", true));
  EXPECT_EQ(registry_.report().problems.at(0).path, (fs::current_path() / "x.so").string());
}

TEST_F(RegistryTest, NothingIsUnloaded) {
  const fs::path file = copy("good", "kept.so");
  {
    Registry short_lived;
    ASSERT_TRUE(short_lived.load_library(file, true));
  }
  EXPECT_NE(read_file("/proc/self/maps").find(file.string()), std::string::npos);
}

TEST_F(RegistryTest, UntrustedLibraryThatIsRefusedNeverEntersThisProcess) {
  const fs::path file = copy("other_sdk", "stranger.so");
  EXPECT_FALSE(registry_.load_library(file, false));
  EXPECT_EQ(read_file("/proc/self/maps").find(file.string()), std::string::npos);
}

TEST_F(RegistryTest, InstalledFolderLiesBesideTheProgram) {
  // This program lies in the build folder's "tests" as bissl lies in its "bin".
  EXPECT_EQ(fs::weakly_canonical(installed_plugin_folder()), fs::weakly_canonical(plugin_folder));
}

TEST(LoadReport, Message) {
  const LoadProblem problem{"/a/x.so",         "find", "missing", "nothing", "a plugin library",
                            "correct the path"};
  EXPECT_EQ(problem.message(),
            "/a/x.so: refused (find, missing): found nothing, expected a plugin library; correct "
            "the path");
}

TEST(LoadReport, Json) {
  LoadReport report;
  report.searched = {"/a"};
  report.loaded = {"/a/y.so"};
  report.problems = {{"/a/x.so", "find", "missing", "nothing", "a library", "correct it"}};
  const nlohmann::json json = report;
  EXPECT_EQ(json, nlohmann::json::parse(R"({"searched": ["/a"], "loaded": ["/a/y.so"],
    "problems": [{"path": "/a/x.so", "step": "find", "code": "missing", "found": "nothing",
                  "expected": "a library", "advice": "correct it"}]})"));
  EXPECT_EQ(json.at("problems").at(0).get<LoadProblem>(), report.problems[0]);
}

}  // namespace
}  // namespace bissl::host::test
