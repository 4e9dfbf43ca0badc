#include "track/run_server.h"

#include "base/json_text.h"
#include "bissl/error.h"
#include "track/page.h"
#include "track/run_answers.h"
#include "track/runs.h"

#include <httplib.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <mutex>
#include <thread>

namespace bissl::host {
namespace {

using Clock = std::chrono::steady_clock;

/// A connection has a thread to itself while it is open, a slow one too.
constexpr size_t threads = 32;
/// Seconds that a connection may keep silent.
constexpr int patience = 2;
/// How long a look at the folders serves further requests.
constexpr std::chrono::milliseconds fresh{500};

/// Scripts and styles are the page's own; nothing is loaded from anywhere, and no other page may
/// show this one within itself.
constexpr const char* policy =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'";

uint64_t position_of(const std::string& text) {
  uint64_t position = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), position);
  if (error != std::errc() || end != text.data() + text.size()) {
    fail_input("from={}: expected a number of bytes", text);
  }
  return position;
}

}  // namespace

bool is_own_host(const std::string& host) {
  std::string name = host;
  const size_t colon = name.rfind(':');
  if (colon != std::string::npos && name.find(']', colon) == std::string::npos) {
    const std::string port = name.substr(colon + 1);
    if (port.empty() || !std::all_of(port.begin(), port.end(),
                                     [](unsigned char c) { return c >= '0' && c <= '9'; })) {
      return false;
    }
    name.resize(colon);
  }
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return name == "localhost" || name == "127.0.0.1" || name == "[::1]";
}

class RunServer::Http {
 public:
  explicit Http(std::vector<std::filesystem::path> folders) : folders_(std::move(folders)) {
    runs();
    server_.new_task_queue = [] { return new httplib::ThreadPool(threads); };
    server_.set_read_timeout(patience);
    server_.set_write_timeout(patience);
    server_.set_keep_alive_timeout(patience);
    server_.set_payload_max_length(0);
    // The library's own options would let a second server take the same port unnoticed.
    server_.set_socket_options([](socket_t socket) {
      const int yes = 1;
      setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    });
    server_.set_default_headers({{"Content-Security-Policy", policy},
                                 {"X-Content-Type-Options", "nosniff"},
                                 {"Referrer-Policy", "no-referrer"},
                                 {"Cross-Origin-Resource-Policy", "same-origin"},
                                 {"Cache-Control", "no-store"}});
    server_.set_pre_routing_handler(
        [](const httplib::Request& request, httplib::Response& response) {
          return refuse(request, response) ? httplib::Server::HandlerResponse::Handled
                                           : httplib::Server::HandlerResponse::Unhandled;
        });
    add_pages();
  }

  httplib::Server& server() { return server_; }

 private:
  static bool refuse(const httplib::Request& request, httplib::Response& response) {
    if (request.get_header_value_count("Host") != 1 ||
        !is_own_host(request.get_header_value("Host"))) {
      response.status = 403;
      response.set_content("this server answers for localhost only\n", "text/plain");
      return true;
    }
    if (request.method != "GET" && request.method != "HEAD") {
      response.status = 405;
      response.set_header("Allow", "GET, HEAD");
      response.set_content("this server is read only\n", "text/plain");
      return true;
    }
    return false;
  }

  /// The runs as they are now, or were a moment ago.
  std::vector<TrackedRun> runs() {
    const std::lock_guard lock(mutex_);
    if (known_.empty() || Clock::now() - looked_ > fresh) {
      known_ = find_runs(folders_);
      looked_ = Clock::now();
    }
    return known_;
  }

  void add_page(const char* path, const char* type,
                std::function<std::string(const httplib::Request&)> answer) {
    server_.Get(path, [type, answer = std::move(answer)](const httplib::Request& request,
                                                         httplib::Response& response) {
      try {
        response.set_content(answer(request), type);
      } catch (const Error& error) {
        response.status = error.kind() == ErrorKind::input ? 404 : 500;
        response.set_content(std::string(error.what()) + "\n", "text/plain; charset=utf-8");
      } catch (const std::exception& error) {
        response.status = 500;
        response.set_content(std::string(error.what()) + "\n", "text/plain; charset=utf-8");
      }
    });
  }

  void add_pages() {
    add_page("/", "text/html; charset=utf-8",
             [](const httplib::Request&) { return std::string(runs_page()); });
    add_page("/runs", "application/json",
             [this](const httplib::Request&) { return json_text(runs_answer(runs())); });
    add_page("/events", "application/json", [this](const httplib::Request& request) {
      return json_text(events_answer(runs(), request.get_param_value("run"),
                                     request.get_param_value("log"),
                                     position_of(request.get_param_value("from"))));
    });
    add_page("/report", "text/html; charset=utf-8", [this](const httplib::Request& request) {
      std::vector<std::string> names;
      for (size_t i = 0; i < request.get_param_value_count("run"); ++i) {
        names.push_back(request.get_param_value("run", i));
      }
      return report_answer(runs(), names);
    });
  }

  std::vector<std::filesystem::path> folders_;
  httplib::Server server_;
  std::mutex mutex_;
  std::vector<TrackedRun> known_;
  Clock::time_point looked_;
};

RunServer::RunServer(std::vector<std::filesystem::path> folders, int port)
    : http_(std::make_unique<Http>(std::move(folders))) {
  constexpr const char* here = "127.0.0.1";
  if (port == 0) {
    port_ = http_->server().bind_to_any_port(here);
  } else {
    port_ = http_->server().bind_to_port(here, port) ? port : -1;
  }
  if (port_ <= 0) {
    fail_run("cannot listen on 127.0.0.1:{}; is the port in use? Give another one with --port",
             port);
  }
}

RunServer::~RunServer() = default;

std::string RunServer::address() const { return fmt::format("http://127.0.0.1:{}/", port_); }

void RunServer::serve(const std::function<bool()>& is_over) {
  std::atomic<bool> ended = false;
  std::thread listening([&] {
    http_->server().listen_after_bind();
    ended = true;
  });
  // A server that has not begun cannot be stopped.
  while (!http_->server().is_running() && !ended) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  while (!ended && !is_over()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  http_->server().stop();
  listening.join();
}

}  // namespace bissl::host
