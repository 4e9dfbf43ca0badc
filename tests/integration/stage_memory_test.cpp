// The memory that check predicts for a stage, and what its run takes.

#include "run_fixture.h"
#include "support/sanitizers.h"

#include <nlohmann/json.hpp>

namespace bissl::host::test {
namespace {

using nlohmann::json;

class StageMemoryTest : public RunTest {};

/// A network whose activations are most of what the process takes.
const std::vector<std::string> larger = {"--set", "model.backbone.width=16",
                                         "--set", "stage.pretrain.augment.size=32",
                                         "--set", "stage.pretrain.batch=96",
                                         "--set", "stage.pretrain.steps=2",
                                         "--set", "stage.bissl.rounds=1",
                                         "--set", "stage.bissl.lower.steps=1",
                                         "--set", "stage.bissl.upper.steps=1",
                                         "--set", "stage.bissl.upper.augment.size=32",
                                         "--set", "stage.bissl.upper.batch=96",
                                         "--set", "stage.finetune.augment.size=32",
                                         "--set", "stage.finetune.evaluate.augment.size=32",
                                         "--set", "stage.finetune.batch=96",
                                         "--set", "stage.finetune.steps=2"};

/// What scores and looks at the networks; the figures' blocks of distances are as large as what the
/// passes of images take.
const std::string scoring = R"(
[data.many]
use     = "synthetic"
samples = 3000
size    = 8
split   = "test"

[stage.scores]
kind    = "evaluate"
from    = "finetune"
data    = "test"
augment = { use = "evaluation", size = 32 }

[stage.neighbours]
kind    = "knn"
from    = "bissl"
bank    = "many"
data    = "test"
augment = { use = "evaluation", size = 8 }

[stage.look]
kind    = "analyse"
from    = "bissl"
data    = "many"
compare = "pretrain"
augment = { use = "evaluation", size = 8 }
)";

TEST_F(StageMemoryTest, TheMemoryOfAStageIsKnownBeforeItIsTrained) {
  if (sanitized) {
    GTEST_SKIP() << "a sanitizer keeps what is freed";
  }
  write_file(file_, small_pipeline() + scoring);
  std::vector<std::string> words = call("check", larger);
  words.emplace_back("--json");
  const Outcome checked = run_bissl(words);
  ASSERT_EQ(checked.code, 0) << checked.err;
  ASSERT_EQ(run_bissl(call("run", larger)).code, 0);
  const json stages = json::parse(read_file(out_ / "small" / "results.json"))["stages"];
  const json plans = json::parse(checked.out);
  for (const json& plan : plans.at("stages")) {
    const auto name = plan.at("name").get<std::string>();
    const auto found = stages.at(name).at("peak_memory_bytes").get<double>();
    // What the larger stages before it have left in the heap is in this one's peak.
    const double left = name == "look" ? 2e7 : 0;
    EXPECT_NEAR(plan.at("estimated_peak_bytes").get<double>(), found, 0.15 * found + left) << name;
  }
}

/// Of a monitor whose figure takes more than a step of the small network.
TEST_F(StageMemoryTest, TheMemoryOfALookIsKnownBeforeTheTraining) {
  if (sanitized) {
    GTEST_SKIP() << "a sanitizer keeps what is freed";
  }
  write_file(file_, small_pipeline() + R"(
[data.many]
use     = "synthetic"
samples = 20000
size    = 8

[stage.pretrain.monitor]
data    = "many"
every   = 8
samples = 20000
figures = ["uniformity"]
augment = { use = "evaluation", size = 8 }
)");
  const std::vector<std::string> pretraining = {"--unset",        "stage.bissl", "--unset",
                                                "stage.finetune", "--unset",     "stage.baseline"};
  std::vector<std::string> words = call("check", pretraining);
  words.emplace_back("--json");
  const Outcome checked = run_bissl(words);
  ASSERT_EQ(checked.code, 0) << checked.err;
  ASSERT_EQ(run_bissl(call("run", pretraining)).code, 0);
  const json stages = json::parse(read_file(out_ / "small" / "results.json"))["stages"];
  const auto found = stages.at("pretrain").at("peak_memory_bytes").get<double>();
  const json plans = json::parse(checked.out);
  EXPECT_NEAR(plans.at("stages").at(0).at("estimated_peak_bytes").get<double>(), found,
              0.15 * found);
}

}  // namespace
}  // namespace bissl::host::test
