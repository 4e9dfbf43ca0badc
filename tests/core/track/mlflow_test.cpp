#include "track/mlflow.h"

#include "bissl/error.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <httplib.h>

#include <chrono>
#include <fstream>
#include <map>
#include <thread>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// What an MLflow server keeps, and its rules as far as they matter here.
class FakeMlflow {
 public:
  FakeMlflow() {
    server_.Get("/base/api/2.0/mlflow/experiments/get-by-name",
                [this](const httplib::Request& request, httplib::Response& response) {
                  const auto found = experiments.find(request.get_param_value("experiment_name"));
                  response.status = found == experiments.end() ? 404 : 200;
                  response.set_content(
                      found == experiments.end()
                          ? json{{"error_code", "RESOURCE_DOES_NOT_EXIST"}}.dump()
                          : json{{"experiment", {{"experiment_id", found->second}}}}.dump(),
                      "application/json");
                });
    for (const char* call :
         {"experiments/create", "runs/create", "runs/log-batch", "runs/update"}) {
      server_.Post(std::string("/base/api/2.0/mlflow/") + call,
                   [this, call](const httplib::Request& request, httplib::Response& response) {
                     answer(call, json::parse(request.body), response);
                   });
    }
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  ~FakeMlflow() {
    server_.stop();
    thread_.join();
  }

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/base/"; }

  struct Run {
    json created;
    std::map<std::string, std::string> params;
    std::map<std::string, std::string> tags;
    std::map<std::string, std::map<int64_t, json>> metrics;  ///< by key and step
    std::string status;
  };
  std::map<std::string, std::string> experiments;
  std::vector<Run> runs;
  size_t largest_batch = 0;
  size_t repeated = 0;  ///< metrics that came for a step that had one
  int refuse = 0;       ///< the next batches of metrics

 private:
  void answer(const std::string& call, const json& body, httplib::Response& response) {
    json out = json::object();
    if (call == "experiments/create") {
      out["experiment_id"] = experiments[body.at("name")] = "7";
    } else if (call == "runs/create") {
      runs.emplace_back();
      runs.back().created = body;
      out["run"]["info"]["run_id"] = std::to_string(runs.size() - 1);
    } else {
      Run& run = runs.at(std::stoul(body.at("run_id").get<std::string>()));
      if (call == "runs/update") {
        run.status = body.at("status");
      } else if (body.contains("metrics") && refuse > 0) {
        --refuse;
        response.status = 400;
        out = {{"error_code", "INVALID_PARAMETER_VALUE"}, {"message", "no room"}};
      } else {
        log(run, body);
      }
    }
    response.set_content(out.dump(), "application/json");
  }

  void log(Run& run, const json& body) {
    for (const json& metric : body.value("metrics", json::array())) {
      const auto [place, is_new] =
          run.metrics[metric.at("key")].emplace(metric.at("step"), metric.at("value"));
      repeated += is_new ? 0 : 1;
      EXPECT_GT(metric.at("timestamp").get<int64_t>(), 1600000000000) << metric;
    }
    largest_batch = std::max(largest_batch, body.value("metrics", json::array()).size());
    for (const json& param : body.value("params", json::array())) {
      EXPECT_TRUE(run.params.emplace(param.at("key"), param.at("value")).second);
      EXPECT_LE(param.at("value").get<std::string>().size(), 500U);
    }
    EXPECT_LE(body.value("params", json::array()).size(), 100U);
    for (const json& tag : body.value("tags", json::array())) {
      run.tags[tag.at("key")] = tag.at("value");
    }
  }

  httplib::Server server_;
  int port_ = 0;
  std::thread thread_;
};

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
  MlflowExporter::Sent send(const TrackedRun& run) {
    return MlflowExporter(server_.url(), "photos & more").update({run});
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

TEST_F(Mlflow, AnEditedPipelineIsAnotherRun) {
  send(run());
  key_ = std::string(32, 'b');
  EXPECT_EQ(send(run()).metrics, 2);
  EXPECT_EQ(server_.runs.size(), 2U);
}

TEST_F(Mlflow, BatchesAreAsLargeAsTheServerTakes) {
  std::string lines;
  for (int step = 2; step < 1500; ++step) {
    lines += "{\"step\":" + std::to_string(step) + ",\"loss\":1,\"lr_scale\":1}\n";
  }
  append(lines);
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
}

TEST(UrlEncoded, LeavesOnlyPlainCharacters) {
  EXPECT_EQ(url_encoded("a b/ä&=~"), "a%20b%2F%C3%A4%26%3D~");
}

}  // namespace
}  // namespace bissl::host::test
