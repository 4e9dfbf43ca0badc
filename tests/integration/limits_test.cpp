// The program under limits on what a process may use: a message and an exit code, no endless loop
// and no signal, from the start on.

#include "program.h"
#include "support/paths.h"
#include "support/sanitizers.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <fmt/format.h>
#include <unistd.h>

#include <map>
#include <string>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

/// Not ended by a signal, and what failed says why.
void expect_orderly(const Outcome& outcome, const std::string& limit) {
  EXPECT_LE(outcome.code, 127) << limit << "\n" << outcome.err;
  if (outcome.code != 0) {
    EXPECT_FALSE(outcome.err.empty()) << limit;
  }
}

class ProcessLimitsTest : public ::testing::Test {
 protected:
  ProcessLimitsTest() { write_file(file_, small_pipeline()); }

  std::vector<std::string> run_call() const {
    return {"run", file_.string(), "--out", out_.string(), "--threads", "1"};
  }
  /// Runs with these limits on address space, in KiB.
  void expect_orderly_runs(const std::vector<int>& limits) const {
    for (const int limit : limits) {
      const std::string text = fmt::format("ulimit -v {}", limit);
      expect_orderly(run_bissl_under(text, run_call()), text);
      fs::remove_all(out_);
    }
  }

  TemporaryFolder folder_;
  fs::path file_ = folder_.path() / "small.toml";
  fs::path out_ = folder_.path() / "runs";
};

constexpr const char* sanitizer_reason = "a sanitizer reserves terabytes of address space";

TEST_F(ProcessLimitsTest, AddressSpace) {
  if (sanitized) {
    GTEST_SKIP() << sanitizer_reason;
  }
  // The loader refuses the first ones, OpenBLAS's buffers do not fit into the next.
  size_t named = 0;
  for (const int limit : {100000, 400000, 540000, 600000, 650000, 750000}) {
    const std::string text = fmt::format("ulimit -v {}", limit);
    const Outcome outcome = run_bissl_under(text, {"--version"});
    expect_orderly(outcome, text);
    named += outcome.err.find(fmt::format("(ulimit -v) is {} KiB", limit)) != std::string::npos;
  }
  EXPECT_GE(named, 2U);
}

TEST_F(ProcessLimitsTest, AddressSpaceThatEndsDuringARun) {
  if (sanitized) {
    GTEST_SKIP() << sanitizer_reason;
  }
  expect_orderly_runs({850000, 1000000, 1150000, 1300000});
  EXPECT_EQ(run_bissl_under("ulimit -v 6000000", run_call()).code, 0);
}

TEST_F(ProcessLimitsTest, WideAddressSpaceThatEndsDuringARun) {
  if (sanitized) {
    GTEST_SKIP() << sanitizer_reason;
  }
  expect_orderly_runs({900000, 950000, 1050000, 1100000, 1200000, 1250000});
}

TEST_F(ProcessLimitsTest, ADenseSystemBeyondTheAddressSpaceIsRefusedBeforeTraining) {
  if (sanitized) {
    GTEST_SKIP() << sanitizer_reason;
  }
  // The small backbone has 11,000 parameters.
  std::vector<std::string> words = run_call();
  words.insert(words.end(), {"--set", "stage.bissl.audit.every=1", "--set",
                             "stage.bissl.audit.dense_below=20000"});
  const Outcome outcome = run_bissl_under("ulimit -v 2000000", words);
  EXPECT_EQ(outcome.code, 2) << outcome.err;
  EXPECT_NE(outcome.err.find("): audit.dense_below = 20000: the dense system of the backbone's "),
            std::string::npos)
      << outcome.err;
  EXPECT_NE(outcome.err.find("Choose a smaller one"), std::string::npos) << outcome.err;
  EXPECT_FALSE(fs::exists(out_ / "small" / "pretrain"));
}

