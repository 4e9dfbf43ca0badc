// What documents quote is what is built, and what the code keeps to.

#include "program.h"
#include "support/paths.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

namespace bissl::host::test {
namespace {

std::string source(const std::string& path) {
  return read_file(std::filesystem::path(source_folder) / path);
}

TEST(Documents, TheTutorialQuotesTheExample) {
  const std::string page = source("docs/write-a-plugin.md");
  for (const char* file : {"sdk/examples/cutout/cutout.cpp", "sdk/examples/cutout/CMakeLists.txt",
                           "sdk/examples/momentum-head/momentum_head.cpp"}) {
    EXPECT_NE(page.find("\n" + source(file) + "```"), std::string::npos)
        << file << " has changed; copy it into docs/write-a-plugin.md";
  }
}

TEST(Documents, EveryPageIsReachedFromTheReadme) {
  const std::string readme = source("README.md");
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(source_folder) / "docs")) {
    if (entry.path().extension() == ".md") {
      EXPECT_NE(readme.find("docs/" + entry.path().filename().string()), std::string::npos)
          << entry.path();
    }
  }
}

/// `./bootstrap quickstart` builds no other plugins.
TEST(Documents, BootstrapNamesThePluginsOfTheQuickstart) {
  const std::string script = source("bootstrap");
  const std::string begin = "\nquickstart_targets=(";
  const size_t first = script.find(begin);
  ASSERT_NE(first, std::string::npos);
  const size_t after = first + begin.size();
  const std::string built = " " + script.substr(after, script.find(')', after) - after) + " ";
  const std::string pipeline = source("pipelines/quickstart.toml");
  const Outcome described = run_bissl({"--no-third-party", "describe", "--json"});
  ASSERT_EQ(described.code, 0) << described.err;
  const auto description = nlohmann::json::parse(described.out);
  size_t used = 0;
  for (const auto& component : description.at("components")) {
    const auto name = component.at("name").get<std::string>();
    const auto library = component.at("library").at("name").get<std::string>();
    if (pipeline.find("\"" + name + "\"") != std::string::npos) {
      ++used;
      EXPECT_NE(built.find(" " + library + " "), std::string::npos)
          << library << ", which has " << name;
    }
  }
  EXPECT_GE(used, 9U);
}

/// Nothing asks for a kind of stage by its name: what kinds differ in, their objects say
/// (StageKind) and their results (StageResults).
TEST(Documents, NoCodeOfTheHostComparesKindsOfStage) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(
           std::filesystem::path(source_folder) / "core")) {
    if (!entry.is_regular_file()) {
      continue;
    }
    const std::string text = read_file(entry.path());
    for (const char* comparison : {"kind == \"", "kind != \""}) {
      EXPECT_EQ(text.find(comparison), std::string::npos) << entry.path() << ": " << comparison;
    }
  }
  const std::string exported = source("core/cli/export_command.cpp");
  for (const char* table : {"\"evaluate\"", "\"upper\"", "\"lower\""}) {
    EXPECT_EQ(exported.find(table), std::string::npos)
        << "ask StageKind::view_tables for " << table;
  }
}

TEST(Documents, TheEventLogHasItsNameInOnePlace) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(
           std::filesystem::path(source_folder) / "core")) {
    // Results of earlier versions did not list their logs.
    const std::string name = entry.path().filename().string();
    if (entry.is_regular_file() && name != "events.h" && name != "stage_results.cpp") {
      EXPECT_EQ(read_file(entry.path()).find("\"events.jsonl\""), std::string::npos)
          << entry.path() << ": write event_log_file";
    }
  }
}

/// An empty line within a table ends it: the rows after it would be text.
TEST(Documents, RowsOfTablesFollowTheirHead) {
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(source_folder) / "docs")) {
    if (entry.path().extension() != ".md") {
      continue;
    }
    std::istringstream lines(read_file(entry.path()));
    bool in_table = false;
    bool in_code = false;
    for (std::string line, next; std::getline(lines, line);) {
      in_code = in_code != line.starts_with("```");
      const bool is_row = !in_code && line.starts_with("|");
      if (is_row && !in_table) {
        std::getline(lines, next);
        EXPECT_TRUE(next.starts_with("| -")) << entry.path() << ": " << line;
      }
      in_table = is_row;
    }
  }
}

}  // namespace
}  // namespace bissl::host::test
