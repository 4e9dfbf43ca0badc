// Stages that score what others have trained: `evaluate`, `knn`, and fine-tuning without scores.

#include "run_fixture.h"

#include <nlohmann/json.hpp>

namespace bissl::host::test {
namespace {

/// Stages that train nothing, over those of the small pipeline.
const std::string scoring = R"(
[data.other]
use       = "synthetic"
samples   = 96
size      = 8
per_class = 10
skip_per_class = 12

[stage.score]
kind    = "evaluate"
from    = "finetune"
data    = ["test", "other"]
augment = { use = "evaluation", size = 8 }

[stage.of-bissl]
like = "score"
from = "bissl"
data = "test"

[stage.near]
kind    = "knn"
from    = "bissl"
bank    = "labelled"
data    = ["test", "other"]
augment = { use = "evaluation", size = 8 }
k       = 5

[stage.near-finetuned]
like = "near"
from = "finetune"

[stage.near-random]
like = "near"
from = "scratch"
batch = 17
)";

TEST_F(RunTest, EvaluateAndKnnScoreWhatOthersHaveTrained) {
  write_file(file_, small_pipeline() + scoring);
  const Outcome outcome = run_bissl(call("run"));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto stages =
      nlohmann::json::parse(read_file(out_ / "small" / "results.json")).at("stages");
  // The same networks on the same images: the short form's numbers, for each of the two repeats.
  const auto& short_form = stages.at("finetune");
  const auto& apart = stages.at("score");
  EXPECT_EQ(apart.at("metrics").at("test"), short_form.at("metrics").at("test"));
  ASSERT_EQ(apart.at("per_repeat").size(), 2U);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(apart.at("per_repeat")[i].at("test"), short_form.at("per_repeat")[i].at("test"));
  }
  EXPECT_EQ(apart.at("repeats"), 2);
  EXPECT_EQ(apart.at("metrics").at("other").at("loss").at("higher_is_better"), false);
  EXPECT_EQ(stages.at("of-bissl").at("metrics").size(), 1U);
  for (const char* name : {"near", "near-finetuned", "near-random"}) {
    for (const char* data : {"test", "other"}) {
      const auto& top1 = stages.at(name).at("metrics").at(data).at("top1");
      EXPECT_EQ(top1.at("higher_is_better"), true);
      EXPECT_GE(top1.at("mean"), 0.0);
      EXPECT_LE(top1.at("mean"), 1.0);
    }
    EXPECT_FALSE(std::filesystem::exists(out_ / "small" / name / "events.jsonl"));
  }
  EXPECT_EQ(stages.at("near-finetuned").at("per_repeat").size(), 2U);

  // What a batch holds does not matter, nor the threads.
  const Outcome again =
      run_bissl({"run", file_.string(), "--out", (folder_.path() / "two").string(), "--threads",
                 "2", "--set", "stage.near-random.batch=64"});
  ASSERT_EQ(again.code, 0) << again.err;
  const auto others =
      nlohmann::json::parse(read_file(folder_.path() / "two" / "small" / "results.json"))
          .at("stages");
  EXPECT_EQ(others.at("near-random").at("metrics"), stages.at("near-random").at("metrics"));

  // Other data is scored without training anything again.
  const Outcome changed = run_bissl(call("run", {"--set", "stage.score.data=other"}));
  ASSERT_EQ(changed.code, 0) << changed.err;
  for (const char* kept : {"pretrain", "bissl", "finetune", "near"}) {
    EXPECT_NE(changed.err.find(std::string(kept) + ": already in the store"), std::string::npos)
        << kept << changed.err;
  }
  EXPECT_EQ(changed.err.find("score: already in the store"), std::string::npos);
  const Outcome report = run_bissl({"report", (out_ / "small").string()});
  EXPECT_EQ(report.code, 0) << report.err;
  EXPECT_EQ(report.out.find("there is no events.jsonl"), std::string::npos) << report.out;
}

TEST_F(RunTest, WhatCannotBeScoredIsRefusedBeforeTraining) {
  write_file(file_, small_pipeline() + scoring);
  const auto refusal = [&](const std::string& change) {
    const Outcome outcome = run_bissl(call("check", {"--set", change}));
    EXPECT_EQ(outcome.code, 2) << change << outcome.err;
    return outcome.err;
  };
  const auto expect = [&](const std::string& change, const std::string& part) {
    const std::string found = refusal(change);
    EXPECT_NE(found.find(part), std::string::npos) << change << "\n" << found;
  };
  expect("stage.score.from=pretrain",
         "is of kind \"pretrain\", which hands on backbone and pretext; a stage of kind "
         "\"evaluate\" needs head, too; accepted: \"bissl\", \"finetune\", \"baseline\"");
  expect("stage.score.from=scratch", "cannot start from random weights");
  expect("stage.score.from=near", "which no stage can continue");
  expect("data.other.classes=[0, 1]", "data: data.other (used at ");
  expect("stage.near.k=1000", "k = 1000: data.labelled has 48 images");
  expect("stage.near.bank=test", "the bank is scored on itself");
  expect("stage.near.data=[]", "there is no data source to score on");
  expect("stage.bissl.from=baseline",
         "which hands on backbone and head; a stage of kind \"bissl\" needs pretext, too");
  expect("data.other.channels=3", "data: the views of data.other are 3x8x8");
  expect("data.other.channels=3",
         "data: the views of data.other have another shape than those of the bank, data.labelled");
}

TEST_F(RunTest, ATrainingContinuesOneNetwork) {
  write_file(file_,
             small_pipeline() + "\n[stage.more]\nlike = \"finetune\"\nfrom = \"finetune\"\n");
  const Outcome several = run_bissl(call("check"));
  EXPECT_EQ(several.code, 2);
  EXPECT_NE(several.err.find("stage.finetune has trained 2 networks"), std::string::npos)
      << several.err;
  EXPECT_EQ(run_bissl(call("check", {"--set", "stage.finetune.repeats=1"})).code, 0);
}

TEST_F(RunTest, AFinetuningIsContinuedAndNeedNotBeScored) {
  write_file(file_, small_pipeline() +
                        "\n[stage.more]\nlike = \"finetune\"\nfrom = \"finetune\"\n" +
                        "unset = [\"evaluate\"]\n");
  const Outcome outcome = run_bissl(call("run", {"--set", "stage.finetune.repeats=1", "--json"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto more = nlohmann::json::parse(outcome.out).at("stages").at("more");
  EXPECT_EQ(more.at("from"), "finetune");
  EXPECT_FALSE(more.contains("metrics"));
  EXPECT_TRUE(std::filesystem::exists(out_ / "small" / "more" / "repeat-0" / "head.safetensors"));
}

}  // namespace
}  // namespace bissl::host::test
