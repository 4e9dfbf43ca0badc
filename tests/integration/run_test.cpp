// The program as a user calls it, on a pipeline of seconds.

#include "run_fixture.h"
#include "support/paths.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

namespace bissl::host::test {
namespace {

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
        "finetune/repeat-1/head.safetensors", "baseline/repeat-0/results.json"}) {
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
  std::istringstream events(read_file(run / "baseline" / "repeat-0" / "events.jsonl"));
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
  int64_t products = 0;
  int64_t most = 0;
  for (std::string line; std::getline(events, line);) {
    const auto event = nlohmann::json::parse(line);
    warmup += event["phase"] == "head_warmup" ? 1 : 0;
    lower += event["phase"] == "lower" ? 1 : 0;
    if (event["phase"] == "upper") {
      ++upper;
      EXPECT_TRUE(event.contains("solve"));
      products += event["hessian_products"].get<int64_t>();
      most = std::max(most, event["hessian_products"].get<int64_t>());
      EXPECT_GT(event["u_norm"].get<double>(), 0.0);
      EXPECT_LE(std::abs(event["cosine_u_v"].get<double>()), 1.0 + 1e-6);
    }
  }
  EXPECT_EQ(warmup, 3);
  EXPECT_EQ(lower, 9);
  EXPECT_EQ(upper, 6);
  const auto results = nlohmann::json::parse(read_file(out_ / "small" / "results.json"));
  const auto& solves = results["stages"]["bissl"]["solves"];
  EXPECT_EQ(solves["hessian_products"], products);
  EXPECT_EQ(solves["hessian_products_of_a_step"]["most"], most);
  EXPECT_NEAR(solves["hessian_products_of_a_step"]["mean"].get<double>(), double(products) / 6,
              1e-12);
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
