// Libraries that would take the process down with them.

#include "plugins/vetting.h"

#include "fixtures.h"

#include <unistd.h>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <thread>

namespace bissl::host::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

void expect_vetted(const std::string& name, const std::string& code, const std::string& found,
                   milliseconds limit = seconds(10)) {
  Registry registry(limit);
  EXPECT_FALSE(registry.load_library(fixture(name), false));
  const LoadProblem expected{
      fixture(name).string(),
      "vet",
      code,
      found,
      "a library that registers its components and returns",
      "correct the library; nothing of it was loaded into this process, which tried it in a child "
      "process first"};
  EXPECT_EQ(registry.report().problems, std::vector<LoadProblem>{expected});
  EXPECT_TRUE(registry.components().empty());
}

TEST(PluginVetting, Aborts) {
  expect_vetted("aborts", "crashed",
                "signal 6 (Aborted) while registering; its last output: \"the table of kernels is "
                "empty\"");
}

TEST(PluginVetting, CrashesWhileItIsOpened) {
  expect_vetted("segfaults", "crashed", "signal 11 (Segmentation fault) while opening");
}

TEST(PluginVetting, ThrowsWhileItIsOpened) {
  // Whether the exception gets through the loader is up to how the frames were compiled: it ends
  // the child with std::terminate or with an exit.
  const auto problems = refusal_of(fixture("throws_initialiser"), false);
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_TRUE(problems[0].code == "crashed" || problems[0].code == "exited") << problems[0].code;
  EXPECT_NE(problems[0].found.find(" while opening; its last output: \""), std::string::npos)
      << problems[0].found;
  EXPECT_NE(problems[0].found.find("no licence server"), std::string::npos);
}

TEST(PluginVetting, Exits) {
  expect_vetted("exits", "exited", "an exit with status 3 while registering");
}

TEST(PluginVetting, Hangs) {
  const auto begin = std::chrono::steady_clock::now();
  expect_vetted("hangs", "hung", "no end after 0.3 s while registering", milliseconds(300));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(10));
}

TEST(PluginVetting, PrintsWithoutEnd) {
  Registry registry(milliseconds(300));
  EXPECT_FALSE(registry.load_library(fixture("floods"), false));
  const LoadProblem& problem = registry.report().problems.at(0);
  EXPECT_EQ(problem.code, "hung");
  EXPECT_NE(problem.found.find("again and again"), std::string::npos);
  EXPECT_LT(problem.found.size(), 500U);
}

TEST(PluginVetting, OtherLibrariesAreLoadedAfterACrash) {
  Registry registry;
  EXPECT_FALSE(registry.load_library(fixture("aborts"), false));
  EXPECT_TRUE(registry.load_library(fixture("good"), false));
  EXPECT_EQ(registry.components().size(), 2U);
}

TEST(Vet, GivesTheProblemsOfTheTrial) {
  const LoadProblem problem{"p", "s", "c", "found \"ü\"\n", "expected", "advice"};
  EXPECT_EQ(vet("p", seconds(10),
                [&](const StepObserver&) {
                  return std::vector{problem, problem};
                }),
            (std::vector{problem, problem}));
  EXPECT_TRUE(vet("p", seconds(10), [](const StepObserver&) {
                return std::vector<LoadProblem>{};
              }).empty());
}

TEST(Vet, BytesThatAreNotUtf8Survive) {
  const auto problems = vet("p", seconds(10), [](const StepObserver&) {
    return std::vector{LoadProblem{"p", "s", "c", "bad \xff byte", "e", "a"}};
  });
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(problems[0].found, "bad \xEF\xBF\xBD byte");
}

TEST(Vet, ExceptionOfTheTrial) {
  const auto problems = vet("p", seconds(10), [](const StepObserver&) -> std::vector<LoadProblem> {
    throw std::runtime_error("no memory");
  });
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(problems[0].code, "exited");
  EXPECT_EQ(problems[0].found,
            "an exit with status 1 while starting; its last output: \"no memory\"");
}

TEST(Vet, ExitWithoutAnswerIsNoSuccess) {
  const auto problems = vet("p", seconds(10), [](const StepObserver& progress) {
    progress("registering");
    _exit(0);
    return std::vector<LoadProblem>{};
  });
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(problems[0].code, "exited");
  EXPECT_EQ(problems[0].found, "an exit with status 0 while registering");
}

TEST(Vet, SignalHandlersOfTheHostDoNotRunInTheChild) {
  static volatile std::sig_atomic_t handled = 0;
  const auto previous = std::signal(SIGTERM, [](int) { handled = 1; });
  const auto problems = vet("p", seconds(10), [](const StepObserver&) {
    std::raise(SIGTERM);
    return std::vector<LoadProblem>{};
  });
  std::signal(SIGTERM, previous);
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(problems[0].found, "signal 15 (Terminated) while starting");
  EXPECT_EQ(handled, 0);
}

TEST(Vet, WorksWithClosedStandardStreams) {
  std::cout.flush();
  const int output = dup(STDOUT_FILENO);
  const int errors = dup(STDERR_FILENO);
  close(STDOUT_FILENO);
  close(STDERR_FILENO);
  const LoadProblem problem{"p", "s", "c", "f", "e", "a"};
  const auto problems =
      vet("p", seconds(10), [&](const StepObserver&) { return std::vector{problem}; });
  dup2(output, STDOUT_FILENO);
  dup2(errors, STDERR_FILENO);
  close(output);
  close(errors);
  EXPECT_EQ(problems, std::vector{problem});
}

TEST(Vet, WorksWhereChildrenAreReapedByTheSystem) {
  const auto previous = std::signal(SIGCHLD, SIG_IGN);
  EXPECT_TRUE(vet("p", seconds(10), [](const StepObserver&) {
                return std::vector<LoadProblem>{};
              }).empty());
  const auto problems =
      vet("p", seconds(10), [](const StepObserver&) -> std::vector<LoadProblem> { std::abort(); });
  std::signal(SIGCHLD, previous);
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(problems[0].code, "not_vetted");
}

TEST(Vet, ProcessThatOutlivesTheTrialDoesNotHoldItUp) {
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_TRUE(vet("p", seconds(30), [](const StepObserver&) {
                if (fork() == 0) {
                  std::this_thread::sleep_for(seconds(5));
                  _exit(0);
                }
                return std::vector<LoadProblem>{};
              }).empty());
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(4));
}

}  // namespace
}  // namespace bissl::host::test
