// Which stages of a sweep may share a trial, and which of the others are tried in full.

#include "sweep/stage_sort.h"

#include <gtest/gtest.h>

namespace bissl::host::test {
namespace {

using nlohmann::json;

/// What the stage of a test varies.
struct Varied {
  double ratio = 0.5;
  double lr = 0.1;
  double weight_decay = 1e-4;
  double lower_lr = 0.1;
  double epochs = 1.5;
  int steps = 5;
  int seed = 0;
};

json optimizer(double lr, double weight_decay) {
  return {{"name", "sgd"}, {"values", {{"lr", lr}, {"weight_decay", weight_decay}}}};
}

json description(const Varied& varied) {
  const json lower = {{"components", {{"optimizer", optimizer(varied.lower_lr, 0.1)}}}};
  return {{"kind", "pretrain"},
          {"seed", varied.seed},
          {"parent", "key"},
          {"table",
           {{"values", {{"steps", varied.steps}, {"epochs", varied.epochs}}},
            {"components",
             {{"pretext", {{"values", {{"mask_ratio", varied.ratio}, {"scale", {0.2, 1.0}}}}}},
              {"optimizer", optimizer(varied.lr, varied.weight_decay)}}},
            {"tables", {{"lower", lower}}}}}};
}

StageSort sorted(const Varied& varied, Numbers numbers = Numbers::by_refusal) {
  return sort_of(description(varied), numbers);
}

TEST(StageSort, IsSharedButForWhatARefusalCanDependOn) {
  const StageSort one = sorted({});
  for (const Varied& other : {Varied{.lr = 0.3}, Varied{.weight_decay = 0.2}, Varied{.seed = 1}}) {
    EXPECT_EQ(sorted(other).sort, one.sort);
    EXPECT_EQ(sorted(other).variant, one.variant);
  }
  for (const Varied& other :
       {Varied{.ratio = 0.9}, Varied{.weight_decay = 0}, Varied{.lower_lr = 0.3}}) {
    EXPECT_EQ(sorted(other).sort, one.sort);
    EXPECT_NE(sorted(other).variant, one.variant);
  }
  for (const Varied& other : {Varied{.epochs = 2.5}, Varied{.steps = 6}}) {
    EXPECT_NE(sorted(other).sort, one.sort);
  }
  EXPECT_NE(sorted({.lr = 0.3}, Numbers::exact).variant, sorted({}, Numbers::exact).variant);
}

TEST(StageSort, TheEndsOfANumberAreTriedInFull) {
  NumberEnds ends;
  const std::map<std::string, double> ratios = {
      {"a", 0.5}, {"b", 0.7}, {"c", 0.2}, {"d", 0.9}, {"e", 0.3}};
  for (const auto& [key, ratio] : ratios) {
    ends.add(key, sorted({.ratio = ratio}));
  }
  // Of another sort, in which nothing differs but what no refusal depends on.
  ends.add("f", sorted({.ratio = 0.95, .lr = 0.2, .steps = 6}));
  ends.add("g", sorted({.ratio = 0.95, .lr = 0.4, .steps = 6}));
  EXPECT_EQ(ends.keys(10), (std::set<std::string>{"c", "d"}));
  EXPECT_EQ(ends.keys(1), std::set<std::string>{"c"});
}

}  // namespace
}  // namespace bissl::host::test
