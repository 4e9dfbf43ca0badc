// The program as a user calls it, on a pipeline of seconds.

#include "program.h"
#include "support/paths.h"
#include "support/temporary_folder.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

namespace bissl::host::test {
namespace {

class RunTest : public ::testing::Test {
 protected:
  RunTest() { write_file(file_, small_pipeline()); }

  std::vector<std::string> call(const std::string& name,
                                const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {name,          file_.string(), "--out",
                                          out_.string(), "--threads",    "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  TemporaryFolder folder_;
  std::filesystem::path file_ = folder_.path() / "small.toml";
  std::filesystem::path out_ = folder_.path() / "runs";
};

TEST_F(RunTest, RunsEveryStageAndKeepsThem) {
  const Outcome first = run_bissl(call("run"));
  ASSERT_EQ(first.code, 0) << first.err;
  for (const char* word :
       {"pretrain", "bissl", "finetune", "baseline", "test.top1", "±", "6 upper steps, "}) {
    EXPECT_NE(first.out.find(word), std::string::npos) << word << "\n" << first.out;
  }
  const std::filesystem::path run = out_ / "small";
  for (const char* name :
       {"pipeline.lock.toml", "results.json", "pretrain/backbone.safetensors",
        "pretrain/pretext.safetensors", "pretrain/events.jsonl", "bissl/backbone.safetensors",
        "finetune/run-1/head.safetensors", "baseline/run-0/results.json"}) {
    EXPECT_TRUE(std::filesystem::exists(run / name)) << name;
  }
  const auto results = nlohmann::json::parse(read_file(run / "results.json"));
  // A solve stops early at negative curvature, which hangs on the machine's rounding.
  const auto& solves = results["stages"]["bissl"]["solves"];
  EXPECT_EQ(solves["upper_steps"], 6);
  EXPECT_GE(solves["hessian_products"], 6);
  EXPECT_LE(solves["hessian_products"], 12);
  const double top1 =
      results["stages"]["finetune"]["metrics"]["test"]["top1"]["mean"].get<double>();
  EXPECT_GE(top1, 0.0);
  EXPECT_LE(top1, 1.0);

  const Outcome second = run_bissl(call("run"));
  ASSERT_EQ(second.code, 0) << second.err;
  EXPECT_NE(second.err.find("pretrain: already in the store, not run again"), std::string::npos);
  const auto again = nlohmann::json::parse(read_file(run / "results.json"));
  EXPECT_EQ(results, again);
}

/// The losses of the baseline's first run, a step each.
std::vector<double> losses_of_baseline(const std::filesystem::path& run) {
  std::vector<double> losses;
  std::istringstream events(read_file(run / "baseline" / "run-0" / "events.jsonl"));
  for (std::string line; std::getline(events, line);) {
    losses.push_back(nlohmann::json::parse(line)["loss"].get<double>());
  }
  return losses;
}

TEST_F(RunTest, AccumulatedBatchesMakeTheStepsOfOneBatch) {
  // On a frozen backbone samples do not know of each other.
  const std::vector<std::string> probe = {"--set", "stage.baseline.freeze_backbone=true", "--set",
                                          "stage.baseline.repeats=1"};
  const auto losses = [&](const std::string& batch, const std::string& accumulate) {
    std::vector<std::string> arguments = call("run", probe);
    arguments.insert(arguments.end(), {"--set", "stage.baseline.batch=" + batch, "--set",
                                       "stage.baseline.accumulate=" + accumulate});
    const Outcome outcome = run_bissl(arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return losses_of_baseline(out_ / "small");
  };
  const std::vector<double> whole = losses("8", "1");
  const std::vector<double> parts = losses("2", "4");
  ASSERT_EQ(whole.size(), 6U);
  ASSERT_EQ(parts.size(), whole.size());
  for (size_t i = 0; i < whole.size(); ++i) {
    EXPECT_NEAR(parts[i], whole[i], 1e-5) << i;
  }
}

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
  ASSERT_EQ(apart.at("runs").size(), 2U);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(apart.at("runs")[i].at("test"), short_form.at("runs")[i].at("test"));
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
  EXPECT_EQ(stages.at("near-finetuned").at("runs").size(), 2U);

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
  EXPECT_TRUE(std::filesystem::exists(out_ / "small" / "more" / "run-0" / "head.safetensors"));
}

TEST_F(RunTest, AnAuditReportsAndChangesNoWeight) {
  const Outcome plain = run_bissl(call("run"));
  ASSERT_EQ(plain.code, 0) << plain.err;
  const std::filesystem::path weights = out_ / "small" / "bissl" / "backbone.safetensors";
  const std::string before = read_file(weights);
  const Outcome audited = run_bissl(call(
      "run", {"--set", "stage.bissl.audit.every=2", "--set", "stage.bissl.audit.iterations=20"}));
  ASSERT_EQ(audited.code, 0) << audited.err;
  EXPECT_NE(audited.out.find("3 audits; cosine(v, v*)"), std::string::npos) << audited.out;
  EXPECT_NE(audited.err.find("bissl: was trained without this audit; it is trained again"),
            std::string::npos)
      << audited.err;
  EXPECT_NE(audited.err.find("finetune: already in the store, not run again"), std::string::npos)
      << audited.err;
  EXPECT_EQ(audited.err.find("other weights"), std::string::npos) << audited.err;
  EXPECT_TRUE(read_file(weights) == before) << "the weights differ";
  const auto results = nlohmann::json::parse(read_file(out_ / "small" / "results.json"));
  const nlohmann::json figures = results["stages"]["bissl"]["solves"]["audit"];
  EXPECT_EQ(figures["audits"], 3);
  const std::filesystem::path artefact = out_ / ".store" / figures["key"].get<std::string>();
  int64_t lines = 0;
  std::istringstream events(read_file(artefact / "audits.jsonl"));
  for (std::string line; std::getline(events, line);) {
    const auto event = nlohmann::json::parse(line);
    if (event.contains("audit")) {
      ++lines;
      EXPECT_EQ(event["audit"]["reference"], "minres");
      EXPECT_TRUE(event["audit"]["groups"].contains("layer1.0"));
    }
  }
  EXPECT_EQ(lines, 3);
  EXPECT_FALSE(std::filesystem::exists(artefact / "backbone.safetensors"));

  // Nothing is left to do, and with fewer audits the figures are others of the same stage.
  const std::vector<std::string> same = {"--set", "stage.bissl.audit.every=2", "--set",
                                         "stage.bissl.audit.iterations=20"};
  const Outcome again = run_bissl(call("run", same));
  EXPECT_EQ(again.err.find("trained again"), std::string::npos) << again.err;
  EXPECT_NE(again.out.find("3 audits; cosine(v, v*)"), std::string::npos) << again.out;
  const Outcome pruned = run_bissl({"store", "prune", "--unused", "--out", out_.string()});
  EXPECT_EQ(pruned.out.find("audit"), std::string::npos)
      << "an audit is used by who uses its stage\n"
      << pruned.out;
}

/// One call that trains a stage and audits it makes both: nothing is trained a second time.
TEST_F(RunTest, AnAuditIsMadeWhileItsStageIsTrained) {
  const Outcome audited = run_bissl(call(
      "run", {"--set", "stage.bissl.audit.every=2", "--set", "stage.bissl.audit.iterations=20"}));
  ASSERT_EQ(audited.code, 0) << audited.err;
  EXPECT_NE(audited.out.find("3 audits; cosine(v, v*)"), std::string::npos) << audited.out;
  EXPECT_EQ(audited.err.find("trained again"), std::string::npos) << audited.err;
  const auto of_stage = nlohmann::json::parse(read_file(out_ / "small" / "bissl" / "results.json"));
  EXPECT_FALSE(of_stage["solves"].contains("audit")) << "which is no result of the stage";
  // Without audits and with the graph built again for each product the stage is the same one.
  const Outcome plain =
      run_bissl(call("run", {"--set", "stage.bissl.lower.hessian_graph=recomputed"}));
  EXPECT_NE(plain.err.find("bissl: already in the store, not run again"), std::string::npos)
      << plain.err;
  EXPECT_EQ(plain.out.find("audits; cosine"), std::string::npos) << plain.out;
}

/// A pipeline whose pretext task is the fixtures' specimen, with audits.
class AuditTest : public RunTest {
 protected:
  Outcome run(const std::string& choice, bool audited) {
    const std::filesystem::path plugins = folder_.path() / "plugins";
    std::filesystem::create_directories(plugins);
    std::filesystem::copy_file(std::filesystem::path(fixture_plugin_folder) / "faulty_pretext.so",
                               plugins / "faulty_pretext.so",
                               std::filesystem::copy_options::overwrite_existing);
    std::string text = small_pipeline();
    const std::string before = "{ use = \"simclr\", projector = [8, 8] }";
    text.replace(text.find(before), before.size(), "{ use = \"specimen\", " + choice + " }");
    write_file(file_, text);
    std::vector<std::string> more = {"--plugin-path", plugins.string()};
    if (audited) {
      more.insert(more.end(), {"--set", "stage.bissl.audit.every=2", "--set",
                               "stage.bissl.audit.iterations=20"});
    }
    return run_bissl(call("run", more));
  }

  nlohmann::json audit() const {
    const auto results = nlohmann::json::parse(read_file(out_ / "small" / "results.json"));
    return results["stages"]["bissl"]["solves"]["audit"];
  }

  std::string weights() const {
    return read_file(out_ / "small" / "bissl" / "backbone.safetensors");
  }
};

TEST_F(AuditTest, LeavesIntegersAndTruthValuesInBuffersAlone) {
  for (const char* form : {"queue", "mask", "average"}) {
    const Outcome outcome = run(fmt::format("form = \"{}\"", form), true);
    ASSERT_EQ(outcome.code, 0) << form << outcome.err;
    EXPECT_EQ(audit()["audits"], 3) << form;
    EXPECT_FALSE(audit().contains("failed")) << form << audit().dump();
  }
}

TEST_F(AuditTest, ThatCannotBeMadeIsReportedAndEndsNothing) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"form = \"fails-in-double-precision\"", "single precision only"},
      {"fault = \"loose-layer\"", "dtype"},
      {"form = \"nan-in-double-precision\"", "not finite"}};
  for (const auto& [choice, reason] : cases) {
    const Outcome plain = run(choice, false);
    ASSERT_EQ(plain.code, 0) << choice << plain.err;
    const std::string before = weights();
    const Outcome outcome = run(choice, true);
    ASSERT_EQ(outcome.code, 0) << choice << outcome.err;
    EXPECT_TRUE(weights() == before) << choice << ": the weights differ";
    EXPECT_EQ(audit()["audits"], 0) << choice;
    EXPECT_EQ(audit()["failed"], 3) << choice;
    EXPECT_NE(audit()["reason"].get<std::string>().find(reason), std::string::npos)
        << choice << audit().dump();
    EXPECT_NE(outcome.out.find("3 audits could not be made"), std::string::npos) << outcome.out;
    const size_t first = outcome.err.find("warning: stage.bissl: audit: ");
    ASSERT_NE(first, std::string::npos) << choice << outcome.err;
    EXPECT_EQ(outcome.err.find("warning: stage.bissl: audit: ", first + 1), std::string::npos)
        << "more than one warning\n"
        << outcome.err;
    EXPECT_EQ(outcome.err.find("frame #"), std::string::npos) << outcome.err;
    const std::string key = audit()["key"];
    EXPECT_NE(read_file(out_ / ".store" / key / "audits.jsonl").find("\"audit\":{\"failed\":"),
              std::string::npos)
        << choice;
  }
}

/// Each approximator that is made for more than small backbones takes upper steps in single
/// precision, ends in a state that is named, and leaves finite weights. (On so small a network H is
/// large and indefinite: how close they come is tested elsewhere.)
class ApproximatorTest : public RunTest, public ::testing::WithParamInterface<std::string> {};

TEST_P(ApproximatorTest, RunsInAPipeline) {
  write_file(file_, small_pipeline(GetParam()));
  const Outcome outcome = run_bissl(call("run"));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("6 upper steps, "), std::string::npos) << outcome.out;
  const auto results = nlohmann::json::parse(read_file(out_ / "small" / "results.json"));
  const auto& solves = results["stages"]["bissl"]["solves"];
  int64_t ended = 0;
  for (const auto& [state, count] : solves["ended"].items()) {
    ended += count.get<int64_t>();
  }
  EXPECT_EQ(ended, 6);
  EXPECT_LE(std::abs(solves["mean_cosine_u_v"].get<double>()), 1.0 + 1e-6);
  const auto& loss = results["stages"]["finetune"]["metrics"]["test"]["loss"]["mean"];
  EXPECT_TRUE(loss.is_number() && std::isfinite(loss.get<double>())) << loss;
}