TEST_F(ProcessLimitsTest, Data) {
  if (sanitized) {
    GTEST_SKIP() << sanitizer_reason;
  }
  for (const int limit : {100000, 300000, 500000}) {
    const std::string text = fmt::format("ulimit -d {}", limit);
    expect_orderly(run_bissl_under(text, {"--version"}), text);
    expect_orderly(run_bissl_under(text, run_call()), text);
    fs::remove_all(out_);
  }
}

TEST_F(ProcessLimitsTest, FileSize) {
  const Outcome whole = run_bissl(run_call());
  ASSERT_EQ(whole.code, 0) << whole.err;
  const std::string weights = read_file(out_ / "small" / "bissl" / "backbone.safetensors");
  fs::remove_all(out_);
  for (const int limit : {0, 1, 8, 16, 32}) {
    const std::string text = fmt::format("ulimit -f {}", limit);
    const Outcome outcome = run_bissl_under(text, run_call());
    if (limit == 0) {
      EXPECT_EQ(outcome.code, 1);  // the test's own file for the message is limited as well
      continue;
    }
    EXPECT_EQ(outcome.code, 1) << text << "\n" << outcome.err;
    EXPECT_NE(outcome.err.find("(ulimit -f)"), std::string::npos) << outcome.err;
  }
  // Nothing of it is in the way of the next call.
  EXPECT_EQ(run_bissl(run_call()).code, 0);
  EXPECT_TRUE(weights == read_file(out_ / "small" / "bissl" / "backbone.safetensors"));
}

TEST_F(ProcessLimitsTest, Stack) {
  for (const int limit : {256, 512, 1000}) {
    const Outcome outcome = run_bissl_under(fmt::format("ulimit -s {}", limit), {"--version"});
    EXPECT_EQ(outcome.code, 1);
    EXPECT_NE(outcome.err.find(fmt::format("(ulimit -s) is {} KiB", limit)), std::string::npos)
        << outcome.err;
  }
  EXPECT_EQ(run_bissl_under("ulimit -s 1024", run_call()).code, 0);
}

TEST_F(ProcessLimitsTest, OpenFiles) {
  size_t named = 0;
  for (const int limit : {3, 4, 5, 6, 7, 8, 16}) {
    const std::string text = fmt::format("ulimit -n {}", limit);
    expect_orderly(run_bissl_under(text, {"--version"}), text);
    expect_orderly(run_bissl_under(text, {"plugins"}), text);
    const Outcome outcome = run_bissl_under(text, run_call());
    expect_orderly(outcome, text);
    EXPECT_NE(outcome.code, 2) << text << "\n" << outcome.err;
    named += outcome.err.find("ulimit -n") != std::string::npos ? 1 : 0;
    fs::remove_all(out_);
  }
  // Which of these limits the program meets first differs with a sanitizer's own files.
  if (!sanitized) {
    EXPECT_GE(named, 1U);
  }
}

/// The limit does not bind root, so the program is called as nobody then.
TEST_F(ProcessLimitsTest, ProcessesAndThreads) {
  if (sanitized) {
    GTEST_SKIP() << "a sanitizer starts a thread of its own";
  }
  const bool is_root = geteuid() == 0;
  const auto as_user = [&](const std::string& limit) {
    return is_root ? "exec setpriv --reuid=65534 --regid=65534 --clear-groups /bin/sh -c '" +
                         limit + "exec \"$@\"' sh \"$@\""
                   : limit + "true";
  };
  const std::map<std::string, std::string> home = {
      {"HOME", folder_.path().string()}, {"XDG_CACHE_HOME", (folder_.path() / "cache").string()}};
  fs::permissions(folder_.path(), fs::perms::all);
  fs::permissions(file_, fs::perms::all);
  if (run_bissl_under(as_user(""), {"--version"}, home).code != 0) {
    GTEST_SKIP() << "the limit does not bind root, and nobody else can call the program";
  }
  // The option has another letter in dash.
  const std::string limited = as_user("{ ulimit -u 1 || ulimit -p 1; } 2>/dev/null; ");
  const Outcome outcome = run_bissl_under(limited, run_call(), home);
  EXPECT_EQ(outcome.code, 1) << outcome.err;
  EXPECT_NE(outcome.err.find("processes and threads (ulimit -u) is 1 "), std::string::npos)
      << outcome.err;
  EXPECT_FALSE(fs::exists(out_ / "small" / "pretrain"));
  const std::string library = (fs::path(plugin_folder) / "identity.so").string();
  const Outcome check = run_bissl_under(limited, {"plugins", "--check", library}, home);
  EXPECT_LE(check.code, 127) << check.out << check.err;
  EXPECT_NE((check.out + check.err).find("ulimit -u is the limit on processes and threads"),
            std::string::npos)
      << check.out << check.err;
}

