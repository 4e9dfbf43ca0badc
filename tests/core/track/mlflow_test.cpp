#include "track/mlflow.h"

#include "bissl/error.h"
#include "core/track/fake_mlflow.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <fstream>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

class Mlflow : public testing::Test {
 protected:
  Mlflow() {
    write_file(log_,
               "{\"step\":0,\"loss\":2.5}\n{\"step\":1,\"loss\":null,\"not_finite\":{\"loss\":"
               "\"-inf\"}}\n");
    write_file(folder_.path() / "pipeline.lock.toml",
               "name = \"a\"\nseed = 3\n[stage.pretrain]\nsteps = 8\nlist = [1, 2]\nlong = \"" +
                   std::string(600, 'x') + "\"\n[lock]\nidentity = \"1\"\n");
  }

  TrackedRun run(bool finished = false) const {
    TrackedRun run{.name = "a", .folder = folder_.path(), .logs = {}};
    run.logs = {{"pretrain", "", key_, finished, log_}};
    return run;
  }
  MlflowExporter::Sent send(const TrackedRun& run, int patience = 60) {
    return MlflowExporter(server_.url(), "photos & more", patience).update({run});
  }
  /// Why nothing more could be sent.
  std::string refusal(const TrackedRun& run, int patience = 60) {
    try {
      send(run, patience);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::run);
      return error.what();
    }
    ADD_FAILURE() << "nothing went wrong";
    return "";
  }
  /// As many further steps, with two values each.
  void append_steps(int from, int until) const {
    std::string lines;
    for (int step = from; step < until; ++step) {
      lines += "{\"step\":" + std::to_string(step) + ",\"loss\":1,\"lr_scale\":1}\n";
    }
    append(lines);
  }
  void append(const std::string& text) const { std::ofstream(log_, std::ios::app) << text; }

  FakeMlflow server_;
  TemporaryFolder folder_;
  fs::path log_ = folder_.path() / "events.jsonl";
  std::string key_ = std::string(32, 'a');
};

TEST_F(Mlflow, RunHasMetricsParamsAndTags) {
  EXPECT_EQ(send(run()).metrics, 2);
  EXPECT_EQ(server_.experiments, (std::map<std::string, std::string>{{"photos & more", "7"}}));
  ASSERT_EQ(server_.runs.size(), 1U);
  const FakeMlflow::Run& sent = server_.runs[0];
  EXPECT_EQ(sent.created.at("run_name"), "a");
  EXPECT_EQ(sent.created.at("experiment_id"), "7");
  EXPECT_EQ(sent.status, "RUNNING");
  EXPECT_EQ(sent.metrics.at("pretrain/loss").at(0), 2.5);
  EXPECT_EQ(sent.metrics.at("pretrain/loss").at(1), "-Infinity");
  EXPECT_EQ(sent.params.at("seed"), "3");
  EXPECT_EQ(sent.params.at("stage.pretrain.steps"), "8");
  EXPECT_EQ(sent.params.at("stage.pretrain.list"), "[1,2]");
  EXPECT_EQ(sent.params.count("lock.identity"), 0U);
  EXPECT_EQ(sent.tags.at("bissl.stage/pretrain"), key_);
}

TEST_F(Mlflow, LaterCallsSendWhatIsNew) {
  send(run());
  EXPECT_EQ(send(run()).metrics, 0);
  append("{\"step\":2,\"loss\":1}\n");
  EXPECT_EQ(send(run()).metrics, 1);
  // The stage continues from a checkpoint behind its first step.
  write_file(log_, "{\"step\":0,\"loss\":2.5}\n{\"step\":1,\"loss\":2}\n");
  EXPECT_EQ(send(run()).metrics, 0);
  append("{\"step\":2,\"loss\":1}\n{\"step\":3,\"loss\":0.5}\n");
  TrackedRun finished = run(true);
  StageResults stage;
  stage.metrics.push_back(
      summarised({.data = "test", .metric = "top1", .higher_is_better = true, .values = {0.75}}));
  finished.results.emplace();
  finished.results->stages["pretrain"] = stage;
  write_file(folder_.path() / "results.json", "{}");
  EXPECT_EQ(send(finished).metrics, 2);
  EXPECT_EQ(send(finished).metrics, 0);
  ASSERT_EQ(server_.runs.size(), 1U);
  EXPECT_EQ(server_.repeated, 0U);
  EXPECT_EQ(server_.runs[0].metrics.at("pretrain/loss").size(), 4U);
  EXPECT_EQ(server_.runs[0].metrics.at("pretrain.test.top1").at(0), 0.75);
  EXPECT_EQ(server_.runs[0].status, "FINISHED");
}

