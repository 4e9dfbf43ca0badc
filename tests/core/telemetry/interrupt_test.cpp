#include "telemetry/interrupt.h"

#include "bissl/error.h"
#include "core/store/failing_disk.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <type_traits>

namespace bissl::test {
namespace {

/// Codes of the children below other than 130.
constexpr int as_expected = 0;
constexpr int unexpected = 1;

int code_after(const std::function<bool()>& body) {
  return exit_code_of([&] {
    reset_interrupt();
    install_interrupt_handlers();
    _exit(body() ? as_expected : unexpected);
  });
}

TEST(Interrupt, FirstSignalOnlySetsTheFlag) {
  for (const int signal : {SIGINT, SIGTERM}) {
    EXPECT_EQ(code_after([&] {
                const bool before = interrupted();
                raise(signal);
                return !before && interrupted();
              }),
              as_expected);
  }
}

TEST(Interrupt, SecondSigintEndsAtOnce) {
  for (const int first : {SIGINT, SIGTERM}) {
    EXPECT_EQ(code_after([&] {
                raise(first);
                raise(SIGINT);
                return true;
              }),
              130);
  }
}

TEST(Interrupt, SecondSigtermLetsTheCheckpointBeWritten) {
  EXPECT_EQ(code_after([&] {
              raise(SIGINT);
              raise(SIGTERM);
              return interrupted();
            }),
            as_expected);
}

TEST(Interrupt, CanBeRequestedAndForgotten) {
  request_interrupt();
  EXPECT_TRUE(interrupted());
  reset_interrupt();
  EXPECT_FALSE(interrupted());
}

TEST(Interrupt, SystemCallsAreRestarted) {
  EXPECT_EQ(code_after([&] {
              int ends[2];
              if (pipe(ends) != 0) {
                return false;
              }
              const pid_t parent = getpid();
              const pid_t child = fork();
              if (child == 0) {
                usleep(20'000);
                kill(parent, SIGTERM);
                usleep(20'000);
                _exit(write(ends[1], "x", 1) == 1 ? 0 : 1);
              }
              char byte = 0;
              return read(ends[0], &byte, 1) == 1 && interrupted();
            }),
            as_expected);
}

TEST(Interrupt, IsNoError) {
  EXPECT_STREQ(Interrupted().what(), "interrupted");
  EXPECT_FALSE((std::is_base_of_v<Error, Interrupted>));
  EXPECT_EQ(interrupted_exit_code, 130);
}

}  // namespace
}  // namespace bissl::test