TEST_F(ProcessLimitsTest, CpuTime) {
  std::vector<std::string> words = run_call();
  words.insert(words.end(), {"--set", "stage.pretrain.steps=1000000"});
  const Outcome outcome = run_bissl_under("ulimit -t 3", words);
  EXPECT_EQ(outcome.code, 130) << outcome.err;
  EXPECT_NE(outcome.err.find("CPU time (ulimit -t)"), std::string::npos) << outcome.err;
  EXPECT_TRUE(fs::exists(out_ / "small" / "pretrain" / "checkpoint.safetensors"));
}

TEST(ProcessStart, GivesThreadsAShortSpinUnlessTheUserHasChosen) {
  const std::map<std::string, std::string> show = {{"OMP_DISPLAY_ENV", "VERBOSE"}};
  // With and without a variable that makes room for the one that is set.
  for (const char* shell : {"unset GOMP_SPINCOUNT; export OLDPWD=/",
                            "unset GOMP_SPINCOUNT _ OLDPWD SHLVL LS_COLORS MAIL"}) {
    const Outcome outcome = run_bissl_under(shell, {"--version"}, show);
    EXPECT_EQ(outcome.code, 0) << shell;
    EXPECT_NE(outcome.err.find("GOMP_SPINCOUNT = '20000'"), std::string::npos) << shell << "\n"
                                                                               << outcome.err;
  }
  const Outcome chosen = run_bissl_under("export GOMP_SPINCOUNT=7", {"--version"}, show);
  EXPECT_NE(chosen.err.find("GOMP_SPINCOUNT = '7'"), std::string::npos) << chosen.err;
}

#if defined(__x86_64__)
/// By itself OpenBLAS takes kernels without AVX on processors that are younger than it.
TEST(ProcessStart, NamesOpenBlasKernelsUnlessTheUserHasChosen) {
  if (__builtin_cpu_supports("avx2") == 0 || __builtin_cpu_supports("fma") == 0) {
    GTEST_SKIP() << "the choice is OpenBLAS's";
  }
  const std::map<std::string, std::string> show = {{"OPENBLAS_VERBOSE", "2"}};
  const std::string unset = "unset OPENBLAS_CORETYPE GOMP_SPINCOUNT; export OLDPWD=/ SHLVL=1";
  const Outcome first = run_bissl_under(unset, {"--version"}, show);
  if (first.err.find("Core: ") == std::string::npos) {
    GTEST_SKIP() << "no OpenBLAS that names its kernels";
  }
  // With and without variables that make room for those that are set.
  for (const std::string& shell :
       {unset, std::string("unset OPENBLAS_CORETYPE _ OLDPWD SHLVL LS_COLORS MAIL")}) {
    const Outcome outcome = run_bissl_under(shell, {"--version"}, show);
    EXPECT_EQ(outcome.code, 0) << shell;
    EXPECT_TRUE(outcome.err.find("Core: SkylakeX") != std::string::npos ||
                outcome.err.find("Core: Haswell") != std::string::npos ||
                outcome.err.find("Core: Zen") != std::string::npos)
        << shell << "\n"
        << outcome.err;
  }
  const Outcome chosen = run_bissl_under("export OPENBLAS_CORETYPE=Nehalem", {"--version"}, show);
  EXPECT_NE(chosen.err.find("Core: Nehalem"), std::string::npos) << chosen.err;
}
#endif

}  // namespace
}  // namespace bissl::host::test
