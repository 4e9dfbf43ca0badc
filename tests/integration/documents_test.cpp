// What documents quote is what is built.

#include "support/paths.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <filesystem>
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

}  // namespace
}  // namespace bissl::host::test
