#include "track/run_server.h"

#include "bissl/error.h"
#include "store/run_folder.h"
#include "store/run_results.h"
#include "support/temporary_folder.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <optional>
#include <thread>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Clock = std::chrono::steady_clock;

/// A connection to the server that sends what it is given.
class Connection {
 public:
  explicit Connection(int port, const char* host = "127.0.0.1")
      : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    inet_pton(AF_INET, host, &address.sin_addr);
    connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
    timeval limit{20, 0};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  }
  ~Connection() { ::close(socket_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  bool connected() const { return connected_; }
  void send(const std::string& text) const {
    for (size_t sent = 0; sent < text.size();) {
      const ssize_t count = ::send(socket_, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
      if (count <= 0) {
        return;
      }
      sent += static_cast<size_t>(count);
    }
  }
  /// All that comes until the server closes the connection.
  std::string read() const {
    std::string text;
    char buffer[4096];
    for (ssize_t count = 0; (count = ::recv(socket_, buffer, sizeof(buffer), 0)) > 0;) {
      text.append(buffer, static_cast<size_t>(count));
    }
    return text;
  }

 private:
  int socket_;
  bool connected_ = false;
};

struct Answer {
  int status = 0;
  std::string headers;
  std::string body;
};

Answer parsed(const std::string& text) {
  Answer answer;
  const size_t end = text.find("\r\n\r\n");
  if (text.size() > 12 && end != std::string::npos) {
    answer.status = std::atoi(text.c_str() + 9);
    answer.headers = text.substr(0, end);
    answer.body = text.substr(end + 4);
  }
  return answer;
}

class Serve : public testing::Test {
 protected:
  Serve() {
    const fs::path stage = folder_.path() / ".store" / (std::string(32, 'a') + ".partial");
    fs::create_directories(stage);
    log_ = stage / "events.jsonl";
    write_file(log_,
               "{\"step\":0,\"loss\":3.5}\n{\"step\":1,\"loss\":2.5}\n{\"step\":2,\"loss\":null,"
               "\"not_finite\":{\"loss\":\"inf\"}}\n");
    run_ = folder_.path() / "a<b>";
    fs::create_directories(run_);
    write_file(run_ / "pipeline.lock.toml", "");
    fs::create_directory_symlink(stage, run_ / "pretrain");
    server_.emplace(std::vector<fs::path>{folder_.path()}, 0);
    thread_ = std::thread([this] { server_->serve([this] { return over_.load(); }); });
  }
  ~Serve() override {
    over_ = true;
    thread_.join();
  }

  Answer ask(const std::string& request) const {
    const Connection connection(server_->port());
    connection.send(request);
    return parsed(connection.read());
  }
  Answer get(const std::string& target, const std::string& host = "localhost",
             const std::string& method = "GET") const {
    return ask(method + " " + target + " HTTP/1.1\r\nHost: " + host +
               "\r\nConnection: close\r\n\r\n");
  }
  json get_json(const std::string& target) const {
    const Answer answer = get(target);
    EXPECT_EQ(answer.status, 200) << answer.body;
    return json::parse(answer.body);
  }

  TemporaryFolder folder_;
  fs::path log_;
  fs::path run_;
  std::optional<RunServer> server_;
  std::atomic<bool> over_ = false;
  std::thread thread_;
};

constexpr const char* events_of = "/events?run=a%3Cb%3E&log=pretrain&from=";

TEST_F(Serve, ListsRunsAndHandsOutTheirEvents) {
  const json runs = get_json("/runs");
  ASSERT_EQ(runs.size(), 1U);
  EXPECT_EQ(runs[0].at("name"), "a<b>");
  EXPECT_EQ(runs[0].at("state"), "running");
  EXPECT_EQ(runs[0].at("logs")[0].at("name"), "pretrain");
  EXPECT_EQ(runs[0].at("logs")[0].at("bytes"), fs::file_size(log_));
  const json all = get_json(events_of + std::string("0"));
  EXPECT_EQ(all.at("events"),
            json::parse(R"([[0,{"loss":3.5}],[1,{"loss":2.5}],[2,{"loss":null}]])"));
  const std::string position = std::to_string(all.at("position").get<int>());
  EXPECT_TRUE(get_json(events_of + position).at("events").empty());
  std::ofstream(log_, std::ios::app) << "{\"step\":3,\"loss\":1}\n";
  EXPECT_EQ(get_json(events_of + position).at("events"), json::parse(R"([[3,{"loss":1}]])"));
  write_file(log_, "{\"step\":0,\"loss\":3.5}\n");
  const json again = get_json(events_of + position);
  EXPECT_EQ(again.at("restarted"), true);
  EXPECT_EQ(again.at("events").size(), 1U);
}

TEST_F(Serve, RunsWithScoresHaveAReport) {
  StageResults stage;
  stage.kind = "finetune";
  stage.repeats = 2;
  stage.key = std::string(32, 'b');
  stage.metrics.push_back(summarised(
      {.data = "test", .metric = "top1", .higher_is_better = true, .values = {0.25, 0.75}}));
  RunResults results{.pipeline = "b"};
  results.stages["finetune"] = stage;
  const RunFolder folder(folder_.path(), "b");
  folder.write_lock("");
  folder.write_results(results);
  std::this_thread::sleep_for(std::chrono::milliseconds(600));  // as long as a look serves
  const json runs = get_json("/runs");
  ASSERT_EQ(runs.size(), 2U);
  EXPECT_EQ(runs[0].at("reported"), false);
  EXPECT_EQ(runs[1].at("reported"), true);
  EXPECT_EQ(runs[1].at("state"), "done");
  EXPECT_EQ(runs[1].at("metrics"), json::parse(R"([{"name":"finetune.test.top1","mean":0.5}])"));
  const Answer report = get("/report?run=b");
  EXPECT_EQ(report.status, 200) << report.body;
  EXPECT_NE(report.body.find("test.top1"), std::string::npos);
  EXPECT_EQ(get("/report?run=a%3Cb%3E").status, 404);
}

TEST_F(Serve, PageNeedsNothingFromElsewhere) {
  const Answer page = get("/");
  EXPECT_EQ(page.status, 200);
  for (const char* foreign : {"<link", "src=", "@import", "url(", "//cdn", "https:"}) {
    EXPECT_EQ(page.body.find(foreign), std::string::npos) << foreign;
  }
  EXPECT_NE(page.headers.find("Content-Security-Policy: default-src 'none'"), std::string::npos);
  EXPECT_NE(page.headers.find("frame-ancestors 'none'"), std::string::npos);
  const Answer head = get("/", "localhost", "HEAD");
  EXPECT_EQ(head.status, 200);
  EXPECT_TRUE(head.body.empty());
}

TEST_F(Serve, OtherNamesThanThisMachinesAreRefused) {
  for (const char* host : {"localhost", "LOCALHOST:80", "127.0.0.1:9", "[::1]:8000", "[::1]"}) {
    EXPECT_EQ(get("/runs", host).status, 200) << host;
  }
  for (const char* host : {"evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80",
                           "localhost:80@evil", "evil:127.0.0.1", "", "127.0.0.2", "0.0.0.0"}) {
    const Answer answer = get("/runs", host);
    EXPECT_EQ(answer.status, 403) << host;
    EXPECT_EQ(answer.body.find("a<b>"), std::string::npos);
  }
  EXPECT_EQ(ask("GET /runs HTTP/1.0\r\n\r\n").status, 403);
  EXPECT_EQ(ask("GET /runs HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\nConnection: close\r\n\r\n")
                .status,
            403);
}

TEST_F(Serve, NothingButReadingIsAnswered) {
  for (const char* method : {"POST", "PUT", "DELETE", "PATCH", "OPTIONS"}) {
    const Answer answer = get("/runs", "localhost", method);
    EXPECT_EQ(answer.status, 405) << method;
  }
  EXPECT_EQ(read_file(run_ / "pipeline.lock.toml"), "");
}

TEST_F(Serve, NoPathLeadsToAFile) {
  write_file(folder_.path() / "secret", "do not show");
  for (const char* target :
       {"/secret", "/../secret", "/%2e%2e/secret", "/..%2fsecret", "//secret", "/./secret",
        "/events?run=../&log=secret&from=0", "/events?run=a%3Cb%3E&log=../../secret&from=0",
        "/events?run=a%3Cb%3E&log=pretrain/../../secret&from=0", "/report?run=../secret", "/report",
        "/events", "/events?run=a%3Cb%3E&log=pretrain&from=-1",
        "/events?run=a%3Cb%3E&log=pretrain&from=1e3", "/none", "*", "/\x01", "/%00"}) {
    const Answer answer = get(target);
    EXPECT_NE(answer.status, 200) << target;
    EXPECT_EQ(answer.body.find("do not show"), std::string::npos) << target;
  }
  EXPECT_EQ(get("/runs").status, 200);
}

TEST_F(Serve, ListensOnTheLoopbackAddressAlone) {
  // What listens on all addresses answers on this one as well.
  EXPECT_FALSE(Connection(server_->port(), "127.0.0.2").connected());
  EXPECT_THROW(RunServer({folder_.path()}, server_->port()), Error);
  EXPECT_THROW(RunServer({folder_.path() / "none"}, 0), Error);
}

TEST_F(Serve, SlowAndBrokenClientsDoNotStopIt) {
  std::vector<std::unique_ptr<Connection>> slow;
  for (int i = 0; i < 40; ++i) {
    slow.push_back(std::make_unique<Connection>(server_->port()));
    slow.back()->send(i % 2 == 0 ? "GET /runs HT" : "");
  }
  EXPECT_EQ(get("/runs").status, 200);
  for (const std::string& nonsense :
       {std::string(100000, 'x'), "GET " + std::string(100000, 'y') + " HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nA: " + std::string(100000, 'z') + "\r\n\r\n",
        std::string("\0\0\0\0\r\n\r\n", 8), std::string("GET\r\n\r\n"),
        std::string("POST /runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
                    "99999999999\r\nConnection: close\r\n\r\nabc")}) {
    EXPECT_NE(ask(nonsense).status, 200);
  }
  EXPECT_EQ(get("/runs").status, 200);
}

TEST_F(Serve, BrowserShowsCurvesThatFollowARun) {
  if (std::system("command -v chromium >/dev/null") != 0) {
    GTEST_SKIP() << "Debian's package chromium is not installed";
  }
  std::atomic<bool> shown = false;
  std::thread training([&] {
    for (int step = 3; !shown; ++step) {
      std::ofstream(log_, std::ios::app) << "{\"step\":" << step << ",\"loss\":1,\"other\":2}\n";
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  });
  const fs::path dump = folder_.path() / "dump.html";
  const std::string command =
      "timeout 60 chromium --headless=new --no-sandbox --disable-gpu --user-data-dir='" +
      (folder_.path() / "profile").string() +
      "' --window-size=1200,900 --virtual-time-budget=9000 --dump-dom '" + server_->address() +
      "' >'" + dump.string() + "' 2>/dev/null";
  const int code = std::system(command.c_str());
  shown = true;
  training.join();
  ASSERT_EQ(code, 0);
  const std::string page = read_file(dump);
  EXPECT_NE(page.find("data-ready=\"yes\""), std::string::npos) << page;
  EXPECT_NE(page.find("1 runs, 1 of them running"), std::string::npos);
  EXPECT_NE(page.find("a&lt;b&gt;"), std::string::npos);  // a name is no markup
  EXPECT_NE(page.find("data-chart=\"pretrain/loss\""), std::string::npos);
  EXPECT_NE(page.find("aria-label=\"loss of pretrain by step"), std::string::npos);
  EXPECT_NE(page.find("1 more"), std::string::npos);  // "other"
  const size_t curve = page.find("class=\"curve\"");
  ASSERT_NE(curve, std::string::npos);
  const std::string path = page.substr(curve, page.find('>', curve) - curve);
  EXPECT_GT(std::count(path.begin(), path.end(), 'L'), 3) << path;
}

}  // namespace
}  // namespace bissl::host::test
