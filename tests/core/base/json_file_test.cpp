#include "base/json_file.h"

#include "bissl/error.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

namespace bissl::host::test {
namespace {

class JsonFile : public testing::Test {
 protected:
  JsonFile() {
    write_file(folder_.path() / "object", R"({"a": 1})");
    write_file(folder_.path() / "array", "[1]");
    write_file(folder_.path() / "text", "{\"a\": ");
    write_file(folder_.path() / "large", "{}");
    std::filesystem::resize_file(folder_.path() / "large", most_json_bytes + 1);  // a hole
  }

  std::string error(const std::string& name) const {
    try {
      read_json_file(folder_.path() / name);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
      return error.what();
    }
    return "";
  }

  TemporaryFolder folder_;
};

TEST_F(JsonFile, IsReadWhole) {
  EXPECT_EQ(read_json_file(folder_.path() / "object").at("a"), 1);
  EXPECT_EQ(parse_json_file(folder_.path() / "array"), nlohmann::json::array({1}));
  EXPECT_EQ(read_json_if_there(folder_.path() / "object").value().at("a"), 1);
}

TEST_F(JsonFile, FaultsNameTheFile) {
  EXPECT_EQ(error("object"), "");
  for (const char* name : {"none", "text", "large", "."}) {
    EXPECT_NE(error(name).find((folder_.path() / name).string()), std::string::npos) << name;
  }
  EXPECT_NE(error("text").find("is not what this program writes"), std::string::npos);
  EXPECT_TRUE(parse_json_file(folder_.path() / "text").is_discarded());
  EXPECT_THROW(parse_json_file(folder_.path() / "none"), Error);
}

TEST_F(JsonFile, OfOtherProcessesMayBeMissing) {
  for (const char* name : {"none", "text", "large", "array"}) {
    EXPECT_EQ(read_json_if_there(folder_.path() / name), std::nullopt) << name;
  }
}

}  // namespace
}  // namespace bissl::host::test
