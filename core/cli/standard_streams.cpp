#include "cli/standard_streams.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <system_error>

namespace bissl::host {
namespace {

void do_nothing(int /*signal*/) {}

/// Opens something under the number of each standard stream that is closed. open(2) takes the
/// lowest number that is free.
void fill_closed_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(stream, F_GETFD) == -1 && errno == EBADF) {
      // The wrong direction, so that using it fails as using a closed stream does.
      [[maybe_unused]] const int number =
          open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    }
  }
}

/// Why the stream cannot be written, found out by a line feed more: the output is broken already.
int error_at_writing(int stream) {
  errno = 0;
  return write(stream, "\n", 1) < 0 ? errno : 0;
}

/// Some network file systems report a full disk only when a file is closed. Closing a copy makes
/// them do so and leaves the stream open.
int error_at_closing(int stream) {
  const int copy = dup(stream);
  return copy >= 0 && close(copy) != 0 ? errno : 0;
}

}  // namespace

void guard_standard_streams() {
  fill_closed_streams();
  // A handler rather than SIG_IGN: programs that this one starts get the default back.
  struct sigaction action {};
  action.sa_handler = do_nothing;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGPIPE, &action, nullptr);
}

std::optional<std::string> lost_output() {
  const bool complete = std::cout.good() && std::ferror(stdout) == 0;
  std::cout.flush();
  errno = 0;
  const bool flushed = std::fflush(stdout) == 0;
  int error = flushed ? 0 : errno;
  if (error == 0) {
    error = error_at_closing(STDOUT_FILENO);
  }
  if (complete && flushed && error == 0 && std::cout.good()) {
    return std::nullopt;
  }
  error = error != 0 ? error : error_at_writing(STDOUT_FILENO);
  return error != 0 ? std::generic_category().message(error)
                    : std::string("a part of it could not be written");
}

}  // namespace bissl::host
