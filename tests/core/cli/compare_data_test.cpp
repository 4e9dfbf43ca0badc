// What `bissl compare` finds in a folder of labelled images.

#include "cli/compare_data.h"

#include "bissl/error.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <string>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

class CompareData : public testing::Test {
 protected:
  /// Files with the names of images: none is opened.
  void add_class(const std::string& name, int images) const {
    fs::create_directories(folder_.path() / name);
    for (int i = 0; i < images; ++i) {
      write_file(folder_.path() / name / (std::to_string(i) + ".ppm"), "");
    }
  }
  std::string refusal() const {
    try {
      look_at_labelled(folder_.path());
      return "";
    } catch (const Error& error) {
      return error.what();
    }
  }

  TemporaryFolder folder_;
};

TEST_F(CompareData, OneImageOfEachClassIsRefusedWithAFolderForTheScore) {
  add_class("train/ant", 1);
  add_class("train/bee", 1);
  add_class("test/ant", 5);
  add_class("test/bee", 5);
  EXPECT_NE(refusal().find("train: each of the 2 classes has one image"), std::string::npos)
      << refusal();
  add_class("train/bee", 2);
  EXPECT_EQ(refusal(), "");
}

TEST_F(CompareData, AFifthOfTheSmallestClassIsKeptOfEach) {
  add_class("ant", 10);
  add_class("bee", 16);
  const LabelledFolder found = look_at_labelled(folder_.path());
  EXPECT_FALSE(found.test);
  EXPECT_EQ(found.held_out, 2);
  EXPECT_EQ(found.test_images, 4);
  EXPECT_EQ(found.train_images, 22);
  EXPECT_EQ(found.classes, (std::vector<std::string>{"ant", "bee"}));
}

}  // namespace
}  // namespace bissl::host::test
