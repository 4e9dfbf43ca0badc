#include "cli/plugins_command.h"

#include "bissl/abi.h"
#include "support/paths.h"
#include "support/temporary_folder.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <sstream>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

class PluginsCommand : public testing::Test {
 protected:
  PluginsCommand() {
    for (const char* name : {"good.so", "other_sdk.so"}) {
      fs::copy_file(fs::path(fixture_plugin_folder) / name, folder_.path() / name);
    }
    registry_.load_folder(folder_.path(), false, true);
  }

  std::string output(const Registry& registry, bool json) {
    std::ostringstream out;
    EXPECT_EQ(run_plugins(registry, json, out), 0);
    return out.str();
  }

  TemporaryFolder folder_;
  Registry registry_;
};

TEST_F(PluginsCommand, Text) {
  const std::string folder = folder_.path().string();
  const std::string compiler = registry_.libraries().at(0).compiler;
  const std::string sdk = fmt::format("{}.{}", BISSL_SDK_VERSION_MAJOR, BISSL_SDK_VERSION_MINOR);
  EXPECT_EQ(output(registry_, false),
            "Searched\n"
            "  " +
                folder +
                "\n"
                "\n"
                "Libraries\n"
                "  good 1.2.3 (MIT, built by " +
                compiler +
                ")\n"
                "    " +
                folder +
                "/good.so\n"
                "\n"
                "Components\n"
                "  hypergradient\n"
                "    halve  half of the upper gradient (good)\n"
                "  optimizer\n"
                "    still  leaves parameters alone (good)\n"
                "\n"
                "Refused\n"
                "  " +
                folder +
                "/other_sdk.so\n"
                "    step stamp, code mismatch\n"
                "    found     a library built with bissl sdk 99.3\n"
                "    expected  one built with bissl sdk " +
                sdk +
                "\n"
                "    to do     build it again with this program's sdk "
                "headers\n");
}

TEST_F(PluginsCommand, Json) {
  const auto json = nlohmann::json::parse(output(registry_, true));
  EXPECT_EQ(json.at("searched"), nlohmann::json::array({folder_.path().string()}));
  const std::string good = (folder_.path() / "good.so").string();
  ASSERT_EQ(json.at("libraries").size(), 1U);
  EXPECT_EQ(json["libraries"][0].at("name"), "good");
  EXPECT_EQ(json["libraries"][0].at("path"), good);
  EXPECT_EQ(json.at("components").at(1), nlohmann::json({{"kind", "optimizer"},
                                                         {"name", "still"},
                                                         {"summary", "leaves parameters alone"},
                                                         {"library", "good"},
                                                         {"version", "1.2.3"},
                                                         {"license", "MIT"},
                                                         {"path", good}}));
  ASSERT_EQ(json.at("problems").size(), 1U);
  EXPECT_EQ(json["problems"][0].at("code"), "mismatch");
}

TEST_F(PluginsCommand, Nothing) {
  const Registry empty;
  EXPECT_EQ(output(empty, false),
            "Searched\n  no folder\n\nLibraries\n  none\n\nComponents\n  none\n");
  EXPECT_EQ(nlohmann::json::parse(output(empty, true)),
            nlohmann::json::parse(
                R"({"searched": [], "libraries": [], "components": [], "problems": []})"));
}

}  // namespace
}  // namespace bissl::host::test
