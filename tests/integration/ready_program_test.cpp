// Calls of a program that has started before do the same as calls of one that starts anew.

#include "support/ready_program.h"
#include "program.h"
#include "support/paths.h"
#include "support/sanitizers.h"

#include <gtest/gtest.h>

#include <sys/wait.h>
#include <csignal>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

class ReadyProgramTest : public ::testing::Test {
 protected:
  /// The call, in a process of this kind, with files for what it says.
  Outcome outcome_of(ProgramCall call, pid_t (*start)(const ProgramCall&)) const {
    const TemporaryFolder folder;
    call.out = folder.path() / "out";
    call.err = folder.path() / "err";
    call.folder = folder_.path();
    int status = 0;
    waitpid(start(call), &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read_file(call.out),
            read_file(call.err)};
  }

  TemporaryFolder folder_;
};

TEST_F(ReadyProgramTest, ItsCallsAreAsThoseThatStartAnew) {
  fs::create_directories(folder_.path() / "more");
  fs::copy(fs::path(fixture_plugin_folder) / "good.so", folder_.path() / "more" / "good.so");
  const std::vector<ProgramCall> calls = {
      {.arguments = {"check", "nowhere.toml"}},
      {.arguments = {"plugins", "--json"}, .environment = {{"BISSL_PLUGIN_PATH", "more"}}}};
  for (const ProgramCall& call : calls) {
    ASSERT_TRUE(sanitized || is_ready_for(call))
        << "tests/bissl_ready.so of the build serves no call, and each starts the program";
    const Outcome ready = outcome_of(call, start_program);
    const Outcome anew = outcome_of(call, start_program_anew);
    EXPECT_EQ(ready.code, anew.code);
    EXPECT_EQ(ready.out, anew.out);
    EXPECT_EQ(ready.err, anew.err);
    EXPECT_FALSE(anew.out.empty() && anew.err.empty());
  }
}

/// What libraries read while they are loaded, and what a process hands on, need a start of its own.
TEST_F(ReadyProgramTest, IsNotTakenWhereTheStartCounts) {
  const std::vector<std::string> version = {"--version"};
  EXPECT_FALSE(is_ready_for({.arguments = version, .environment = {{"OMP_NUM_THREADS", "7"}}}));
  EXPECT_FALSE(is_ready_for({.arguments = version, .environment = {{"OPENBLAS_NEW", "1"}}}));
  EXPECT_FALSE(is_ready_for({.arguments = {"run", "small.toml", "--ranks", "2"}}));
  const auto previous = std::signal(SIGHUP, SIG_IGN);
  EXPECT_FALSE(is_ready_for({.arguments = version}));
  std::signal(SIGHUP, previous);
  EXPECT_TRUE(sanitized || is_ready_for({.arguments = version}));
}

}  // namespace
}  // namespace bissl::host::test
