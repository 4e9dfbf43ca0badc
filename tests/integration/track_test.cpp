// Runs followed by other programs.

#include "run_fixture.h"

#include "core/track/fake_mlflow.h"
#include "track/tensorboard_format.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

class TrackTest : public RunTest {
 protected:
  TrackTest() {
    const std::string whole = small_pipeline();
    write_file(file_, whole.substr(0, whole.find("[stage.bissl]")) + R"([stage.pretrain.monitor]
data      = "labelled"
augment   = { use = "evaluation", size = 8 }
samples   = 32
every     = 2
figures   = ["knn", "rankme"]
keep_best = "rankme"
)");
  }

  /// How many events the one event file in a folder has.
  static int64_t events_in(const fs::path& folder) {
    std::vector<fs::path> files;
    for (const auto& item : fs::directory_iterator(folder)) {
      files.push_back(item.path());
    }
    EXPECT_EQ(files.size(), 1U);
    const std::string bytes = read_file(files.front());
    const RecordScan scan = scan_records(bytes);
    EXPECT_EQ(scan.end, bytes.size());
    return std::count_if(scan.records.begin(), scan.records.end(),
                         [](const RecordScan::Record& record) { return record.has_summary; });
  }

  fs::path run_ = out_ / "small";
};

TEST_F(TrackTest, AnInterruptedRunContinuesWithItsMonitorAndItsFiles) {
  const fs::path whole = folder_.path() / "whole";
  ASSERT_EQ(run_bissl({"run", file_.string(), "--out", whole.string(), "--threads", "1"}).code, 0);
  const std::vector<std::string> run = call("run", {"--tensorboard"});
  const Outcome stopped = run_bissl_until(run, run_ / "pretrain" / "events.jsonl", 1);
  ASSERT_TRUE(stopped.code == 130 || stopped.code == 0) << stopped.err;
  const Outcome outcome = run_bissl(run);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  for (const char* file : {"events.jsonl", "backbone.safetensors", "pretext.safetensors"}) {
    EXPECT_TRUE(read_file(run_ / "pretrain" / file) ==
                read_file(whole / "small" / "pretrain" / file))
        << file;
  }
  EXPECT_EQ(events_in(run_ / "tensorboard" / "pretrain"), 8);  // each step once
  EXPECT_NE(outcome.err.find("TensorBoard's files: " + (run_ / "tensorboard").string()),
            std::string::npos)
      << outcome.err;
  const Outcome track = run_bissl({"track", out_.string(), "--tensorboard", "--to",
                                   (folder_.path() / "elsewhere").string(), "--json"});
  ASSERT_EQ(track.code, 0) << track.err;
  const auto said = nlohmann::json::parse(track.out).at("tensorboard");
  EXPECT_EQ(said.at("logs"), 1);
  EXPECT_EQ(said.at("events"), 8);
  EXPECT_EQ(events_in(folder_.path() / "elsewhere" / "small" / "pretrain"), 8);
}

/// What an event log has for MLflow: the values by key and step.
std::map<std::string, std::map<int64_t, double>> values_in(const fs::path& log,
                                                           const std::string& stage) {
  std::map<std::string, std::map<int64_t, double>> values;
  std::istringstream lines(read_file(log));
  for (std::string line; std::getline(lines, line);) {
    const auto event = nlohmann::json::parse(line);
    const auto step = event.at("step").get<int64_t>();
    const auto add = [&](const std::string& key, const nlohmann::json& value) {
      if (value.is_number()) {
        values[stage + "/" + key][step] = value.get<double>();
      }
    };
    for (const auto& [key, value] : event.items()) {
      if (value.is_object()) {
        for (const auto& [name, number] : value.items()) {
          add(key + "/" + name, number);
        }
      } else if (key != "step") {
        add(key, value);
      }
    }
  }
  return values;
}

/// A run with a log of 1,500 steps, which nothing computes at present.
class MlflowCallTest : public ::testing::Test {
 protected:
  MlflowCallTest() {
    const fs::path stage = folder_.path() / ".store" / (std::string(32, 'a') + ".partial");
    fs::create_directories(stage);
    fs::create_directories(run_);
    write_file(run_ / "pipeline.lock.toml", "name = \"long\"\n");
    fs::create_directory_symlink(stage, run_ / "pretrain");
    append(0, 1500);
  }

