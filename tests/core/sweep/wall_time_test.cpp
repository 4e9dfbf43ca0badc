// How long a sweep takes when several processes share its stages.

#include "sweep/wall_time.h"

#include <gtest/gtest.h>

#include <chrono>

namespace bissl::host::test {
namespace {

/// A stage to be computed.
struct Timed {
  std::string key;
  double seconds = 0;
  std::string parent = {};
  std::string matched = {};
};

double wall_time_of(const std::vector<Timed>& stages, int jobs) {
  std::vector<PlanNode> nodes;
  std::map<std::string, double> seconds;
  for (const Timed& stage : stages) {
    nodes.push_back({.key = stage.key,
                     .stage = "s",
                     .kind = "pretrain",
                     .parent = stage.parent,
                     .unit = 0,
                     .compared = {},
                     .matched = stage.matched});
    seconds[stage.key] = stage.seconds;
  }
  std::vector<const PlanNode*> pointers;
  pointers.reserve(nodes.size());
  for (const PlanNode& node : nodes) {
    pointers.push_back(&node);
  }
  return wall_time(pointers, seconds, jobs);
}

TEST(WallTime, OneJobTakesTheSum) {
  EXPECT_DOUBLE_EQ(wall_time_of({}, 1), 0);
  EXPECT_DOUBLE_EQ(wall_time_of({{"a", 2}, {"b", 3, "a"}, {"c", 4, "a"}}, 1), 9);
  EXPECT_DOUBLE_EQ(wall_time_of({{"a", 2}, {"b", 3}}, 0), 5);  // there is always one
}

TEST(WallTime, StagesBeginWhenWhatTheyNeedHasEnded) {
  // b and c wait for a, and d for c.
  EXPECT_DOUBLE_EQ(wall_time_of({{"a", 2}, {"b", 3, "a"}, {"c", 4, "a"}, {"d", 1, "a", "c"}}, 2),
                   7);
  // Nobody waits for a stage that is not to be computed.
  EXPECT_DOUBLE_EQ(wall_time_of({{"b", 3, "done"}, {"c", 4, "done"}}, 2), 4);
}

TEST(WallTime, AFreeJobTakesWhatCanBeginFirst) {
  // While b waits for the long a, the other job computes what comes after it in the list.
  EXPECT_DOUBLE_EQ(wall_time_of({{"a", 10}, {"b", 1, "a"}, {"c", 4}, {"d", 5}}, 2), 11);
  // Of two that can begin, the first of the list: c ends at 3, d at 4.
  EXPECT_DOUBLE_EQ(wall_time_of({{"a", 1}, {"b", 1}, {"c", 2, "a"}, {"d", 3, "b"}}, 2), 4);
}

TEST(WallTime, OfManyStagesIsFoundInMoments) {
  std::vector<Timed> stages;
  for (int i = 0; i < 40000; ++i) {
    const std::string number = std::to_string(i);
    stages.push_back({"p" + number, 1});
    stages.push_back({"f" + number, 1, "p" + number});
  }
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_DOUBLE_EQ(wall_time_of(stages, 8), 10000);
  // A search of the whole list for each stage takes minutes.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

}  // namespace
}  // namespace bissl::host::test