TEST_F(Mlflow, ARefusalIsReportedAndWhatItConcernedIsSentAgain) {
  server_.refuse = 1;
  try {
    send(run());
    FAIL() << "a refusal went unnoticed";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("no room"), std::string::npos) << error.what();
  }
  EXPECT_EQ(send(run()).metrics, 2);
  EXPECT_EQ(server_.runs.size(), 1U);
  EXPECT_EQ(server_.repeated, 0U);
}

/// Whatever comes instead of an answer to the second batch: the first one is not sent again.
TEST_F(Mlflow, WhatWasTakenBeforeAFaultIsNotSentAgain) {
  append_steps(2, 1500);
  struct Case {
    FakeMlflow::Manner manner;
    const char* words;
  };
  int64_t sent = 0;
  for (const Case& one : {Case{FakeMlflow::Manner::by_error, "status 500"},
                          Case{FakeMlflow::Manner::by_page, "what is no answer of MLflow's"}}) {
    server_.manner = one.manner;
    server_.good_batches = 1;
    const std::string words = refusal(run());
    EXPECT_NE(words.find(one.words), std::string::npos) << words;
    EXPECT_NE(words.find("log in"), std::string::npos) << words;
    EXPECT_GT(server_.taken.load(), sent);
    sent = server_.taken.load();
  }
  server_.manner = FakeMlflow::Manner::well;
  EXPECT_EQ(send(run()).metrics, 2 + 2 * 1498 - sent);
  EXPECT_EQ(server_.taken.load(), 2 + 2 * 1498);
  EXPECT_EQ(server_.repeated, 0U);
  EXPECT_EQ(server_.runs.size(), 1U);
}

TEST_F(Mlflow, AServerThatSaysNothingIsGivenUp) {
  server_.manner = FakeMlflow::Manner::never;
  const std::string words = refusal(run(), 1);
  EXPECT_NE(words.find("does not answer"), std::string::npos) << words;
  server_.manner = FakeMlflow::Manner::well;
  EXPECT_EQ(send(run()).metrics, 2);
  EXPECT_EQ(server_.runs.size(), 1U);
}

/// Scores were sent, and the word that the run is over was not heard.
TEST_F(Mlflow, ScoresAreSentOnce) {
  TrackedRun finished = run(true);
  StageResults stage;
  stage.metrics.push_back(
      summarised({.data = "test", .metric = "top1", .higher_is_better = true, .values = {0.75}}));
  finished.results.emplace();
  finished.results->stages["pretrain"] = stage;
  write_file(folder_.path() / "results.json", "{}");
  server_.refused_updates = 1;
  EXPECT_NE(refusal(finished).find("no status"), std::string::npos);
  EXPECT_EQ(server_.taken.load(), 3);
  EXPECT_EQ(send(finished).metrics, 0);
  EXPECT_EQ(server_.repeated, 0U);
  EXPECT_EQ(server_.runs.at(0).status, "FINISHED");
}

TEST_F(Mlflow, AnEditedPipelineIsAnotherRun) {
  send(run());
  key_ = std::string(32, 'b');
  EXPECT_EQ(send(run()).metrics, 2);
  EXPECT_EQ(server_.runs.size(), 2U);
}

TEST_F(Mlflow, BatchesAreAsLargeAsTheServerTakes) {
  append_steps(2, 1500);
  EXPECT_EQ(send(run()).metrics, 2 + 2 * 1498);
  EXPECT_LE(server_.largest_batch, 1000U);
  EXPECT_GE(server_.largest_batch, 990U);
}

TEST_F(Mlflow, WhatIsNoServerIsNamed) {
  for (const char* url : {"", "localhost:5000", "ftp://a", "http://", "http://a b", "http://a?b",
                          "file:///etc/passwd", "http://user:secret@host/"}) {
    EXPECT_THROW(MlflowExporter(url, "a"), Error) << url;
  }
  EXPECT_THROW(MlflowExporter("http://127.0.0.1:1", "a").update({run()}), Error);
  EXPECT_FALSE(fs::exists(folder_.path() / ".mlflow.json"));
  // It listens there, and knows no such calls.
  const std::string other = server_.url().substr(0, server_.url().size() - 5) + "elsewhere";
  try {
    MlflowExporter(other, "a").update({run()});
    FAIL() << "a page that is not there was taken for an answer";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("status 404"), std::string::npos) << error.what();
  }
}

TEST(UrlEncoded, LeavesOnlyPlainCharacters) {
  EXPECT_EQ(url_encoded("a b/ä&=~"), "a%20b%2F%C3%A4%26%3D~");
}

}  // namespace
}  // namespace bissl::host::test
