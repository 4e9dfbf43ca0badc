// What a bissl stage says when it does harm, and what keeps it from that.

#include "run_fixture.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

namespace bissl::host::test {
namespace {

/// The small pipeline without its fine-tunings, whose labelled views are a hundred times as large
/// as what the backbone was trained on: features of the kind that a learning rate of 0.1 does not
/// suit. Four classes.
class HarmTest : public RunTest {
 protected:
  HarmTest() {
    std::string text = small_pipeline("use = \"identity\"");
    text.resize(text.find("[stage.finetune]"));
    replace_first(text, "augment    = { use = \"supervised\", size = 8 }",
                  "augment    = [ { use = \"resize\", size = 8 }, "
                  "{ use = \"normalize\", mean = [0.5], std = [0.003] } ]");
    write_file(file_, text);
  }

  nlohmann::json bissl(const Outcome& outcome) const {
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return nlohmann::json::parse(read_file(out_ / "small" / "results.json"))["stages"]["bissl"];
  }
};

TEST_F(HarmTest, AWarmUpThatDivergesIsSaidAndTheConvexFitDoesNotDiverge) {
  const Outcome steps = run_bissl(call("run", {"--set", "stage.bissl.head_warmup.steps=30"}));
  const nlohmann::json harmed = bissl(steps);
  EXPECT_NE(steps.err.find("warning: stage.bissl: the head's warm-up ends at a loss of"),
            std::string::npos)
      << steps.err;
  EXPECT_NE(steps.out.find("bissl: warning: the head's warm-up"), std::string::npos) << steps.out;
  EXPECT_EQ(harmed["head_warmup"]["fit"], "sgd");
  const double constant = harmed["upper_loss"]["constant_head"];
  EXPECT_GT(harmed["head_warmup"]["loss"].get<double>(), 1.1 * constant);
  EXPECT_GT(harmed["balance"]["shortened_steps"], 0) << harmed["balance"];

  const Outcome convex = run_bissl(call("run", {"--unset", "stage.bissl.head_warmup"}));
  const nlohmann::json fitted = bissl(convex);
  EXPECT_EQ(convex.err.find("the head's warm-up ends"), std::string::npos) << convex.err;
  EXPECT_EQ(fitted["head_warmup"]["fit"], "convex");
  EXPECT_LE(fitted["head_warmup"]["loss"].get<double>(), constant);
  EXPECT_LT(fitted["balance"]["u_over_pretext_gradient"].get<double>(),
            harmed["balance"]["u_over_pretext_gradient"].get<double>());
}

/// λ·r/(1 − momentum)·Σ lr_scale is 1.5; r is the learning rate of plain SGD.
TEST_F(HarmTest, LambdaIsChosenByHowFarALowerStepMoves) {
  const std::vector<std::string> automatic =
      call("run",
           {"--set", "stage.bissl.lambda=auto", "--set",
            "stage.bissl.lower.optimizer={use=\"sgd\",lr=0.05,momentum=0.5}", "--set",
            "stage.bissl.lower.schedule={use=\"constant\"}", "--unset", "stage.bissl.head_warmup"});
  const Outcome outcome = run_bissl(automatic);
  const nlohmann::json chosen = bissl(outcome)["lambda"];
  EXPECT_NEAR(chosen["rate"].get<double>(), 0.05, 5e-4);
  EXPECT_NEAR(chosen["chosen"].get<double>(), 1.5 * 0.5 / (0.05 * 9), 0.02);
  EXPECT_NE(outcome.out.find("lambda = \"auto\" became 1.6"), std::string::npos) << outcome.out;
  EXPECT_NE(read_file(out_ / "small" / "pipeline.lock.toml").find("lambda = \"auto\""),
            std::string::npos);
}

/// What is "auto" is chosen; the numbers are in the results, the summary and the lock file, and a
/// run that has them in its table trains the same weights.
TEST_F(HarmTest, TheUpperLearningRateAndRoundsAreChosen) {
  const std::vector<std::string> shared = {
      "--set",   "stage.pretrain.steps=160",
      "--set",   "stage.bissl.lower.optimizer={use=\"sgd\",lr=0.01,momentum=0.5}",
      "--set",   "stage.bissl.lower.lr_factor=0.5",
      "--set",   "stage.bissl.lower.schedule={use=\"constant\"}",
      "--set",   "stage.bissl.upper.optimizer={use=\"sgd\",lr=0.001}",
      "--set",   "stage.bissl.upper.schedule={use=\"constant\"}",
      "--unset", "stage.bissl.head_warmup"};
  std::vector<std::string> automatic = shared;
  for (const char* key :
       {"stage.bissl.rounds", "stage.bissl.lambda", "stage.bissl.upper.lr_factor"}) {
    automatic.insert(automatic.end(), {"--set", std::string(key) + "=auto"});
  }
  const Outcome outcome = run_bissl(call("run", automatic));
  const nlohmann::json chosen = bissl(outcome);
  const std::string lock = read_file(out_ / "small" / "pipeline.lock.toml");
  // A fifth of 160 steps of pretraining, in rounds of 3.
  EXPECT_EQ(chosen["solves"]["upper_steps"], 11 * 2);
  EXPECT_NE(lock.find("rounds = 11"), std::string::npos) << lock;
  EXPECT_NE(lock.find("[lock.chosen]"), std::string::npos) << lock;
  const nlohmann::json& rate = chosen["upper_rate"];
  const double lower_path = rate["lower_step"].get<double>() / (1 - 0.5) * 11 * 3;
  const double upper_path = rate["upper_step"].get<double>() / (1 - 0.9) * 11 * 2;
  EXPECT_NEAR(rate["factor"].get<double>() * upper_path, lower_path, 1e-6 * lower_path);
  EXPECT_NEAR(rate["rate"].get<double>(), rate["factor"].get<double>() * 0.001, 1e-12);
  // A lower step is its rate times the gradient, whose norm is in the first event.
  const std::string events = read_file(out_ / "small" / "bissl" / "events.jsonl");
  const auto first = nlohmann::json::parse(events.substr(0, events.find('\n')));
  EXPECT_EQ(first["lr_scale"], 0.5);
  EXPECT_NEAR(rate["lower_step"].get<double>(), 0.005 * first["pretext_norm"].get<double>(),
              0.0025 * first["pretext_norm"].get<double>());

  std::vector<std::string> given = shared;
  const auto give = [&](const std::string& key, double value) {
    given.insert(given.end(), {"--set", fmt::format("stage.bissl.{}={}", key, value)});
    EXPECT_NE(outcome.out.find("bissl: " + key + " = \"auto\" became "), std::string::npos)
        << outcome.out;
    EXPECT_NE(lock.find("\"stage.bissl." + key + "\" = "), std::string::npos) << lock;
  };
  given.insert(given.end(), {"--set", "stage.bissl.rounds=11"});
  give("lambda", chosen["lambda"]["chosen"]);
  give("upper.lr_factor", rate["factor"]);
  const std::string weights = read_file(out_ / "small" / "bissl" / "backbone.safetensors");
  EXPECT_EQ(run_bissl(call("run", given)).code, 0);
  EXPECT_EQ(read_file(out_ / "small" / "bissl" / "backbone.safetensors"), weights);
}

}  // namespace
}  // namespace bissl::host::test
