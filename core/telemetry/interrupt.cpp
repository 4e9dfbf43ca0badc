#include "telemetry/interrupt.h"

#include "bissl/error.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <system_error>

namespace bissl::host {
namespace {

std::atomic<bool> flag = false;
/// The number of the first signal; 0 before it.
std::atomic<int> cause = 0;
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free,
              "a signal handler may use nothing else");

void handle(int signal) {
  int none = 0;
  cause.compare_exchange_strong(none, signal);
  const bool was_set = flag.exchange(true);
  if (was_set && signal == SIGINT) {
    _exit(interrupted_exit_code);
  }
}

/// Whether a signal was ignored by whoever started the program, who wants it to stay so.
bool stays_ignored(int signal) {
  struct sigaction present {};
  return signal != SIGINT && signal != SIGTERM && sigaction(signal, nullptr, &present) == 0 &&
         present.sa_handler == SIG_IGN;
}

}  // namespace

void install_interrupt_handlers() {
  struct sigaction action {};
  action.sa_handler = handle;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU}) {
    if (!stays_ignored(signal) && sigaction(signal, &action, nullptr) != 0) {
      fail_run("cannot handle signal {}: {}", signal, std::generic_category().message(errno));
    }
  }
}

bool interrupted() { return flag.load(std::memory_order_relaxed); }

const char* interrupt_cause() {
  switch (cause) {
    case SIGINT:
      return "interrupted by SIGINT";
    case SIGTERM:
      return "interrupted by SIGTERM";
    case SIGHUP:
      return "interrupted by SIGHUP (the terminal is gone)";
    case SIGUSR1:
      return "interrupted by SIGUSR1";
    case SIGUSR2:
      return "interrupted by SIGUSR2";
    case SIGXCPU:
      return "interrupted: the limit on CPU time (ulimit -t) is near";
    default:
      return "interrupted";
  }
}

void request_interrupt() { flag = true; }

void reset_interrupt() {
  flag = false;
  cause = 0;
}

}  // namespace bissl::host
