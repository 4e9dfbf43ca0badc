// A run that was interrupted and continued ends with the same bits as one that was not.

#include "program.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <csignal>
#include <string>
#include <utility>
#include <vector>

namespace bissl::host::test {
namespace {

class ResumeTest : public ::testing::Test {
 protected:
  ResumeTest() { write_file(file_, small_pipeline()); }

  std::vector<std::string> call(const std::filesystem::path& out) const {
    return {"run",
            file_.string(),
            "--out",
            out.string(),
            "--threads",
            "1",
            "--set",
            "stage.finetune.accumulate=2",
            "--set",
            "stage.bissl.upper.accumulate=2",
            "--set",
            "stage.bissl.upper.mix={ mixup = 0.4, cutmix = 1.0 }",
            "--set",
            "stage.bissl.lambda=auto",
            "--set",
            "stage.bissl.upper.lr_factor=auto",
            "--set",
            "stage.finetune.ema_decay=0.9",
            "--set",
            "stage.finetune.optimizer.weight_decay=0.01",
            "--set",
            "stage.finetune.rates={ scaling = \"linear\", weight_decay = { end_factor = 4 }, "
            "momentum = { to = 0.5 }, groups = [ { match = \"head.*\", lr_factor = 2 } ] }",
            "--set",
            "stage.finetune.mix={ mixup = 0.4, cutmix = 1.0 }",
            "--set",
            "stage.finetune.validate={ data = \"labelled\", every = 2, metric = "
            "\"loss\", augment = { use = \"evaluation\", size = 8 } }"};
  }

