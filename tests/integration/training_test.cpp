// What fine-tuning does along its steps besides training: averages of the weights, validation.

#include "run_fixture.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

namespace bissl::host::test {
namespace {

class TrainingTest : public RunTest {};

/// The log of a stage's first repeat.
std::vector<nlohmann::json> events_of(const std::filesystem::path& stage) {
  std::vector<nlohmann::json> events;
  std::istringstream lines(read_file(stage / "repeat-0" / "events.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    events.push_back(nlohmann::json::parse(line));
  }
  return events;
}

TEST_F(TrainingTest, AnAverageOfTheWeightsIsScoredAndKept) {
  const std::filesystem::path weights = out_ / "small/baseline/repeat-0/head.safetensors";
  const auto run = [&](const std::string& ema) {
    const Outcome outcome = run_bissl(call(
        "run", {"--set", "stage.baseline.ema_decay=" + ema, "--set", "stage.baseline.repeats=1"}));
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    std::vector<double> losses;
    for (const nlohmann::json& event : events_of(out_ / "small" / "baseline")) {
      losses.push_back(event["loss"].get<double>());
    }
    return std::make_pair(losses, read_file(weights));
  };
  const auto last = run("0");
  const auto averaged = run("0.9");
  EXPECT_EQ(averaged.first, last.first) << "the training itself is the same";
  EXPECT_FALSE(averaged.second == last.second);
}

/// Fine-tuning that is validated after every second step, on data of its own.
std::string validated(const std::string& more) {
  return small_pipeline() +
         R"(
[data.val]
use       = "synthetic"
samples   = 96
size      = 8
per_class = 6
skip_per_class = 12

[stage.validated]
like = "baseline"
repeats = 1
)" + more +
         R"(
[stage.validated.validate]
data    = "val"
augment = { use = "evaluation", size = 8 }
every   = 2
)";
}

TEST_F(TrainingTest, ValidationChoosesTheBestWeights) {
  write_file(file_, validated("optimizer = { use = \"sgd\", lr = 0.5 }") + "metric = \"loss\"\n");
  const Outcome outcome = run_bissl(call("run"));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const std::vector<nlohmann::json> events = events_of(out_ / "small" / "validated");
  ASSERT_EQ(events.size(), 6U);
  double best = std::numeric_limits<double>::infinity();
  int64_t best_step = 0;
  for (size_t i = 0; i < events.size(); ++i) {
    ASSERT_EQ(events[i].contains("validation"), i % 2 == 1) << i;
    if (i % 2 == 1) {
      EXPECT_TRUE(events[i]["validation"].contains("top1"));
      const double loss = events[i]["validation"]["loss"].get<double>();
      best_step = loss < best ? static_cast<int64_t>(i) + 1 : best_step;
      best = std::min(best, loss);
    }
  }
  const auto results = nlohmann::json::parse(read_file(out_ / "small" / "results.json"));
  const auto& found = results["stages"]["validated"]["validation"][0];
  EXPECT_EQ(found["best"].get<double>(), best);
  EXPECT_EQ(found["best_step"], best_step);
  EXPECT_EQ(found["steps"], 6);
}

TEST_F(TrainingTest, TrainingEndsWhenItIsNoLongerWorthIt) {
  // Without a learning rate no validation is better than the first.
  write_file(file_, validated("optimizer = { use = \"sgd\", lr = 0.0 }") +
                        "metric = \"loss\"\npatience = 1\n");
  const Outcome outcome = run_bissl(call("run", {"--set", "stage.validated.steps=100", "--set",
                                                 "stage.validated.freeze_backbone=true"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(events_of(out_ / "small" / "validated").size(), 4U);
  const auto results = nlohmann::json::parse(read_file(out_ / "small" / "results.json"));
  EXPECT_EQ(results["stages"]["validated"]["validation"][0]["best_step"], 2);
}

TEST_F(TrainingTest, AValidationThatCannotBeIsRefusedBeforeTraining) {
  write_file(file_, validated("") + "metric = \"top9\"\n");
  const Outcome outcome = run_bissl(call("run"));
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(
      outcome.err.find("validate.metric: the downstream task has no metric \"top9\"; it has "),
      std::string::npos)
      << outcome.err;
  EXPECT_FALSE(std::filesystem::exists(out_ / "small"));
}

/// The baseline's fine-tuning with this in the place of its optimizer, after `pretrain`.
class RatesTest : public TrainingTest {
 protected:
  Outcome run(const std::vector<std::string>& changes) const {
    std::vector<std::string> more = {"--set", "stage.baseline.repeats=1"};
    for (const std::string& change : changes) {
      more.insert(more.end(), {"--set", "stage.baseline." + change});
    }
    return run_bissl(call("run", more));
  }

  /// The weights of backbone and head after such a run.
  std::string weights(const std::vector<std::string>& changes) const {
    const Outcome outcome = run(changes);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    const std::filesystem::path folder = out_ / "small/baseline/repeat-0";
    return read_file(folder / "head.safetensors") + read_file(folder / "backbone.safetensors");
  }

  void refused(const std::vector<std::string>& changes, const std::string& expected) const {
    const Outcome outcome = run(changes);
    EXPECT_EQ(outcome.code, 2);
    EXPECT_NE(outcome.err.find(expected), std::string::npos) << outcome.err;
  }
};

TEST_F(RatesTest, GroupsAndScalingMeanWhatTheySay) {
  const std::string decay = "optimizer={ use = \"sgd\", lr = 0.05, weight_decay = 0.1 }";
  const std::string plain = weights({decay});
  EXPECT_EQ(weights({decay, "rates.groups=[ { match = \"head.*\", lr_factor = 1 } ]"}), plain);
  EXPECT_NE(weights({decay, "rates.groups=[ { match = \"head.*\", lr_factor = 2 } ]"}), plain);
  EXPECT_NE(weights({decay, "rates.groups=[ { match = \"*.bn?.*\", weight_decay = 0 } ]"}), plain);
  EXPECT_EQ(weights({decay, "rates.layer_decay=1"}), plain);
  EXPECT_NE(weights({decay, "rates.layer_decay=0.5"}), plain);
  // Steps of 8 samples, and a rate that is meant for 4.
  const std::string doubled = weights({"optimizer={ use = \"sgd\", lr = 0.1 }"});
  const Outcome scaled = run({"rates={ scaling = \"linear\", scaling_batch = 4 }"});
  ASSERT_EQ(scaled.code, 0) << scaled.err;
  const std::filesystem::path folder = out_ / "small/baseline/repeat-0";
  EXPECT_EQ(read_file(folder / "head.safetensors") + read_file(folder / "backbone.safetensors"),
            doubled);
  EXPECT_NE(read_file(out_ / "small/pipeline.lock.toml")
                .find("\"scaled stage.baseline.optimizer.lr\" = \"0.1\""),
            std::string::npos);
}

TEST_F(RatesTest, WhatIsFrozenStays) {
  // Without weight decay and clipping a rate of 0 leaves the same weights.
  const std::string frozen =
      weights({"rates.groups=[ { match = \"backbone.*\", frozen = true } ]"});
  EXPECT_EQ(frozen, weights({"rates.groups=[ { match = \"backbone.*\", lr_factor = 0 } ]"}));
  EXPECT_NE(frozen, weights({}));
}

TEST_F(RatesTest, WeightDecayFollowsItsSchedule) {
  const std::string decay = "optimizer={ use = \"sgd\", lr = 0.05, weight_decay = 0.1 }";
  const std::string plain = weights({decay});
  EXPECT_EQ(weights({decay, "rates.weight_decay={ end_factor = 1 }"}), plain);
  EXPECT_NE(weights({decay, "rates.weight_decay={ end_factor = 5 }"}), plain);
}

TEST_F(RatesTest, MomentumFollowsItsSchedule) {
  const std::string plain = weights({});
  EXPECT_EQ(weights({"rates.momentum={ to = 0.9 }"}), plain) << "it is 0.9 already";
  EXPECT_NE(weights({"rates.momentum={ to = 0.5 }"}), plain);
}

TEST_F(RatesTest, MixedBatchesTrainOtherwise) {
  const std::string plain = weights({});
  EXPECT_NE(weights({"mix={ mixup = 0.4 }"}), plain);
  EXPECT_NE(weights({"mix={ cutmix = 1.0 }"}), plain);
  EXPECT_EQ(weights({"mix={ mixup = 0.4, probability = 0 }"}), plain);
}

TEST_F(RatesTest, WhatTheLevelsAreGivenChangesTheirWeights) {
  const auto bissl_weights = [&](const std::vector<std::string>& changes) {
    const Outcome outcome = run_bissl(call("run", changes));
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return read_file(out_ / "small/bissl/head.safetensors") +
           read_file(out_ / "small/bissl/backbone.safetensors");
  };
  const std::string plain = bissl_weights({});
  const std::string never =
      bissl_weights({"--set", "stage.bissl.upper.mix={ mixup = 0.4, probability = 0 }"});
  EXPECT_EQ(never, plain);
  EXPECT_NE(bissl_weights({"--set", "stage.bissl.upper.mix={ mixup = 0.4 }"}), plain);
  EXPECT_NE(bissl_weights({"--set", "stage.bissl.lower.hessian_rounds=2"}), plain);
}

TEST_F(RatesTest, WhatCannotBeIsRefusedBeforeTraining) {
  refused({"rates.groups=[ { match = \"head.fc.wight\", lr_factor = 2 } ]"},
          "match = \"head.fc.wight\" is the name of none");
  refused({"rates.groups=[ { match = \"head.fc.wight\", lr_factor = 2 } ]"}, "head.fc.weight");
  refused({"rates.groups=[ { match = \"*\", frozen = true } ]"}, "nothing to train");
  refused({"rates.weight_decay={ end_factor = 5 }"}, "is 0, and factors leave it there");
  refused({"rates.groups=[ { match = [], lr_factor = 2 } ]"}, "needs a pattern");
  const Outcome bilevel = run_bissl(
      call("check", {"--set",
                     "stage.pretrain.rates.groups=[ { match = \"backbone.conv1.*\", frozen = "
                     "true } ]"}));
  EXPECT_EQ(bilevel.code, 2);
  EXPECT_NE(bilevel.err.find("lower.rates.groups"), std::string::npos) << bilevel.err;
}

}  // namespace
}  // namespace bissl::host::test
