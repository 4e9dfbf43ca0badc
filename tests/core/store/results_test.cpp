#include "store/run_results.h"

#include "base/json_text.h"
#include "bissl/error.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace bissl::host::test {
namespace {

using nlohmann::json;

constexpr double infinity = std::numeric_limits<double>::infinity();

StageResults scored() {
  StageResults results;
  results.kind = "finetune";
  results.repeats = 2;
  results.metrics = {
      summarised(
          {.data = "test", .metric = "loss", .higher_is_better = false, .values = {infinity, 2}}),
      summarised(
          {.data = "test", .metric = "top1", .higher_is_better = true, .values = {0.25, 0.75}}),
      summarised(
          {.data = "val.1", .metric = "top1", .higher_is_better = true, .values = {0.5, 0.5}})};
  results.logs = {"repeat-0/events.jsonl", "repeat-1/events.jsonl"};
  results.losses = {"loss"};
  results.details = {{"steps", 3}};
  results.seconds = 1.5;
  results.key = "k";
  return results;
}

RunResults run() {
  RunResults results{.pipeline = "p", .seed = 7};
  results.stages["ft"] = scored();
  results.stages["pre"].key = "k0";
  results.stages["ft"].from = "pre";
  return results;
}

TEST(Results, HaveMeanAndDeviation) {
  const StageResults results = scored();
  EXPECT_EQ(results.find("test", "top1")->mean, 0.5);
  EXPECT_DOUBLE_EQ(*results.find("test", "top1")->deviation, std::sqrt(0.125));
  EXPECT_EQ(results.find("test", "loss")->mean, std::nullopt);
  EXPECT_EQ(results.find("test", "loss")->not_finite, "inf in repeat 0");
  EXPECT_EQ(
      summarised({.data = "a", .metric = "m", .higher_is_better = true, .values = {3}}).deviation,
      0.0);
  EXPECT_EQ(results.find("other", "top1"), nullptr);
}

TEST(Results, ComeBackFromTheirFile) {
  const TemporaryFolder folder;
  write_stage_results(folder.path(), scored());
  const StageResults back = read_stage_results(folder.path());
  EXPECT_EQ(json_text(back.to_json()), json_text(scored().to_json()));
  EXPECT_EQ(back.find("test", "loss")->values, (std::vector<double>{infinity, 2}));
  EXPECT_EQ(back.find("val.1", "top1")->higher_is_better, true);
  EXPECT_EQ(back.find("test", "loss")->higher_is_better, false);
  EXPECT_EQ(back.details, json({{"steps", 3}}));
  const std::string text = json_text(run().to_json());
  EXPECT_EQ(json_text(RunResults::from_json(json::parse(text)).to_json()), text);
}

TEST(Results, AreFoundByTheNameOfTheMetric) {
  const RunResults results = run();
  EXPECT_EQ(results.find("ft.test.top1")->mean, 0.5);
  EXPECT_EQ(results.find(R"(ft."val.1".top1)")->mean, 0.5);
  for (const char* name :
       {"ft.test.top5", "pre.test.top1", "ft.other.top1", "top1", "", ".", "x.test.top1"}) {
    EXPECT_EQ(results.find(name), nullptr) << name;
  }
  EXPECT_EQ(results.chain_of("ft"), (std::vector<std::string>{"pre", "ft"}));
}

/// What versions wrote that knew one data source, and no directions.
TEST(Results, OfEarlierVersionsAreReadAsTheyWereMeant) {
  const RunResults results = RunResults::from_json(json::parse(R"({"pipeline": "p", "seed": 0,
    "stages": {"pre": {"kind": "pretrain", "steps": 3, "key": "k0", "from": ""},
      "ft": {"kind": "finetune", "repeats": 2, "key": "k", "from": "pre", "seconds": 2.5,
      "metrics": {"test": {"top1": {"mean": 0.5, "std": 0.1},
        "loss": {"mean": null, "std": null, "not_finite": {"mean": "nan in run 1"}}}},
      "runs": [{"top1": 0.4, "loss": 2.0}, {"top1": 0.6, "loss": null,
        "not_finite": {"loss": "nan"}}]}}})"));
  const MetricResult* top1 = results.find("ft.test.top1");
  ASSERT_NE(top1, nullptr);
  EXPECT_EQ(top1->higher_is_better, std::nullopt);
  EXPECT_EQ(top1->values, (std::vector<double>{0.4, 0.6}));
  EXPECT_EQ(results.find("ft.test.loss")->not_finite, "nan in run 1");
  EXPECT_TRUE(std::isnan(results.find("ft.test.loss")->values[1]));
  EXPECT_EQ(results.stages.at("ft").logs,
            (std::vector<std::string>{"run-0/events.jsonl", "run-1/events.jsonl"}));
  EXPECT_EQ(results.stages.at("pre").logs, std::vector<std::string>{"events.jsonl"});
  EXPECT_EQ(results.stages.at("pre").details, json({{"steps", 3}}));
}

/// Results of a stage that analyses said by their kind alone that they describe.
TEST(Results, SayWhetherTheyDescribe) {
  StageResults figures = scored();
  figures.kind = "another";
  figures.describes = true;
  const json written = figures.to_json();
  EXPECT_TRUE(StageResults::from_json(written).describes);
  EXPECT_EQ(StageResults::from_json(written).details, figures.details);
  EXPECT_FALSE(StageResults::from_json(scored().to_json()).describes);
  EXPECT_TRUE(StageResults::from_json({{"format", 3}, {"kind", "analyse"}}).describes);
}

TEST(Results, OfTheFormatBeforeHaveTheirRepeatsUnderAnotherName) {
  json before = scored().to_json();
  before["format"] = 2;
  before["runs"] = before.at("per_repeat");
  before.erase("per_repeat");
  EXPECT_EQ(json_text(StageResults::from_json(before).to_json()), json_text(scored().to_json()));
}

TEST(Results, OfLaterVersionsAndOtherFilesAreRefused) {
  for (const char* text :
       {"3", "[]", R"({"format": 4})", R"({"format": "x"})", R"({"metrics": 1})",
        R"({"metrics": {"a": {"m": {"mean": 1, "higher_is_better": "yes"}}}})"}) {
    EXPECT_THROW(StageResults::from_json(json::parse(text)), Error) << text;
  }
  const TemporaryFolder folder;
  EXPECT_FALSE(run_results_if_there(folder.path()));
  write_file(folder.path() / "results.json", R"({"stages": {"ft": {"format": 4}}})");
  try {
    read_run_results(folder.path());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()),
              (folder.path() / "results.json").string() +
                  ": stages.ft: it has the format 4, and this program reads 3 and earlier ones");
  }
}

}  // namespace
}  // namespace bissl::host::test
