// What a bissl stage says when it does harm, and what keeps it from that.

#include "run_fixture.h"

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

}  // namespace
}  // namespace bissl::host::test
