// Runs followed by other programs.

#include "run_fixture.h"

#include "track/tensorboard_format.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
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