  TemporaryFolder folder_;
  std::filesystem::path file_ = folder_.path() / "small.toml";
};

class ResumeStageTest : public ResumeTest, public ::testing::WithParamInterface<std::string> {};

void expect_same_weights(const std::filesystem::path& a, const std::filesystem::path& b) {
  for (const char* name :
       {"pretrain/backbone.safetensors", "pretrain/pretext.safetensors",
        "bissl/backbone.safetensors", "bissl/head.safetensors",
        "finetune/repeat-0/head.safetensors", "finetune/repeat-1/backbone.safetensors",
        "baseline/repeat-1/backbone.safetensors", "bissl/events.jsonl"}) {
    EXPECT_TRUE(read_file(a / "small" / name) == read_file(b / "small" / name)) << name;
  }
}

/// Stops the stage twice, at places that the size of its event log tells, then lets it finish.
TEST_P(ResumeStageTest, EndsWithTheSameBits) {
  const std::filesystem::path whole = folder_.path() / "whole";
  const std::filesystem::path broken = folder_.path() / "broken";
  ASSERT_EQ(run_bissl(call(whole)).code, 0);
  const std::filesystem::path log = std::filesystem::path("small") / GetParam() / "events.jsonl";
  const auto size = read_file(whole / log).size();
  int interrupted = 0;
  for (const size_t part : {size / 4, size / 2}) {
    const Outcome outcome = run_bissl_until(call(broken), broken / log, part);
    ASSERT_TRUE(outcome.code == 130 || outcome.code == 0) << outcome.err;
    if (outcome.code == 130) {
      ++interrupted;
      EXPECT_NE(outcome.err.find("continues from it"), std::string::npos);
    }
  }
  EXPECT_GE(interrupted, 1) << "the run was too fast to be interrupted";
  const Outcome last = run_bissl(call(broken));
  ASSERT_EQ(last.code, 0) << last.err;
  expect_same_weights(whole, broken);
}

/// What batch systems, terminals and the system itself send before they end a process.
TEST_F(ResumeTest, EverySignalThatAsksToEndWritesACheckpoint) {
  const std::vector<std::pair<int, std::string>> signals = {
      {SIGHUP, "interrupted by SIGHUP (the terminal is gone)"},
      {SIGUSR1, "interrupted by SIGUSR1"},
      {SIGUSR2, "interrupted by SIGUSR2"},
      {SIGXCPU, "interrupted: the limit on CPU time (ulimit -t) is near"}};
  for (const auto& [signal, cause] : signals) {
    const std::filesystem::path out = folder_.path() / std::to_string(signal);
    std::vector<std::string> words = call(out);
    words.insert(words.end(), {"--set", "stage.pretrain.steps=100000"});
    const Outcome outcome =
        run_bissl_until(words, out / "small" / "pretrain" / "events.jsonl", 1, signal);
    EXPECT_EQ(outcome.code, 130) << outcome.err;
    EXPECT_NE(outcome.err.find(cause + "; a checkpoint is written"), std::string::npos)
        << outcome.err;
    EXPECT_TRUE(std::filesystem::exists(out / "small" / "pretrain" / "checkpoint.safetensors"));
  }
}

TEST_F(ResumeTest, NohupIsRespected) {
  const std::filesystem::path out = folder_.path() / "out";
  const auto previous = std::signal(SIGHUP, SIG_IGN);  // the child has it as well
  const Outcome outcome =
      run_bissl_until(call(out), out / "small" / "pretrain" / "events.jsonl", 1, SIGHUP);
  std::signal(SIGHUP, previous);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
}

INSTANTIATE_TEST_SUITE_P(Stages, ResumeStageTest,
                         ::testing::Values("pretrain", "bissl", "finetune/repeat-1"),
                         [](const auto& info) {
                           return info.param.substr(0, info.param.find('/'));
                         });

TEST_F(ResumeTest, AKilledRunContinues) {
  const std::filesystem::path whole = folder_.path() / "whole";
  const std::filesystem::path broken = folder_.path() / "broken";
  ASSERT_EQ(run_bissl(call(whole)).code, 0);
  const std::filesystem::path log = "small/bissl/events.jsonl";
  const auto size = read_file(whole / log).size();
  const Outcome killed = run_bissl_until(call(broken), broken / log, size / 2, SIGKILL);
  EXPECT_TRUE(killed.code == 128 + SIGKILL || killed.code == 0);
  ASSERT_EQ(run_bissl(call(broken)).code, 0);
  expect_same_weights(whole, broken);
}

/// What a solve depends on besides the models: recorded steps, batches of its own, the last v.
class ResumeSolveTest : public ResumeTest, public ::testing::WithParamInterface<std::string> {};

TEST_P(ResumeSolveTest, ContinuesBetweenAllSteps) {
  write_file(file_, small_pipeline(GetParam()));
  const std::filesystem::path whole = folder_.path() / "whole";
  const std::filesystem::path broken = folder_.path() / "broken";
  ASSERT_EQ(run_bissl(call(whole)).code, 0);
  const std::filesystem::path log = "small/bissl/events.jsonl";
  // Stopped after every line of the log, the stage begins anew between all of its steps.
  const std::string lines = read_file(whole / log);
  int interrupted = 0;
  for (size_t end = lines.find('\n'); end != std::string::npos; end = lines.find('\n', end + 1)) {
    interrupted += run_bissl_until(call(broken), broken / log, end + 1).code == 130 ? 1 : 0;
  }
  EXPECT_GE(interrupted, 3) << "the run was too fast to be interrupted";
  ASSERT_EQ(run_bissl(call(broken)).code, 0);
  expect_same_weights(whole, broken);
}

INSTANTIATE_TEST_SUITE_P(Solvers, ResumeSolveTest,
                         ::testing::Values(R"(use = "unrolled", steps = 3)"));
INSTANTIATE_TEST_SUITE_P(WideSolvers, ResumeSolveTest,
                         ::testing::Values(R"(use = "soba", steps = 2)"));

TEST_F(ResumeTest, ACheckpointCutShortIsNamed) {
  const std::filesystem::path out = folder_.path() / "out";
  const std::filesystem::path log = out / "small/bissl/events.jsonl";
  const Outcome stopped = run_bissl_until(call(out), log, 300);
  ASSERT_EQ(stopped.code, 130) << stopped.err;
  const std::filesystem::path checkpoint = out / "small/bissl/checkpoint.safetensors";
  ASSERT_TRUE(std::filesystem::exists(checkpoint));
  std::filesystem::resize_file(checkpoint, std::filesystem::file_size(checkpoint) / 2);
  const Outcome outcome = run_bissl(call(out));
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("checkpoint.safetensors"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("stage.bissl"), std::string::npos) << outcome.err;
}

}  // namespace
}  // namespace bissl::host::test
