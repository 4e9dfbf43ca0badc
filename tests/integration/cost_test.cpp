// What a run says of its cost: profiles, the choice of threads, batches beyond memory.

#include "run_fixture.h"
#include "support/sanitizers.h"

#include <nlohmann/json.hpp>
#include <regex>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class CostTest : public RunTest {};

bool has_row(const std::string& tables, const std::string& row) {
  return std::regex_search(tables, std::regex("\n" + row + " "));
}

TEST_F(CostTest, AProfileHasPhasesOperationsAndATraceOfEachStage) {
  ASSERT_EQ(run_bissl(call("run", {"--profile", "--unset", "stage.baseline"})).code, 0);
  const fs::path folder = out_ / "small" / "profile";
  const std::string pretrain = read_file(folder / "pretrain.txt");
  for (const char* row : {"step +8", "wait for a batch +8", "forward +8", "backward +8",
                          "optimizer +8", "aten::convolution +[0-9]+"}) {
    EXPECT_TRUE(has_row(pretrain, row)) << row << "\n" << pretrain;
  }
  const std::string bissl = read_file(folder / "bissl.txt");
  for (const char* row : {"solve +6", "Hessian product +[0-9]+", "upper gradient +12"}) {
    EXPECT_TRUE(has_row(bissl, row)) << row << "\n" << bissl;
  }
  const json trace = json::parse(read_file(folder / "finetune.trace.json"));
  EXPECT_GT(trace.at("traceEvents").size(), 100U);

  const Outcome again = run_bissl(call("run", {"--profile", "--unset", "stage.baseline"}));
  EXPECT_EQ(again.code, 0);
  EXPECT_NE(again.err.find("all stages are in the store"), std::string::npos) << again.err;
}

