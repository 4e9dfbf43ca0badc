// Runs whose backbones compute in bfloat16, from the pipeline's key to the results.

#include "run_fixture.h"

#include <nlohmann/json.hpp>

#include <cmath>
#include <sstream>

namespace bissl::host::test {
namespace {

class PrecisionTest : public RunTest {
 protected:
  /// Every stage in bfloat16, the hypergradient in `hypergradient`.
  static std::vector<std::string> reduced(const std::string& hypergradient = "fp32") {
    return {"--set", "stage.pretrain.precision=bf16",
            "--set", "stage.bissl.precision=bf16",
            "--set", "stage.bissl.hypergradient_precision=" + hypergradient,
            "--set", "stage.finetune.precision=bf16"};
  }

  std::vector<std::string> reduced_call(const std::filesystem::path& out) const {
    std::vector<std::string> arguments = {"run",        file_.string(), "--out",
                                          out.string(), "--threads",    "1"};
    const std::vector<std::string> more = reduced();
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  nlohmann::json stages() const {
    return nlohmann::json::parse(read_file(out_ / "small" / "results.json")).at("stages");
  }

  /// The numbers of this name in the events of a stage.
  std::vector<double> logged(const std::string& log, const std::string& name) const {
    std::vector<double> values;
    std::istringstream events(read_file(out_ / "small" / log));
    for (std::string line; std::getline(events, line);) {
      const auto event = nlohmann::json::parse(line);
      if (event.contains(name)) {
        EXPECT_TRUE(event.at(name).is_number()) << line;
        values.push_back(event.at(name).is_number() ? event.at(name).get<double>() : NAN);
      }
    }
    return values;
  }
};

TEST_F(PrecisionTest, ARunInBfloat16EndsWithFiniteLossesNearThoseOfSinglePrecision) {
  ASSERT_EQ(run_bissl(call("run")).code, 0);
  const double single = logged("pretrain/events.jsonl", "loss").at(0);
  const Outcome outcome = run_bissl(call("run", reduced()));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const std::vector<double> losses = logged("pretrain/events.jsonl", "loss");
  ASSERT_EQ(losses.size(), 8U);
  EXPECT_NE(losses[0], single) << "nothing was computed in bfloat16";
  EXPECT_NEAR(losses[0], single, 0.1 * single);
  EXPECT_EQ(logged("bissl/events.jsonl", "lower").size(), 9U);
  EXPECT_EQ(logged("bissl/events.jsonl", "upper").size(), 6U);
  EXPECT_EQ(logged("finetune/repeat-1/events.jsonl", "loss").size(), 6U);
  EXPECT_TRUE(logged("finetune/repeat-1/events.jsonl", "loss_scale").empty())
      << "bfloat16 needs none";
  EXPECT_TRUE(stages()["finetune"]["metrics"]["test"]["top1"]["mean"].is_number())
      << stages()["finetune"].dump();
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool is_slow = !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512vl") ||
                       !__builtin_cpu_supports("avx512dq");
  EXPECT_EQ(outcome.err.find("this processor has no AVX-512") != std::string::npos, is_slow)
      << outcome.err;
#endif
}

TEST_F(PrecisionTest, KeysAreThoseWithoutItInSinglePrecisionOnly) {
  ASSERT_EQ(run_bissl(call("run")).code, 0);
  const auto kept = [&](const std::string& precision) {
    const Outcome outcome =
        run_bissl(call("run", {"--set", "stage.pretrain.precision=" + precision}));
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return outcome.err.find("pretrain: already in the store, not run again") != std::string::npos;
  };
  EXPECT_TRUE(kept("fp32"));
  EXPECT_FALSE(kept("bf16"));
  EXPECT_TRUE(kept("bf16")) << "which has a key of its own";
}

TEST_F(PrecisionTest, AnInterruptedRunEndsWithTheSameBits) {
  const std::filesystem::path whole = folder_.path() / "whole";
  const std::filesystem::path broken = folder_.path() / "broken";
  ASSERT_EQ(run_bissl(reduced_call(whole)).code, 0);
  int interrupted = 0;
  for (const char* stage : {"pretrain", "bissl", "finetune/repeat-0"}) {
    const std::filesystem::path log = std::filesystem::path("small") / stage / "events.jsonl";
    const size_t half = read_file(whole / log).size() / 2;
    interrupted += run_bissl_until(reduced_call(broken), broken / log, half).code == 130 ? 1 : 0;
  }
  EXPECT_GE(interrupted, 1) << "the run was too fast to be interrupted";
  ASSERT_EQ(run_bissl(reduced_call(broken)).code, 0);
  for (const char* name : {"pretrain/backbone.safetensors", "bissl/backbone.safetensors",
                           "bissl/events.jsonl", "finetune/repeat-0/backbone.safetensors"}) {
    EXPECT_TRUE(read_file(whole / "small" / name) == read_file(broken / "small" / name)) << name;
  }
}

/// The audit's reference is of the loss in double precision, whatever the products are of.
TEST_F(PrecisionTest, AnAuditSaysWhatProductsInBfloat16Cost) {
  const auto audit = [&](const std::string& hypergradient) {
    std::vector<std::string> more = reduced(hypergradient);
    more.insert(more.end(),
                {"--set", "stage.bissl.audit.every=2", "--set", "stage.bissl.audit.iterations=20"});
    const Outcome outcome = run_bissl(call("run", more));
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_NE(outcome.out.find("v is of passes in " + hypergradient), std::string::npos)
        << outcome.out;
    return stages()["bissl"]["solves"]["audit"];
  };
  const nlohmann::json exact = audit("fp32");
  const nlohmann::json rough = audit("bf16");
  EXPECT_EQ(exact["precision"], "fp32");
  EXPECT_EQ(rough["precision"], "bf16");
  EXPECT_EQ(rough["audits"], 3);
  EXPECT_NE(rough["mean_residual"], exact["mean_residual"]);
  EXPECT_GT(rough["mean_cosine"].get<double>(), 0.3) << "of a network with two channels";
}

/// The same weights scored in both precisions.
TEST_F(PrecisionTest, ScoresInBfloat16AreNearThoseInSinglePrecision) {
  write_file(file_, small_pipeline() + R"(
[stage.single]
kind    = "evaluate"
from    = "finetune"
data    = "test"
augment = { use = "evaluation", size = 8 }

[stage.reduced]
like      = "single"
precision = "bf16"

[stage.near]
kind      = "knn"
from      = "bissl"
bank      = "labelled"
data      = "test"
augment   = { use = "evaluation", size = 8 }
k         = 5
precision = "bf16"

[stage.look]
kind    = "analyse"
from    = "bissl"
data    = "test"
augment = { use = "evaluation", size = 8 }
figures = ["uniformity", "rankme"]

[stage.rough_look]
like      = "look"
precision = "bf16"
)");
  const Outcome outcome = run_bissl(call("run"));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const nlohmann::json all = stages();
  const auto loss = [&](const std::string& stage) {
    return all.at(stage).at("metrics").at("test").at("loss").at("mean").get<double>();
  };
  EXPECT_NE(loss("reduced"), loss("single")) << "nothing was computed in bfloat16";
  EXPECT_NEAR(loss("reduced"), loss("single"), 0.05 * loss("single"));
  EXPECT_TRUE(all.at("near").at("metrics").contains("test"));
  const auto rank = [&](const std::string& stage) {
    return all.at(stage).at("metrics").at("test").at("rankme").at("mean").get<double>();
  };
  EXPECT_NE(rank("rough_look"), rank("look")) << "nothing was computed in bfloat16";
  EXPECT_NEAR(rank("rough_look"), rank("look"), 0.5 * rank("look"));
  const Outcome single = run_bissl(call("run", {"--set", "stage.look.precision=fp32"}));
  EXPECT_NE(single.err.find("look: already in the store, not run again"), std::string::npos)
      << single.err;
}

TEST_F(PrecisionTest, AnUnknownPrecisionIsRefusedWhereItStands) {
  std::string text = small_pipeline();
  replace_first(text, "steps     = 8", "steps     = 8\nprecision = \"fp8\"");
  write_file(file_, text);
  const Outcome outcome = run_bissl(call("check"));
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("stage.pretrain.precision: \"fp8\" is not among the choices"),
            std::string::npos)
      << outcome.err;
  EXPECT_NE(outcome.err.find("small.toml:35:13"), std::string::npos) << outcome.err;
}

}  // namespace
}  // namespace bissl::host::test
