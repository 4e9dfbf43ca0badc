#include "stages/thread_choice.h"

#include <gtest/gtest.h>

#include <map>

namespace bissl::host::test {
namespace {

/// Chooses where a step takes these seconds; counts the steps of each number.
ThreadChoice choose(int most, const std::map<int, double>& seconds, std::map<int, int>& steps,
                    const ThreadTrial& trial = {.turns = 3, .row_seconds = 0.1}) {
  return choose_threads(most, seconds.at(1), trial, [&](int threads) {
    ++steps[threads];
    return seconds.at(threads);
  });
}

TEST(ThreadChoice, TriesPowersOfTwoAndTheMost) {
  EXPECT_EQ(thread_counts(1), std::vector<int>({1}));
  EXPECT_EQ(thread_counts(2), std::vector<int>({1, 2}));
  EXPECT_EQ(thread_counts(12), std::vector<int>({1, 2, 4, 8, 12}));
  EXPECT_EQ(thread_counts(16), std::vector<int>({1, 2, 4, 8, 16}));
}

TEST(ThreadChoice, TakesMoreThreadsOnlyWhereTheyAreFaster) {
  std::map<int, int> steps;
  EXPECT_EQ(choose(2, {{1, 0.02}, {2, 0.011}}, steps).threads, 2);
  EXPECT_EQ(choose(2, {{1, 0.02}, {2, 0.0195}}, steps).threads, 1) << "hardly faster";
  EXPECT_EQ(choose(2, {{1, 0.02}, {2, 0.3}}, steps).threads, 1) << "beside busy neighbours";
  steps.clear();
  const ThreadChoice choice = choose(8, {{1, 0.04}, {2, 0.02}, {4, 0.03}, {8, 0.01}}, steps);
  EXPECT_EQ(choice.threads, 2);
  EXPECT_EQ(steps.count(8), 0U) << "four threads were slower than two already";
  EXPECT_EQ(choice.text(),
            "2 threads (a step takes 20 ms, with 1 thread 40 ms, with 4 threads 30 ms)");
}

TEST(ThreadChoice, SingleSlowStepsDoNotDecide) {
  int number = 0;
  const ThreadChoice choice = choose_threads(2, 0.02, {}, [&](int threads) {
    ++number;
    return number == 3 ? 5.0 : threads == 2 ? 0.01 : 0.02;
  });
  EXPECT_EQ(choice.threads, 2);
}

TEST(ThreadChoice, CostsFewSteps) {
  std::map<int, int> steps;
  choose(2, {{1, 4.0}, {2, 2.0}}, steps);
  EXPECT_EQ(steps, (std::map<int, int>({{2, 1}}))) << "long steps are made once";
  steps.clear();
  choose(2, {{1, 0.02}, {2, 0.01}}, steps, {});
  EXPECT_EQ(steps, (std::map<int, int>({{1, 3}, {2, 4}}))) << "a short stage: one for each turn";
  steps.clear();
  EXPECT_EQ(choose(2, {{1, 0.02}, {2, 0.01}}, steps, {.turns = 1}).threads, 2);
  EXPECT_EQ(steps, (std::map<int, int>({{2, 1}}))) << "a shorter one";
  steps.clear();
  EXPECT_EQ(choose(1, {{1, 1.0}}, steps).threads, 1);
  EXPECT_TRUE(steps.empty()) << "there is no choice";
}

TEST(ThreadChoice, AStageContinuesWithTheThreadsOfItsLastProcess) {
  using nlohmann::json;
  const json two = {{"threads", {{"compute", 2}}}};
  const json one = {{"threads", {{"compute", 1}}}};
  EXPECT_EQ(recorded_threads(json::array({two, one})), 1);
  EXPECT_EQ(recorded_threads(json::array({one, two})), 2);
  for (const json& none : {json(), json::array(), json::array({json::object()}),
                           json::array({{{"threads", 3}}}), json::array({"text"})}) {
    EXPECT_EQ(recorded_threads(none), 0) << none;
  }
}

}  // namespace
}  // namespace bissl::host::test