  void append(int from, int until) const {
    std::ofstream log(run_ / "pretrain" / "events.jsonl", std::ios::app);
    for (int step = from; step < until; ++step) {
      log << "{\"step\":" << step << ",\"loss\":1,\"lr_scale\":1}\n";
    }
  }
  std::vector<std::string> call(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {"track", run_.string(), "--mlflow", server_.url()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  /// Waits until it is so, or half a minute has passed.
  template <class Condition>
  static bool comes_true(const Condition& condition) {
    for (int i = 0; i < 600 && !condition(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return condition();
  }

  FakeMlflow server_;
  TemporaryFolder folder_;
  fs::path run_ = folder_.path() / "long";
};

TEST_F(TrackTest, MlflowGetsAllThatARunHas) {
  ASSERT_EQ(run_bissl(call("run")).code, 0);
  FakeMlflow server;
  const std::vector<std::string> track = {"track",  out_.string(),  "--mlflow", server.url(),
                                          "--json", "--experiment", "small"};
  const Outcome outcome = run_bissl(track);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(server.experiments, (std::map<std::string, std::string>{{"small", "7"}}));
  ASSERT_EQ(server.runs.size(), 1U);
  const FakeMlflow::Run& sent = server.runs.front();
  EXPECT_EQ(sent.created.at("run_name"), "small");
  EXPECT_EQ(sent.status, "FINISHED");
  EXPECT_EQ(sent.params.at("seed"), "3");
  EXPECT_EQ(sent.params.at("stage.pretrain.kind"), "pretrain");
  EXPECT_EQ(sent.params.at("stage.pretrain.steps"), "8");
  EXPECT_EQ(sent.params.at("stage.pretrain.optimizer.lr"), "0.5");
  EXPECT_EQ(sent.tags.at("bissl.stage/pretrain"),
            fs::read_symlink(run_ / "pretrain").filename().string());
  const auto expected = values_in(run_ / "pretrain" / "events.jsonl", "pretrain");
  ASSERT_EQ(expected.count("pretrain/loss"), 1U);
  ASSERT_EQ(expected.count("pretrain/monitor/rankme"), 1U);
  EXPECT_EQ(expected.at("pretrain/loss").size(), 8U);
  int64_t count = 0;
  for (const auto& [key, values] : expected) {
    ASSERT_EQ(sent.metrics.count(key), 1U) << key;
    EXPECT_EQ(sent.metrics.at(key).size(), values.size()) << key;
    for (const auto& [step, value] : values) {
      EXPECT_EQ(sent.metrics.at(key).at(step).get<double>(), value) << key << " at " << step;
    }
    count += static_cast<int64_t>(values.size());
  }
  const auto said = nlohmann::json::parse(outcome.out).at("mlflow");
  EXPECT_EQ(said.at("runs"), 1);
  EXPECT_GE(said.at("metrics").get<int64_t>(), count);
  EXPECT_EQ(said.at("metrics").get<int64_t>(), server.taken.load());

  const Outcome again = run_bissl(track);
  EXPECT_EQ(nlohmann::json::parse(again.out).at("mlflow").at("metrics"), 0) << again.err;
  EXPECT_EQ(server.runs.size(), 1U);
  EXPECT_EQ(server.repeated, 0U);
}

TEST_F(TrackTest, MlflowGetsARunForEachCellOfASweep) {
  write_file(file_, small_pipeline() +
                        "\n[stage.quick]\nlike = \"finetune\"\nfrom = \"pretrain\"\n"
                        "repeats = 1\nsteps = 2\n");
  const fs::path grid = folder_.path() / "grid.toml";
  write_file(grid, R"(pipeline = "small.toml"
metric = "quick.test.top1"
stages = ["quick"]
[axes]
"stage.quick.steps" = [2, 3]
seed = [0]
)");
  const Outcome sweep =
      run_bissl({"sweep", grid.string(), "--out", out_.string(), "--threads", "1"});
  ASSERT_EQ(sweep.code, 0) << sweep.err;
  FakeMlflow server;
  const std::vector<std::string> track = {"track", (out_ / "grid").string(), "--mlflow",
                                          server.url()};
  const Outcome outcome = run_bissl(track);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  ASSERT_EQ(server.runs.size(), 2U);
  std::set<std::string> steps;
  for (const FakeMlflow::Run& cell : server.runs) {
    const auto name = cell.created.at("run_name").get<std::string>();
    ASSERT_TRUE(name.starts_with("grid/")) << name;
    steps.insert(cell.params.at("axis/steps"));
    EXPECT_EQ(cell.params.at("axis/steps"), cell.params.at("stage.quick.steps"));
    EXPECT_EQ(cell.params.at("axis/seed"), "0");
    EXPECT_EQ(cell.status, "FINISHED") << name;
    const auto setting = nlohmann::json(
        {{"key", "bissl.setting"}, {"value", "steps=" + cell.params.at("axis/steps")}});
    const nlohmann::json& tags = cell.created.at("tags");
    EXPECT_NE(std::find(tags.begin(), tags.end(), setting), tags.end()) << tags;
    const fs::path folder = out_ / "grid" / "cells" / name.substr(5);
    const auto results = nlohmann::json::parse(read_file(folder / "results.json"));
    EXPECT_EQ(cell.metrics.at("quick.test.top1").at(0),
              results.at("stages").at("quick").at("metrics").at("test").at("top1").at("mean"));
    // What cells share, each has in MLflow.
    EXPECT_EQ(cell.metrics.at("pretrain/loss").size(), 8U) << name;
  }
  EXPECT_EQ(steps, (std::set<std::string>{"2", "3"}));
  const int64_t before = server.taken;
  EXPECT_EQ(run_bissl(track).code, 0);
  EXPECT_EQ(server.taken.load(), before);
  EXPECT_EQ(server.runs.size(), 2U);
}

/// A server that fails, then one that says nothing until the call is killed: no step is sent twice.
TEST_F(MlflowCallTest, AnInterruptedCallIsContinuedByTheNext) {
  server_.manner = FakeMlflow::Manner::by_error;
  server_.good_batches = 1;
  const Outcome failed = run_bissl(call());
  EXPECT_EQ(failed.code, 1);
  EXPECT_NE(failed.err.find("(status 500)"), std::string::npos) << failed.err;
  server_.in_vain = 0;
  server_.good_batches = 1;
  server_.manner = FakeMlflow::Manner::never;
  BackgroundCall hanging(call());
  EXPECT_TRUE(comes_true([this] { return server_.in_vain > 0; }));
  hanging.signal(SIGKILL);
  EXPECT_EQ(hanging.wait().code, 128 + SIGKILL);
  server_.manner = FakeMlflow::Manner::well;
  const Outcome outcome = run_bissl(call());
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(server_.runs.size(), 1U);
  EXPECT_EQ(server_.taken.load(), 3000);
  EXPECT_EQ(server_.repeated, 0U);
  EXPECT_EQ(server_.runs.at(0).metrics.at("pretrain/loss").size(), 1500U);
}

TEST_F(MlflowCallTest, FollowingEndsWithTheUserAndNotWithTheServer) {
  BackgroundCall following(call({"--follow"}));
  EXPECT_TRUE(comes_true([this] { return server_.taken == 3000; }));
  server_.manner = FakeMlflow::Manner::by_error;
  append(1500, 1600);
  EXPECT_TRUE(comes_true([this] { return server_.in_vain > 0; }));
  server_.manner = FakeMlflow::Manner::well;
  EXPECT_TRUE(comes_true([this] { return server_.taken == 3200; }));
  EXPECT_TRUE(
      comes_true([&] { return following.said().find("answers again") != std::string::npos; }));
  following.signal(SIGINT);
  const Outcome outcome = following.wait();
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("(status 500)"), std::string::npos) << outcome.err;
  EXPECT_EQ(server_.repeated, 0U);
}

TEST_F(TrackTest, WrongCallsAreRefused) {
  const Outcome none = run_bissl({"track", folder_.path().string()});
  EXPECT_EQ(none.code, 2);
  EXPECT_NE(none.err.find("--tensorboard, --mlflow URL"), std::string::npos) << none.err;
  const Outcome outcome = run_bissl({"serve", folder_.path().string()});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("has no runs"), std::string::npos) << outcome.err;
}

/// A socket at a port of the loopback address; -1 where nothing listens.
int connected(int port) {
  const int one = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(one, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) {
    return one;
  }
  ::close(one);
  return -1;
}

/// A port that is free now.
int free_port() {
  const int one = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  EXPECT_EQ(::bind(one, reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(::getsockname(one, reinterpret_cast<sockaddr*>(&address), &size), 0);
  ::close(one);
  return ntohs(address.sin_port);
}

TEST_F(TrackTest, ServeAnswersUntilItIsInterrupted) {
  fs::create_directories(run_);
  write_file(run_ / "pipeline.lock.toml", "");
  const int port = free_port();
  BackgroundCall call({"serve", out_.string(), "--port", std::to_string(port)});
  int socket = -1;
  for (int tries = 0; tries < 600 && socket < 0 && call.running(); ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    socket = connected(port);
  }
  ASSERT_GE(socket, 0);
  ::close(socket);
  call.signal(SIGTERM);
  const Outcome outcome = call.wait();
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("http://127.0.0.1:" + std::to_string(port) + "/"), std::string::npos)
      << outcome.out;
}

}  // namespace
}  // namespace bissl::host::test
