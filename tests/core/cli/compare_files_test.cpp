#include "cli/compare_files.h"

#include <gtest/gtest.h>

namespace bissl::host::test {
namespace {

CompareSettings settings() {
  CompareSettings chosen;
  chosen.name = "compare-photos";
  chosen.labelled.train = "/photos/train";
  chosen.labelled.test = "/photos/test";
  chosen.labelled.classes = {"across", "upright"};
  chosen.labelled.train_images = 100;
  chosen.labelled.test_images = 20;
  chosen.unlabeled_images = 100;
  return chosen;
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(CompareFiles, TheNetworkHasTheChosenWidth) {
  CompareSettings chosen = settings();
  EXPECT_TRUE(has(compare_pipeline(chosen), "width = 16"));
  chosen.width = 8;
  EXPECT_TRUE(has(compare_pipeline(chosen), "width = 8"));
  chosen.weights = "/w.pth";
  chosen.backbone = "resnet50";
  const std::string text = compare_pipeline(chosen);
  EXPECT_FALSE(has(text, "width"));
  EXPECT_TRUE(has(text, "use = \"resnet50\""));
}

/// The lower level continues pretraining: a warm-up would be inherited from it.
TEST(CompareFiles, TheLowerLevelHasNoWarmUp) {
  const std::string text = compare_pipeline(settings());
  const size_t lower = text.find("[stage.bissl.lower]");
  ASSERT_NE(lower, std::string::npos);
  const std::string table = text.substr(lower, text.find("[stage.bissl.upper]") - lower);
  EXPECT_TRUE(has(table, "warmup_steps = 0")) << table;
}

}  // namespace
}  // namespace bissl::host::test
