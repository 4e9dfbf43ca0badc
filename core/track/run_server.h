#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace bissl::host {

/// Shows runs in a browser on this machine: reads the folders at each request, writes nothing, and
/// answers nothing but GET and HEAD of its own four addresses, which name runs and never files:
///
///     /                            the page
///     /runs                        runs_answer()
///     /events?run=&log=&from=      events_answer()
///     /report?run=&run=            report_answer()
///
/// It listens on 127.0.0.1 alone. A request whose Host is another name than this machine's
/// ("localhost", "127.0.0.1", "[::1]") is refused: a page of another site whose name is made to
/// lead here must not read the runs. Not for several at once with the same port.
class RunServer {
 public:
  /// Listens from now on. Port 0: one that is free. Throws Error(input) for folders that have no
  /// runs, Error(run) if the port cannot be taken.
  RunServer(std::vector<std::filesystem::path> folders, int port);
  ~RunServer();
  RunServer(const RunServer&) = delete;
  RunServer& operator=(const RunServer&) = delete;

  int port() const { return port_; }
  std::string address() const;

  /// Answers until `is_over`, which is asked ten times a second.
  void serve(const std::function<bool()>& is_over);

 private:
  class Http;
  std::unique_ptr<Http> http_;
  int port_ = 0;
};

/// Whether the value of a request's header Host names this machine, with or without a port.
bool is_own_host(const std::string& host);

}  // namespace bissl::host
