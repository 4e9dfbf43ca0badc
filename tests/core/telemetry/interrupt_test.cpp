#include "telemetry/interrupt.h"

#include "bissl/error.h"
#include "core/store/failing_disk.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <type_traits>

namespace bissl::host::test {
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
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU}) {
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

TEST(Interrupt, WhatWasIgnoredAtTheStartStaysSo) {
  for (const int signal : {SIGHUP, SIGUSR1, SIGUSR2}) {
    EXPECT_EQ(exit_code_of([&] {
                std::signal(signal, SIG_IGN);
                install_interrupt_handlers();
                raise(signal);
                _exit(interrupted() ? unexpected : as_expected);
              }),
              as_expected);
  }
  // A shell that starts a program in the background ignores SIGINT for it, which must still end it.
  EXPECT_EQ(exit_code_of([&] {
              std::signal(SIGINT, SIG_IGN);
              install_interrupt_handlers();
              raise(SIGINT);
              _exit(interrupted() ? as_expected : unexpected);
            }),
            as_expected);
}

TEST(Interrupt, TheFirstSignalIsTheCause) {
  EXPECT_EQ(code_after([] {
              raise(SIGHUP);
              raise(SIGTERM);
              return std::string(interrupt_cause()) ==
                     "interrupted by SIGHUP (the terminal is gone)";
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
}  // namespace bissl::host::test