INSTANTIATE_TEST_SUITE_P(
    Each, ApproximatorTest,
    ::testing::Values(R"(use = "cg", form = "layerwise", products = "central-difference")",
                      R"(use = "cg", warm_start = true, preconditioner = "diagonal")",
                      R"(use = "minres", products = "finite-difference")",
                      R"(use = "neumann", step = 0.5)", R"(use = "nystrom", rank = 3)",
                      R"(use = "darts")", R"(use = "sama")", R"(use = "identity")",
                      R"(use = "unrolled", steps = 3)",
                      R"(use = "unrolled", steps = 2, products = "finite-difference")",
                      R"(use = "kfac")"),
    [](const auto& info) { return "case" + std::to_string(info.index); });

TEST_F(RunTest, StepsThatARoundDoesNotHaveAreRefused) {
  write_file(file_, small_pipeline(R"(use = "unrolled", steps = 4)"));
  for (const char* name : {"check", "run"}) {
    const Outcome outcome = run_bissl(call(name));
    EXPECT_EQ(outcome.code, 2);
    EXPECT_NE(outcome.err.find("goes back through 4 lower steps, but a round has 3 (lower.steps)"),
              std::string::npos)
        << outcome.err;
  }
}

TEST_F(RunTest, CheckTellsTheMemoryOfTheKeptGraph) {
  const Outcome kept = run_bissl(call("check"));
  ASSERT_EQ(kept.code, 0) << kept.err;
  EXPECT_NE(kept.out.find("; the kept graph takes "), std::string::npos) << kept.out;
  const Outcome recomputed =
      run_bissl(call("check", {"--set", "stage.bissl.lower.hessian_graph=recomputed"}));
  EXPECT_EQ(recomputed.out.find("; the kept graph takes "), std::string::npos) << recomputed.out;
}

