#include "telemetry/interrupt.h"

#include "bissl/error.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <system_error>

namespace bissl {
namespace {

std::atomic<bool> flag = false;
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may use nothing else");

void handle(int signal) {
  const bool was_set = flag.exchange(true);
  if (was_set && signal == SIGINT) {
    _exit(interrupted_exit_code);
  }
}

}  // namespace

void install_interrupt_handlers() {
  struct sigaction action {};
  action.sa_handler = handle;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGINT, SIGTERM}) {
    if (sigaction(signal, &action, nullptr) != 0) {
      fail_run("cannot handle signal {}: {}", signal, std::generic_category().message(errno));
    }
  }
}

bool interrupted() { return flag.load(std::memory_order_relaxed); }

void request_interrupt() { flag = true; }

void reset_interrupt() { flag = false; }

}  // namespace bissl
