// How processes meet, and part: several of them are threads of this program here.

#include "distributed/team.h"
#include "support/free_port.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <thread>

namespace bissl::host {
namespace {

using test::free_port;

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// What ends a wait in these tests.
struct Stop {};

class MeetingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_process_groups()) {
      GTEST_SKIP() << "built without several processes";
    }
  }

  /// Process 1 of two, at the meeting point of a port. Its waits end after some looks.
  static MeetingPlace second(int port) {
    return {.rank = 1, .size = 2, .port = port, .while_waiting = [looks = 0]() mutable {
              if (++looks > 20) {
                throw Stop();
              }
            }};
  }

  static MeetingPlace without_end(MeetingPlace place) {
    place.while_waiting = {};
    return place;
  }

  /// Process 0 of two, the other of which somebody else starts.
  static ProcessPlace first_of_two(int port) {
    ProcessPlace place;
    place.meeting = {.rank = 0, .size = 2, .port = port};
    place.on_this_machine = 2;
    return place;
  }

  /// What one process writes another sees a moment later.
  template <class Condition>
  static bool soon(Condition&& condition) {
    const auto end = Clock::now() + 10s;
    while (!condition()) {
      if (Clock::now() > end) {
        return false;
      }
      std::this_thread::sleep_for(5ms);
    }
    return true;
  }
};

TEST_F(MeetingTest, OthersAreToldThatTheRunEndsBeforeItBegan) {
  const auto leader = meet({.rank = 0, .size = 2});
  const auto other = meet(second(leader->port()));
  EXPECT_TRUE(soon([&] { return leader->arrived() == 2; }));
  leader->decide(2);
  EXPECT_EQ(other->decided(), std::optional(2));
  EXPECT_EQ(leader->ready(), 1);
  EXPECT_EQ(leader->left(), 0);
  other->leave(/*interrupted=*/false);
  EXPECT_TRUE(soon([&] { return leader->left() == 1; }));
  EXPECT_FALSE(leader->has_interrupted());
}

TEST_F(MeetingTest, AWaitForProcess0CanBeEnded) {
  const auto leader = meet({.rank = 0, .size = 2});
  const auto other = meet(second(leader->port()));
  EXPECT_THROW(other->decided(), Stop);
  other->leave(/*interrupted=*/true);
  EXPECT_TRUE(soon([&] { return leader->left() == 1; }));
  EXPECT_TRUE(leader->has_interrupted());
}

/// Of an agent that starts processes again and keeps the meeting point.
TEST_F(MeetingTest, AnAttemptSeesNothingOfTheOneBefore) {
  const auto before = meet({.rank = 0, .size = 2});
  const auto other = meet(second(before->port()));
  before->decide(1);
  EXPECT_EQ(other->decided(), std::optional(1));
  MeetingPlace place = second(before->port());
  place.hosted = true;
  place.attempt = 1;
  const auto after = meet(place);
  EXPECT_EQ(after->arrived(), 1);
  EXPECT_EQ(after->left(), 0);
  EXPECT_THROW(after->decided(), Stop);
}

TEST_F(MeetingTest, ATeamWaitsForThoseThatSomebodyElseHasStarted) {
  const int port = free_port();
  std::atomic<bool> has_left = false;
  std::thread process;
  {
    Team team(first_of_two(port));
    process = std::thread([&] {
      const auto meeting = meet(without_end(second(port)));
      EXPECT_EQ(meeting->decided(), std::nullopt);
      const auto group = meeting->form();
      EXPECT_EQ(group->announced(), "end");
      std::this_thread::sleep_for(300ms);
      has_left = true;
      meeting->leave(/*interrupted=*/false);
    });
    team.gather();
    current_group()->announce("end");
    team.wait();
    EXPECT_TRUE(has_left) << "the meeting point would close before process 1 has seen the end";
  }
  process.join();
}

TEST_F(MeetingTest, OneThatWaitsForProcess0InVainLearnsThatItWasInterrupted) {
  const int port = free_port();
  Team team(first_of_two(port));
  std::thread process([&] {
    const auto meeting = meet(without_end(second(port)));
    EXPECT_EQ(meeting->decided(), std::nullopt);
    const auto group = meeting->form();
    EXPECT_THROW(group->wait_for_all(), ProcessLost);
    EXPECT_TRUE(group->is_lost());
    EXPECT_TRUE(meeting->has_interrupted());
    meeting->leave(/*interrupted=*/true);
  });
  team.gather();
  team.part(/*interrupted=*/true);
  EXPECT_EQ(current_group(), nullptr);
  process.join();
}

TEST_F(MeetingTest, ATeamIsNotMadeOfThoseThatHaveLeft) {
  const int port = free_port();
  Team team(first_of_two(port));
  const auto other = meet(second(port));
  other->leave(/*interrupted=*/true);
  EXPECT_EQ(other->left(), 1);
  EXPECT_THROW(team.gather(), ProcessLost);
  EXPECT_TRUE(team.was_interrupted());
  team.dismiss(130);
  EXPECT_EQ(other->decided(), std::optional(130)) << "others would wait for it to form a group";
}

TEST_F(MeetingTest, ATeamThatIsNotGatheredDismissesThoseThatHaveCome) {
  const int port = free_port();
  auto team = std::make_unique<Team>(first_of_two(port));
  std::optional<int> code;
  std::thread process([&] {
    const auto meeting = meet(without_end(second(port)));
    code = meeting->decided();
    meeting->leave(/*interrupted=*/false);
  });
  team.reset();
  process.join();
  EXPECT_EQ(code, std::optional(1));
}

TEST_F(MeetingTest, AWaitForOthersCanBeEnded) {
  ProcessPlace place = first_of_two(free_port());
  place.meeting.while_waiting = [] { throw Stop(); };
  Team team(place);
  EXPECT_THROW(team.gather(), Stop);
  std::thread process([&] {
    const auto meeting = meet(without_end(second(place.meeting.port)));
    EXPECT_EQ(meeting->decided(), std::optional(130));
    meeting->leave(/*interrupted=*/true);
  });
  team.dismiss(130);
  process.join();
  EXPECT_TRUE(team.was_interrupted());
}

}  // namespace
}  // namespace bissl::host