TEST_F(RunTest, CheckNamesWhatDoesWithoutSecondDerivatives) {
  std::string text = small_pipeline();
  const std::string simclr = R"(pretext   = { use = "simclr", projector = [8, 8] })";
  text.replace(text.find(simclr), simclr.size(), R"(pretext   = { use = "distances" })");
  write_file(file_, text);
  const std::filesystem::path plugins = folder_.path() / "plugins";
  std::filesystem::create_directory(plugins);
  const std::filesystem::path fixtures(fixture_plugin_folder);
  std::filesystem::copy(fixtures / "once_differentiable.so", plugins / "once_differentiable.so");
  const std::vector<std::string> path = {"--plugin-path", plugins.string()};
  const Outcome check = run_bissl(call("check", path));
  EXPECT_EQ(check.code, 2);
  EXPECT_NE(check.err.find("\"_cdist_backward\", which cannot be differentiated again"),
            std::string::npos)
      << check.err;
  const std::string list = check.err.substr(check.err.find("these work without it: "));
  for (const char* name : {"use = \"darts\"", "use = \"identity\"", "use = \"sama\"",
                           "use = \"kfac\"", "use = \"cg\", products = \"finite-difference\"",
                           "use = \"unrolled\", products = \"finite-difference\""}) {
    EXPECT_NE(list.find(name), std::string::npos) << name << "\n" << list;
  }
  EXPECT_EQ(list.find("exact"), std::string::npos) << list;

  // What it says works: the choices pass their own check.
  for (const char* choice : {R"(use = "darts")", R"(use = "cg", products = "finite-difference")"}) {
    std::string other = small_pipeline(choice);
    other.replace(other.find(simclr), simclr.size(), R"(pretext   = { use = "distances" })");
    write_file(file_, other);
    EXPECT_EQ(run_bissl(call("check", path)).code, 0) << choice;
  }
}

