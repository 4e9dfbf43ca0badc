#include "cli/new_command.h"

#include "bissl/error.h"
#include "support/paths.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <sstream>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

class NewCommand : public testing::Test {
 protected:
  NewCommand() {
    fs::copy_file(fs::path(fixture_plugin_folder) / "good.so", folder_.path() / "good.so");
    registry_.load_folder(folder_.path(), false, true);
    fs::remove(folder_.path() / "good.so");
  }

  /// Why the name is refused; empty if it is taken. What is refused must leave nothing behind.
  std::string refusal(const std::string& name) {
    try {
      std::ostringstream out;
      run_new("optimizer", name, folder_.path(), registry_, out);
      return "";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
      EXPECT_TRUE(fs::is_empty(folder_.path())) << name;
      return error.what();
    }
  }

  TemporaryFolder folder_;
  Registry registry_;
};

TEST_F(NewCommand, RefusesTargetsOfCMake) {
  for (const char* name : {"test", "all", "install", "clean", "help", "package", "edit-cache",
                           "package-source", "nightly", "depend"}) {
    EXPECT_NE(refusal(name).find("CMake keeps for itself"), std::string::npos) << name;
  }
}

TEST_F(NewCommand, RefusesTargetsOfWhatAPluginLinks) {
  for (const char* name : {"torch", "c10", "gflags"}) {
    EXPECT_NE(refusal(name).find("a library that the plugin's project uses"), std::string::npos)
        << name;
  }
}

TEST_F(NewCommand, RefusesWordsOfCpp) {
  for (const char* name : {"class", "double", "xor", "static-cast", "co-await", "std", "main"}) {
    EXPECT_NE(refusal(name).find("a word that C++ reserves"), std::string::npos) << name;
  }
  for (const char* name : {"a--b", "-a", "a-", "-"}) {
    EXPECT_NE(refusal(name).find("hyphen"), std::string::npos) << name;
  }
}

TEST_F(NewCommand, RefusesNamesOfTheProgramAndOfFilesThatCannotBe) {
  EXPECT_NE(refusal("bissl").find("the program's own name"), std::string::npos);
  EXPECT_NE(refusal("still").find("the optimizer \"still\" exists already"), std::string::npos);
  EXPECT_NE(refusal("good").find("the plugin library \"good\" exists already"), std::string::npos);
  EXPECT_NE(refusal(std::string(65, 'x')).find("65 characters"), std::string::npos);
  EXPECT_NE(refusal("ALL_BUILD").find("expected lower-case letters"), std::string::npos);
  EXPECT_NE(refusal("a/b").find("expected lower-case letters"), std::string::npos);
}

TEST_F(NewCommand, TakesNamesThatOnlyResembleThem) {
  for (const char* name : {"tests", "my-test", "3d", "classes", "torch-like", "a-1-b", "x"}) {
    EXPECT_EQ(refusal(name), "") << name;
    EXPECT_TRUE(fs::exists(folder_.path() / name / "CMakeLists.txt"));
    fs::remove_all(folder_.path() / name);
  }
}

TEST_F(NewCommand, PutsATransformIntoAChain) {
  std::ostringstream out;
  run_new("transform", "my-noise", folder_.path(), registry_, out);
  const std::string pipeline = read_file(folder_.path() / "my-noise" / "pipeline.toml");
  EXPECT_NE(pipeline.find("augment   = [ { use = \"resized-crop\", size = 16 }, { use = "
                          "\"my-noise\" }, { use = \"normalize\" } ]\n"),
            std::string::npos)
      << pipeline;
  const std::string source = read_file(folder_.path() / "my-noise" / "my_noise.cpp");
  EXPECT_NE(source.find("class MyNoisePlugin : public PlaneTransform"), std::string::npos);
  EXPECT_EQ(source.find('@'), std::string::npos) << "a word of the template is not filled in";
}

/// Its version stays while it is worked on, so stages would be found and nothing would be tested.
TEST_F(NewCommand, ForgetsWhatTheLibraryBeforeHasTrained) {
  std::ostringstream out;
  run_new("optimizer", "my-steps", folder_.path(), registry_, out);
  const std::string project = read_file(folder_.path() / "my-steps" / "CMakeLists.txt");
  EXPECT_NE(project.find("add_custom_command(TARGET my-steps POST_BUILD\n"
                         "  COMMAND ${CMAKE_COMMAND} -E rm -rf ${CMAKE_BINARY_DIR}/runs\n"),
            std::string::npos)
      << project;
  EXPECT_EQ(project.find('@'), std::string::npos) << "a word of the template is not filled in";
}

/// Whoever writes another reader into the project keeps its fingerprint.
TEST_F(NewCommand, DatasetHashesShapesAndTargets) {
  std::ostringstream out;
  run_new("dataset", "my-images", folder_.path(), registry_, out);
  const std::string source = read_file(folder_.path() / "my-images" / "my_images.cpp");
  const size_t fingerprint = source.find("std::string fingerprint()");
  ASSERT_NE(fingerprint, std::string::npos);
  for (const char* part : {"spec.names", "image.shape", "target.category", "image.pixels"}) {
    EXPECT_NE(source.find(part, fingerprint), std::string::npos) << part;
  }
}

}  // namespace
}  // namespace bissl::host::test
