// What documents quote is what is built, and what the code keeps to.

#include "program.h"
#include "support/paths.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace bissl::host::test {
namespace {

std::string source(const std::string& path) {
  return read_file(std::filesystem::path(source_folder) / path);
}

TEST(Documents, TheTutorialQuotesTheExample) {
  const std::map<std::string, std::string> pages = {
      {"sdk/examples/cutout/cutout.cpp", "docs/write-a-plugin.md"},
      {"sdk/examples/cutout/CMakeLists.txt", "docs/write-a-plugin.md"},
      {"sdk/examples/momentum-head/momentum_head.cpp", "docs/pretext-state.md"}};
  for (const auto& [file, page] : pages) {
    EXPECT_NE(source(page).find("\n" + source(file) + "```"), std::string::npos)
        << file << " has changed; copy it into " << page;
  }
}

TEST(Documents, EveryPageIsReachedFromTheReadme) {
  const std::string readme = source("README.md");
  const std::string index = source("docs/README.md");
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(source_folder) / "docs")) {
    const std::string name = entry.path().filename().string();
    if (entry.path().extension() == ".md") {
      EXPECT_NE(readme.find("docs/" + name), std::string::npos) << name;
      EXPECT_TRUE(name == "README.md" || index.find("](" + name + ")") != std::string::npos)
          << name << " has no line in docs/README.md";
    }
  }
}

/// Links to other pages and files, and paths of this repository between backquotes.
TEST(Documents, NamePathsThatAreThere) {
  namespace fs = std::filesystem;
  const fs::path root = source_folder;
  std::vector<fs::path> pages = {root / "README.md", root / "CONTRIBUTING.md"};
  for (const auto& entry : fs::directory_iterator(root / "docs")) {
    if (entry.path().extension() == ".md") {
      pages.push_back(entry.path());
    }
  }
  const std::regex link(R"re(\]\(([^)\s#]+)(?:#[^)\s]*)?\))re");
  const std::regex path(R"re(`((?:core|docs|pipelines|plugins|sdk|tests)/[A-Za-z0-9_./-]+)`)re");
  for (const fs::path& page : pages) {
    const std::string text = read_file(page);
    for (std::sregex_iterator found(text.begin(), text.end(), link), end; found != end; ++found) {
      const std::string target = (*found)[1];
      EXPECT_TRUE(target.starts_with("http") || fs::exists(page.parent_path() / target))
          << page << ": " << target;
    }
    for (std::sregex_iterator found(text.begin(), text.end(), path), end; found != end; ++found) {
      const std::string target = (*found)[1];
      EXPECT_TRUE(target.ends_with("/TARGET") || fs::exists(root / target))
          << page << ": " << target;
    }
  }
}

/// The folders of core/ from which each may include headers, by the lines of docs/architecture.md:
/// those to its right, and what these may include.
std::map<std::string, std::set<std::string>> layers_of_core() {
  const std::string arrow = "→";
  std::map<std::string, std::set<std::string>> allowed;
  std::istringstream page(source("docs/architecture.md"));
  for (std::string line; std::getline(page, line);) {
    if (!line.starts_with("    ") || line.find(arrow) == std::string::npos) {
      continue;
    }
    std::vector<std::string> left;  // of the arrow that was met last
    std::vector<std::string> group;
    std::istringstream words(line);
    for (std::string word; words >> word;) {
      if (word == arrow) {
        left.insert(left.end(), group.begin(), group.end());
        group.clear();
        continue;
      }
      group.push_back(word.substr(0, word.find(',')));
      for (const std::string& folder : left) {
        allowed[folder].insert(group.back());
      }
    }
  }
  for (size_t round = 0; round < allowed.size(); ++round) {
    for (auto& [folder, others] : allowed) {
      const std::set<std::string> direct = others;
      for (const std::string& other : direct) {
        if (const auto found = allowed.find(other); found != allowed.end() && other != folder) {
          others.insert(found->second.begin(), found->second.end());
        }
      }
    }
  }
  return allowed;
}

TEST(Documents, FoldersOfCoreIncludeThoseBelowThem) {
  namespace fs = std::filesystem;
  const fs::path core = fs::path(source_folder) / "core";
  std::map<std::string, std::set<std::string>> allowed = layers_of_core();
  ASSERT_GE(allowed.size(), 10U);
  const std::set<std::string> ground_floor = {"base", "numerics"};
  const std::regex include(R"re(#include "([a-z]+)/)re");
  for (const auto& entry : fs::recursive_directory_iterator(core)) {
    const std::string ending = entry.path().extension().string();
    if (ending != ".h" && ending != ".cpp") {
      continue;
    }
    const std::string folder = entry.path().lexically_relative(core).begin()->string();
    const std::string text = read_file(entry.path());
    for (std::sregex_iterator found(text.begin(), text.end(), include), end; found != end;
         ++found) {
      const std::string other = (*found)[1];
      if (other != folder && ground_floor.count(other) == 0 && fs::is_directory(core / other)) {
        EXPECT_EQ(allowed[folder].count(other), 1U)
            << entry.path() << " includes a header of " << other
            << ", which docs/architecture.md does not allow to " << folder;
      }
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

/// Nothing asks for a component or for a parameter of one by its name, which strangers choose as
/// they like: what they declare says it (choices, units, abilities).
TEST(Documents, NoCodeOfTheHostComparesNamesOfComponents) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(
           std::filesystem::path(source_folder) / "core")) {
    if (!entry.is_regular_file()) {
      continue;
    }
    const std::string text = read_file(entry.path());
    for (const char* comparison : {"spec.name == \"", "spec.name != \"", "parameter.name == \"",
                                   "parameter.name != \"", "text.name == \"", "text.name != \""}) {
      EXPECT_EQ(text.find(comparison), std::string::npos) << entry.path() << ": " << comparison;
    }
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