TEST_F(RunTest, AChangedStageRunsAgainAndItsParentDoesNot) {
  ASSERT_EQ(run_bissl(call("run")).code, 0);
  const Outcome changed = run_bissl(call("run", {"--set", "stage.baseline.steps=7"}));
  ASSERT_EQ(changed.code, 0) << changed.err;
  EXPECT_NE(changed.err.find("pretrain: already in the store"), std::string::npos);
  EXPECT_NE(changed.err.find("finetune: already in the store"), std::string::npos);
  EXPECT_EQ(changed.err.find("baseline: already in the store"), std::string::npos);
}

TEST_F(RunTest, TheLockFileGivesTheSameRun) {
  ASSERT_EQ(run_bissl(call("run")).code, 0);
  const std::filesystem::path lock = out_ / "small" / "pipeline.lock.toml";
  const Outcome again = run_bissl({"run", lock.string(), "--out", out_.string()});
  ASSERT_EQ(again.code, 0) << again.err;
  for (const char* stage : {"pretrain", "bissl", "finetune", "baseline"}) {
    EXPECT_NE(again.err.find(std::string(stage) + ": already in the store"), std::string::npos)
        << stage << "\n"
        << again.err;
  }
}

TEST_F(RunTest, ViewsThatDifferAreTrainedOnAndComeBackFromTheLock) {
  const Outcome first = run_bissl(
      call("run", {"--set",
                   "stage.pretrain.views=[{augment=[{use=\"resized-crop\",size=8},{use=\"flip\"},"
                   "{use=\"blur\"},{use=\"normalize\"}]},"
                   "{augment={use=\"simclr\",size=8,solarize_probability=0.2}}]"}));
  ASSERT_EQ(first.code, 0) << first.err;
  const std::filesystem::path lock = out_ / "small" / "pipeline.lock.toml";
  const std::string text = read_file(lock);
  EXPECT_NE(text.find("[[stage.pretrain.views.augment]]\nuse = \"image-augmentations/blur\"\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("[stage.bissl.lower.views.augment]\nuse = \"image-augmentations/simclr\"\n"),
            std::string::npos)
      << "the lower level inherits the views\n"
      << text;
  const Outcome again = run_bissl({"run", lock.string(), "--out", out_.string()});
  ASSERT_EQ(again.code, 0) << again.err;
  for (const char* stage : {"pretrain", "bissl", "finetune"}) {
    EXPECT_NE(again.err.find(std::string(stage) + ": already in the store"), std::string::npos)
        << stage << "\n"
        << again.err;
  }
}

