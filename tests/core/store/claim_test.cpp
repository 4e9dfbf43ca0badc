// Claims among machines, which the tests give different names; those among processes of one
// machine are in stage_store_test.cpp.

#include "store/claim.h"

#include "bissl/error.h"
#include "core/store/failing_disk.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class ClaimTest : public testing::Test {
 protected:
  /// A machine on a file system without locks, where only the lease tells.
  static ClaimPolicy machine(const std::string& name) {
    return {.lease = 400ms, .machine = name, .file_locks = false};
  }
  /// Tries until the claim is had or the time is over.
  std::optional<Claim> wait_for(const ClaimPolicy& policy, std::chrono::milliseconds limit) const {
    ClaimWatch watch;
    const auto end = std::chrono::steady_clock::now() + limit;
    while (std::chrono::steady_clock::now() < end) {
      if (auto claim = Claim::try_take(file_, watch, policy)) {
        return claim;
      }
      std::this_thread::sleep_for(10ms);
    }
    return std::nullopt;
  }
  /// Leaves a claim behind as a machine does that loses its power.
  void abandon(const ClaimPolicy& policy) const {
    const pid_t child = fork();
    if (child == 0) {
      ClaimWatch watch;
      const auto claim = Claim::try_take(file_, watch, policy);
      _exit(claim ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_EQ(WEXITSTATUS(status), 0);
  }

  TemporaryFolder folder_;
  fs::path file_ = folder_.path() / "x.lock";
};

TEST_F(ClaimTest, ALivingMachineKeepsItsClaimBeyondTheLease) {
  ClaimWatch watch;
  const auto claim = Claim::try_take(file_, watch, machine("a"));
  ASSERT_TRUE(claim);
  EXPECT_TRUE(is_claimed(file_, machine("b")));
  EXPECT_FALSE(wait_for(machine("b"), 1200ms));
  claim->confirm();
}

TEST_F(ClaimTest, AnAbandonedClaimIsTakenOverAfterTheLease) {
  abandon(machine("a"));
  ASSERT_TRUE(fs::exists(file_));
  const auto begin = std::chrono::steady_clock::now();
  const auto claim = wait_for(machine("b"), 10s);
  ASSERT_TRUE(claim);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 400ms);
  EXPECT_FALSE(wait_for(machine("c"), 600ms));
  EXPECT_EQ(listing(folder_.path()), "x.lock");
}

TEST_F(ClaimTest, WithoutLocksAProcessOfTheSameMachineThatIsGoneFreesItAtOnce) {
  abandon(machine("a"));
  EXPECT_TRUE(wait_for(machine("a"), 200ms));
}

TEST_F(ClaimTest, WhoStoodStillLearnsThatTheClaimIsLost) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    ClaimWatch watch;
    const auto claim = Claim::try_take(file_, watch, machine("a"));
    raise(SIGSTOP);
    const std::string text = error_of([&] { claim->confirm(); });
    const bool told = text.find("was lost: this process stood still") != std::string::npos;
    [[maybe_unused]] const ssize_t count = write(ready[1], told ? "y" : "n", 1);
    // The claim goes, and must leave the file to whoever has it now.
  }
  if (child == 0) {
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, WUNTRACED), child);
  ASSERT_TRUE(WIFSTOPPED(status));
  const auto claim = wait_for(machine("b"), 10s);
  ASSERT_TRUE(claim);
  kill(child, SIGCONT);
  waitpid(child, &status, 0);
  char told = 0;
  ASSERT_EQ(read(ready[0], &told, 1), 1);
  EXPECT_EQ(told, 'y');
  claim->confirm();
  EXPECT_TRUE(is_claimed(file_, machine("c")));
  close(ready[0]);
  close(ready[1]);
}

TEST_F(ClaimTest, ManyMachinesNeverHaveItTogether) {
  abandon(machine("gone"));
  const fs::path inside = folder_.path() / "inside";
  std::vector<pid_t> children;
  for (int i = 0; i < 6; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      const auto claim = wait_for(machine("machine" + std::to_string(i)), 20s);
      if (!claim || !fs::create_directory(inside)) {
        _exit(1);
      }
      std::this_thread::sleep_for(100ms);
      claim->confirm();
      fs::remove(inside);
      // Given back by the destructor, which _exit would not call.
    }
    if (child == 0) {
      _exit(0);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
}

TEST_F(ClaimTest, ATimeAheadIsNotThatOfARenewal) {
  abandon(machine("a"));
  // Not at once: whoever looks once believes a clock that is a little ahead, and no other.
  const auto held_at = [&](std::chrono::seconds ahead) {
    fs::last_write_time(file_, fs::file_time_type::clock::now() + ahead);
    return is_claimed(file_, {.lease = 60s, .machine = "b", .file_locks = false});
  };
  EXPECT_TRUE(held_at(0s));
  EXPECT_TRUE(held_at(40s));
  EXPECT_FALSE(held_at(80s));
  EXPECT_FALSE(held_at(3600s));
  EXPECT_FALSE(held_at(2 * 365 * 86400s));
  // As for times in the past.
  EXPECT_TRUE(held_at(-100s));
  EXPECT_FALSE(held_at(-140s));
  EXPECT_FALSE(held_at(-2 * 365 * 86400s));
}

TEST_F(ClaimTest, ATimeAheadIsTakenOverAfterTheLease) {
  for (const auto ahead : {3600s, 2 * 365 * 86400s, -3600s}) {
    abandon(machine("a"));
    fs::last_write_time(file_, fs::file_time_type::clock::now() + ahead);
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_TRUE(wait_for(machine("b"), 10s));
    EXPECT_GE(std::chrono::steady_clock::now() - begin, 400ms);
  }
}

TEST_F(ClaimTest, AMachineWhoseClockIsWrongKeepsItsClaim) {
  abandon(machine("a"));
  std::atomic<bool> done = false;
  std::thread renewing([&] {  // as the holder does, with a clock two years ahead
    for (int i = 1; !done; ++i) {
      fs::last_write_time(file_, fs::file_time_type::clock::now() + 2 * 365 * 86400s + i * 1ms);
      std::this_thread::sleep_for(50ms);
    }
  });
  EXPECT_FALSE(wait_for(machine("b"), 1500ms));
  done = true;
  renewing.join();
}

TEST_F(ClaimTest, ContentThatIsNoneOfOursIsTakenOver) {
  write_file(file_, "process 12");  // of an earlier version
  ClaimWatch watch;
  EXPECT_FALSE(is_claimed(file_, {}));
  EXPECT_TRUE(Claim::try_take(file_, watch, {}));
  EXPECT_FALSE(fs::exists(file_));
}

TEST_F(ClaimTest, TheOwnerIsNamed) {
  ClaimWatch watch;
  const auto claim = Claim::try_take(file_, watch, machine("a"));
  ASSERT_TRUE(claim);
  const std::string process = "process " + std::to_string(getpid());
  EXPECT_EQ(claim_owner(file_, machine("a")), process);
  EXPECT_TRUE(claim_owner(file_, machine("b")).starts_with(process + " on "));
  EXPECT_EQ(claim_owner(folder_.path() / "none", machine("a")), "another process");
}

}  // namespace
}  // namespace bissl::host::test
