// The calls that show what the data is like and what making views costs.

#include "program.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class PreviewTest : public testing::Test {
 protected:
  PreviewTest() { write_file(file_, small_pipeline()); }

  TemporaryFolder folder_;
  fs::path file_ = folder_.path() / "small.toml";
  fs::path to_ = folder_.path() / "sheets";
};

TEST_F(PreviewTest, DrawsASheetForEachPlaceThatMakesViews) {
  const Outcome outcome =
      run_bissl({"--json", "preview", file_.string(), "--samples", "3", "--to", to_.string()});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const json found = json::parse(outcome.out);
  std::map<std::string, int> views;
  for (const json& sheet : found["sheets"]) {
    views[sheet["place"]] = sheet["views"];
    EXPECT_TRUE(read_file(sheet["file"].get<std::string>()).starts_with("\x89PNG"));
  }
  EXPECT_EQ(views, (std::map<std::string, int>{{"pretrain", 2},
                                               {"bissl.lower", 2},
                                               {"bissl.upper", 1},
                                               {"finetune", 1},
                                               {"finetune.evaluate", 1},
                                               {"baseline", 1},
                                               {"baseline.evaluate", 1}}));
  const json& labelled = found["data"]["labelled"];
  EXPECT_EQ(labelled["height"], json({8, 8}));
  EXPECT_EQ(labelled["mean"].size(), labelled["channels"][0].get<size_t>());
  for (const auto& [name, count] : labelled["samples_by_class"].items()) {
    EXPECT_EQ(count, 12) << name;
  }
}

TEST_F(PreviewTest, TheSameSheetComesEachTime) {
  const std::vector<std::string> call = {"preview", file_.string(), "--stage",      "pretrain",
                                         "--to",    to_.string(),   "--tensorboard"};
  ASSERT_EQ(run_bissl(call).code, 0);
  const std::string first = read_file(to_ / "pretrain.png");
  // TensorBoard gets the same picture.
  const std::string events = read_file(to_ / "events.out.tfevents.0000000000.bissl-views");
  EXPECT_NE(events.find("views/pretrain"), std::string::npos);
  EXPECT_NE(events.find(first), std::string::npos);
  fs::remove_all(to_);
  ASSERT_EQ(run_bissl(call).code, 0);
  EXPECT_TRUE(first == read_file(to_ / "pretrain.png"));
  EXPECT_FALSE(fs::exists(to_ / "finetune.png"));
}

TEST_F(PreviewTest, AStageThatIsNotThereIsNamedWithThoseThatAre) {
  const Outcome outcome = run_bissl({"preview", file_.string(), "--stage", "pretrian"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("--stage pretrian"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("pretrain, bissl, finetune, baseline"), std::string::npos)
      << outcome.err;
  EXPECT_FALSE(fs::exists("preview"));
}

TEST_F(PreviewTest, BenchDataMeasuresEveryPartOfAChain) {
  const Outcome outcome =
      run_bissl({"--json", "bench", "data", file_.string(), "--stage", "pretrain", "--seconds",
                 "0.01", "--threads", "1", "--out", (folder_.path() / "runs").string(), "--set",
                 "stage.pretrain.augment=[{use=\"resized-crop\",size=8},{use=\"flip\"}]"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const json place = json::parse(outcome.out)["places"].at(0);
  std::vector<std::string> parts;
  for (const json& part : place["parts"]) {
    parts.push_back(part["part"]);
    EXPECT_GE(part["seconds"], 0);
  }
  EXPECT_EQ(parts, (std::vector<std::string>{"read and decode", "resized-crop", "flip"}));
  EXPECT_GT(place["images_per_second"], 0);
  EXPECT_GT(place["images_that_the_stage_takes"], 0);
  EXPECT_FALSE(fs::exists(folder_.path() / "runs" / "small")) << "nothing is trained";
}

}  // namespace
}  // namespace bissl::host::test