TEST_F(RunTest, EventsShowWhatTheSolvesDid) {
  ASSERT_EQ(run_bissl(call("run")).code, 0);
  std::ifstream events(out_ / "small" / "bissl" / "events.jsonl");
  int warmup = 0;
  int lower = 0;
  int upper = 0;
  for (std::string line; std::getline(events, line);) {
    const auto event = nlohmann::json::parse(line);
    warmup += event["phase"] == "warmup" ? 1 : 0;
    lower += event["phase"] == "lower" ? 1 : 0;
    if (event["phase"] == "upper") {
      ++upper;
      EXPECT_TRUE(event.contains("solve"));
      EXPECT_GT(event["u_norm"].get<double>(), 0.0);
      EXPECT_LE(std::abs(event["cosine_u_v"].get<double>()), 1.0 + 1e-6);
    }
  }
  EXPECT_EQ(warmup, 3);
  EXPECT_EQ(lower, 9);
  EXPECT_EQ(upper, 6);
}

TEST_F(RunTest, CheckPlansWithoutWriting) {
  const Outcome check = run_bissl(call("check"));
  ASSERT_EQ(check.code, 0) << check.err;
  EXPECT_NE(check.out.find("left to do"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(out_));
  // 0.1 · 0.5/(1 − 0.9) · 9 steps
  EXPECT_NE(check.out.find("pull of λ 4.5"), std::string::npos) << check.out;
}

TEST_F(RunTest, CheckWarnsOfAPullThatIsTooWeak) {
  const Outcome check = run_bissl(call("check", {"--set", "stage.bissl.lambda=0.001"}));
  ASSERT_EQ(check.code, 0) << check.err;
  EXPECT_NE(check.err.find("will hardly follow the upper one. A λ of about 0.022 makes it 1"),
            std::string::npos)
      << check.err;
}

TEST_F(RunTest, AllFaultsOfAFileComeAtOnce) {
  const Outcome outcome =
      run_bissl(call("run", {"--set", "stage.pretrain.batch=0", "--set",
                             "stage.pretrain.optimizer.use=lasr", "--set", "stage.bissl.lamda=1"}));
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("stage.pretrain.batch"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("did you mean \"lars\"?"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("did you mean \"lambda\"?"), std::string::npos) << outcome.err;
  EXPECT_FALSE(std::filesystem::exists(out_));
}

TEST_F(RunTest, WrongInputEndsWithCodeTwo) {
  EXPECT_EQ(run_bissl({"run", (folder_.path() / "none.toml").string()}).code, 2);
  EXPECT_EQ(run_bissl({"frobnicate"}).code, 2);
  EXPECT_EQ(run_bissl(call("run", {"--device", "abacus"})).code, 2);
  const Outcome many = run_bissl(call("run", {"--set", "data.labelled.per_class=5000"}));
  EXPECT_EQ(many.code, 2);
  EXPECT_NE(many.err.find("per_class = 5000, but class"), std::string::npos) << many.err;
  const Outcome shapes =
      run_bissl(call("run", {"--set", "stage.finetune.evaluate.augment.size=12"}));
  EXPECT_EQ(shapes.code, 2);
  EXPECT_NE(shapes.err.find("gives views of 1x12x12"), std::string::npos) << shapes.err;
}

TEST_F(RunTest, ADamagedStageIsComputedAgain) {
  ASSERT_EQ(run_bissl(call("run")).code, 0);
  const std::filesystem::path weights =
      std::filesystem::canonical(out_ / "small" / "pretrain") / "backbone.safetensors";
  std::filesystem::resize_file(weights, 100);
  const Outcome again = run_bissl(call("run"));
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_NE(again.err.find("damaged"), std::string::npos) << again.err;
  EXPECT_EQ(again.err.find("pretrain: already in the store"), std::string::npos);
}

TEST_F(RunTest, PluginsAreFoundAndRefused) {
  const std::filesystem::path bad = folder_.path() / "plugins";
  std::filesystem::create_directory(bad);
  for (const char* library : {"no_entry.so", "aborts.so"}) {
    std::filesystem::copy(std::filesystem::path(fixture_plugin_folder) / library, bad / library);
  }
  const Outcome plugins = run_bissl({"plugins", "--json", "--plugin-path", bad.string()});
  ASSERT_EQ(plugins.code, 0) << plugins.err;
  EXPECT_NE(plugins.out.find("resnet18"), std::string::npos);
  const auto problems = nlohmann::json::parse(plugins.out).at("problems");
  ASSERT_EQ(problems.size(), 2);
  EXPECT_EQ(problems[0].at("code"), "crashed");
  EXPECT_EQ(problems[1].at("code"), "no_entry");
  const Outcome without =
      run_bissl({"plugins", "--json", "--no-third-party", "--plugin-path", bad.string()});
  EXPECT_TRUE(nlohmann::json::parse(without.out).at("problems").empty());
  const Outcome described = run_bissl({"describe", "simclr"});
  EXPECT_EQ(described.code, 0);
  EXPECT_NE(described.out.find("temperature"), std::string::npos);
  EXPECT_NE(described.out.find("flip_probability"), std::string::npos);
}

}  // namespace
}  // namespace bissl::host::test