TEST_F(CostTest, AutomaticThreadsTrainWhatTheirNumberTrains) {
  const auto run = [&](const std::string& out, const std::string& threads) {
    const Outcome outcome =
        run_bissl({"run", file_.string(), "--out", (folder_.path() / out).string(), "--threads",
                   threads, "--set", "stage.pretrain.steps=40", "--unset", "stage.bissl", "--unset",
                   "stage.finetune", "--unset", "stage.baseline"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return outcome;
  };
  run("automatic", "auto:2");
  const json stages =
      json::parse(read_file(folder_.path() / "automatic" / "small" / "results.json"))["stages"];
  const int chosen = stages["pretrain"]["environments"].back()["threads"]["compute"].get<int>();
  EXPECT_GE(chosen, 1);
  EXPECT_LE(chosen, 2);
  run("fixed", std::to_string(chosen));
  const auto weights = [&](const char* out) {
    return read_file(folder_.path() / out / "small" / "pretrain" / "backbone.safetensors");
  };
  EXPECT_TRUE(weights("automatic") == weights("fixed"));
}

TEST_F(CostTest, WrongNumbersOfThreadsAreRefused) {
  for (const char* text : {"automatic", "auto:0"}) {
    const Outcome outcome = run_bissl(
        {"check", file_.string(), "--out", out_.string(), std::string("--threads=") + text});
    EXPECT_EQ(outcome.code, 2) << text;
    EXPECT_NE(outcome.err.find("expected auto"), std::string::npos) << text << outcome.err;
  }
}

/// Far beyond it, and so near that what is mapped already, the loader's batches and what the
/// process takes beside tensors decide.
TEST_F(CostTest, ABatchBeyondMemoryIsRefusedBeforeItIsTried) {
  if (sanitized) {
    GTEST_SKIP() << "a sanitizer reserves terabytes of address space";
  }
  const auto refused = [&](const std::vector<std::string>& keys, const std::string& batch) {
    std::vector<std::string> words = call("run");
    for (const std::string& key : keys) {
      words.insert(words.end(), {"--set", "stage." + key + "=" + batch});
    }
    const Outcome outcome = run_bissl_under("ulimit -v 2000000", words);
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    for (const std::string& key : keys) {
      const std::string in_stage = key.substr(key.find('.') + 1);
      EXPECT_NE(outcome.err.find(in_stage + " = " + batch + ": a step on such a batch takes about"),
                std::string::npos)
          << key << outcome.err;
    }
    EXPECT_NE(outcome.err.find("address space, which `ulimit -v` limits"), std::string::npos)
        << outcome.err;
  };
  for (const char* batch : {"100000", "400000"}) {
    refused({"pretrain.batch", "finetune.batch"}, batch);
    refused({"bissl.upper.batch"}, batch);
    refused({"bissl.lower.hessian_batch"}, batch);
  }
}

/// Features, and distances between them, grow with the samples.
TEST_F(CostTest, FiguresBeyondMemoryAreRefusedBeforeTheyAreComputed) {
  if (sanitized) {
    GTEST_SKIP() << "a sanitizer reserves terabytes of address space";
  }
  write_file(file_, small_pipeline() + R"(
[data.many]
use     = "synthetic"
samples = 400000
size    = 8

[stage.look]
kind    = "analyse"
from    = "pretrain"
data    = "many"
augment = { use = "evaluation", size = 8 }
figures = ["rankme", "uniformity"]
)");
  const auto check = [&](const std::string& samples) {
    return run_bissl_under(
        "ulimit -v 2000000",
        call("check", {"--set", "stage.look.samples=" + samples, "--unset", "stage.bissl",
                       "--unset", "stage.finetune", "--unset", "stage.baseline"}));
  };
  const Outcome all = check("400000");
  EXPECT_EQ(all.code, 2) << all.err;
  EXPECT_NE(
      all.err.find("samples = 400000: what is kept and computed of 16 features of each takes"),
      std::string::npos)
      << all.err;
  const Outcome some = check("2000");
  EXPECT_EQ(some.code, 0) << some.err;
}

/// A monitor's pass of images and its figures are no step of the stage.
TEST_F(CostTest, ALookBeyondMemoryIsRefusedBeforeItIsTried) {
  if (sanitized) {
    GTEST_SKIP() << "a sanitizer reserves terabytes of address space";
  }
  write_file(file_, small_pipeline() + R"(
[data.many]
use     = "synthetic"
samples = 500000
size    = 8

[stage.pretrain.monitor]
data    = "many"
every   = 4
augment = { use = "evaluation", size = 16 }
)");
  const auto check = [&](const std::string& samples, const std::string& key) {
    return run_bissl_under(
        "ulimit -v 1900000",
        call("check", {"--set", "stage.pretrain.monitor.samples=" + samples, "--set",
                       "stage.pretrain.monitor." + key, "--unset", "stage.bissl", "--unset",
                       "stage.finetune", "--unset", "stage.baseline"}));
  };
  const std::string uniformity = "figures=[\"uniformity\"]";
  const Outcome figures = check("500000", uniformity);
  EXPECT_EQ(figures.code, 2) << figures.err;
  EXPECT_NE(figures.err.find("monitor.samples = 500000: what a look keeps and computes of 16 "
                             "features of each takes"),
            std::string::npos)
      << figures.err;
  const Outcome pass = check("500000", "batch=500000");
  EXPECT_EQ(pass.code, 2) << pass.err;
  EXPECT_NE(pass.err.find("monitor.batch = 500000: a step on such a batch takes about"),
            std::string::npos)
      << pass.err;
  const Outcome fits = check("2000", uniformity);
  EXPECT_EQ(fits.code, 0) << fits.err;
}

TEST_F(CostTest, FeaturesOfABatchBeyondMemoryAreRefusedBeforeItIsMade) {
  if (sanitized) {
    GTEST_SKIP() << "a sanitizer reserves terabytes of address space";
  }
  write_file(file_, small_pipeline() + R"(
[data.many]
use     = "synthetic"
samples = 1100000
size    = 8
)");
  const std::vector<std::string> pretraining = {"--unset",        "stage.bissl", "--unset",
                                                "stage.finetune", "--unset",     "stage.baseline"};
  ASSERT_EQ(run_bissl(call("run", pretraining)).code, 0);
  const std::filesystem::path file = folder_.path() / "features.npy";
  std::vector<std::string> words = call("features", pretraining);
  words.insert(words.end(), {"--stage", "pretrain", "--data", "many", "--views", "pretrain", "--to",
                             file.string(), "--batch", "1000000"});
  const Outcome outcome = run_bissl_under("ulimit -v 2000000", words);
  EXPECT_EQ(outcome.code, 2) << outcome.err;
  EXPECT_NE(outcome.err.find("--batch = 1000000: a step on such a batch takes about"),
            std::string::npos)
      << outcome.err;
  EXPECT_FALSE(std::filesystem::exists(file));
}

/// The vectors that a solve keeps are counted before the training; what keeps none may make as many
/// products.
TEST_F(CostTest, VectorsOfASolveBeyondMemoryAreRefusedBeforeItIsMade) {
  if (sanitized) {
    GTEST_SKIP() << "a sanitizer reserves terabytes of address space";
  }
  const auto check = [&](const std::string& hypergradient) {
    return run_bissl_under("ulimit -v 3000000",
                           call("check", {"--set", "model.backbone.width=8", "--set",
                                          "stage.bissl.hypergradient={" + hypergradient + "}"}));
  };
  for (const auto& [use, keys] :
       {std::pair<std::string, std::string>("nystrom", "rank = 5000"),
        std::pair<std::string, std::string>("nystrom",
                                            "rank = 5000, products = \"central-difference\""),
        std::pair<std::string, std::string>("gmres", "iterations = 5000")}) {
    const Outcome outcome = check("use = \"" + use + "\", " + keys);
    EXPECT_EQ(outcome.code, 2) << use << keys << outcome.err;
    EXPECT_NE(outcome.err.find("hypergradient.use = \"" + use + "\": what it keeps of up to "),
              std::string::npos)
        << use << keys << outcome.err;
  }
  const Outcome cg = check("use = \"cg\", iterations = 5000");
  EXPECT_EQ(cg.code, 0) << cg.err;
}

}  // namespace
}  // namespace bissl::host::test
