// Comparisons of arms over several tasks. Numbers: tests/reference/pooled.py.

#include "report/pooled.h"
#include "bissl/error.h"
#include "report/analysis.h"
#include "report/report.h"
#include "report/verdict.h"
#include "support/paths.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <ctime>
#include <nlohmann/json.hpp>
#include <string>

namespace bissl::host::test {
namespace {

using Strata = std::vector<std::vector<double>>;

TEST(Pooled, DifferencesAndTestsAreThoseOfTheReference) {
  const auto cases = nlohmann::json::parse(
      read_file(std::string(source_folder) + "/tests/reference/golden/pooled.json"));
  ASSERT_EQ(cases.size(), 5U);
  for (const auto& [name, one] : cases.items()) {
    const Strata strata = one["strata"].get<Strata>();
    const PooledDifference found = pooled_difference(strata);
    EXPECT_NEAR(found.mean, one["mean"].get<double>(), 1e-12) << name;
    ASSERT_EQ(found.half.has_value(), !one["low"].is_null()) << name;
    if (found.half) {
      EXPECT_NEAR(*found.low(), one["low"].get<double>(), 1e-9) << name;
      EXPECT_NEAR(*found.high(), one["high"].get<double>(), 1e-9) << name;
    }
    const SignFlipTest test = stratified_sign_flip_test(strata);
    EXPECT_TRUE(test.exact) << name;
    EXPECT_NEAR(test.p, one["p"].get<double>(), 1e-12) << name;
  }
}

TEST(Pooled, OneStratumIsTheTestOfPairs) {
  const std::vector<double> differences = {0.5, -0.25, 1.5, 2.0, 0.75, -0.125};
  EXPECT_DOUBLE_EQ(stratified_sign_flip_test({differences}).p, sign_flip_test(differences).p);
  EXPECT_DOUBLE_EQ(*pooled_difference({differences}).half, *estimate(differences).half);
}

TEST(Pooled, StrataOfOnePairHaveNoInterval) {
  const PooledDifference found = pooled_difference({{1.0}, {2.0, 3.0}});
  EXPECT_DOUBLE_EQ(found.mean, 1.75);
  EXPECT_FALSE(found.half);
  EXPECT_EQ(found.over_tasks->count, 2);
}

/// Two tasks whose levels are far apart, two arms in each cell, seeds 0 to 3.
ReportData two_tasks() {
  ReportData data;
  data.title = "example";
  data.axes = {{.name = "task", .labels = {"easy", "hard"}, .baseline = 0, .is_tasks = true}};
  data.metrics = {"ours.test.top1", "other.test.top1"};
  data.reference = "base.test.top1";
  data.higher_is_better = true;
  data.repetitions = "seeds";
  for (size_t task = 0; task < 2; ++task) {
    for (int seed = 0; seed < 4; ++seed) {
      const double level = task == 0 ? 0.9 : 0.3;
      data.observations.push_back({.choices = {task},
                                   .repetition = "seed " + std::to_string(seed),
                                   .metrics = {{"ours.test.top1", level + 0.02 + 0.001 * seed},
                                               {"other.test.top1", level + 0.05},
                                               {"base.test.top1", level}},
                                   .folder = {},
                                   .seconds = {{"ours.test.top1", 30}, {"base.test.top1", 10}}});
    }
  }
  return data;
}

TEST(Pooled, ArmsArePairedWithinTasks) {
  const PooledResults pooled = pooled_results(two_tasks());
  ASSERT_EQ(pooled.comparisons.size(), 2U);
  EXPECT_EQ(pooled.tasks, 2U);
  const PooledComparison& one = pooled.comparisons.at(*pooled.primary);
  EXPECT_EQ(one.arm.label, "ours");
  EXPECT_EQ(one.against.label, "base");
  EXPECT_EQ(one.tasks[1].task, "hard");
  EXPECT_NEAR(one.difference.mean, 0.0215, 1e-12);
  EXPECT_EQ(one.difference.pairs, 8);
  EXPECT_DOUBLE_EQ(one.test.p, 2.0 / 256);
  EXPECT_EQ(pooled.arms.front().arm.label, "other");
  EXPECT_DOUBLE_EQ(*one.seconds / *one.seconds_against, 3.0);
}

TEST(Pooled, TheReportOpensWithAVerdict) {
  const Report report = build_report(two_tasks());
  ASSERT_EQ(report.sections.front().title, "Verdict");
  const std::string text = report.sections.front().paragraphs.front();
  EXPECT_EQ(text.rfind("ours is better than base by 0.0215 in top1, 95 % interval 0.02", 0), 0U)
      << text;
  EXPECT_NE(text.find("over 2 tasks with 4 pairs of runs each, and on 2 of the tasks"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("Chance hardly explains this (p = 0.008"), std::string::npos) << text;
  EXPECT_NE(text.find("takes 30.0 seconds, of the other one 10.0 (3.00 times)"), std::string::npos)
      << text;
  EXPECT_NE(text.find("Of all 3 arms, other has the best mean: 0.6500."), std::string::npos)
      << text;
}

TEST(Pooled, AVerdictNamesTheReferenceWhereThatIsBetter) {
  ReportData data = two_tasks();
  data.higher_is_better = false;
  data.metrics.pop_back();
  const std::string text = verdict(data, pooled_results(data));
  EXPECT_EQ(text.rfind("base is better than ours by 0.0215", 0), 0U) << text;
  EXPECT_NE(text.find("takes 10.0 seconds, of the other one 30.0 (0.33 times)"), std::string::npos)
      << text;
}

TEST(Pooled, AVerdictOfEqualArmsNamesBothWithTheirSeconds) {
  ReportData data = two_tasks();
  for (Observation& one : data.observations) {
    one.metrics["ours.test.top1"] = one.metrics["base.test.top1"];
  }
  const std::string text = verdict(data, pooled_results(data));
  EXPECT_EQ(text.rfind("ours and base are equal in top1", 0), 0U) << text;
  EXPECT_NE(text.find("A run of ours takes 30.0 seconds, of base 10.0 (3.00 times)"),
            std::string::npos)
      << text;
}

/// Each setting's results are found without a look at those of all others.
TEST(Pooled, ThousandsOfSettingsTakeAMoment) {
  constexpr size_t settings = 8000;
  ReportData data;
  data.axes.push_back({.name = "lr", .labels = {}, .baseline = 0});
  data.metrics = {"ours.test.top1"};
  for (size_t i = 0; i < settings; ++i) {
    data.axes[0].labels.push_back(std::to_string(i));
    data.observations.push_back({.choices = {i},
                                 .repetition = "seed 0",
                                 .metrics = {{"ours.test.top1", static_cast<double>(i)}},
                                 .folder = {}});
  }
  const std::clock_t begin = std::clock();
  const PooledResults pooled = pooled_results(data);
  EXPECT_LT(std::clock() - begin, 4 * CLOCKS_PER_SEC);
  EXPECT_EQ(pooled.comparisons.size(), settings - 1);
  EXPECT_EQ(pooled.comparisons.at(*pooled.primary).arm.label, "7999");
}

TEST(Pooled, FewPairsDecideNothing) {
  ReportData data = two_tasks();
  std::erase_if(data.observations, [](const Observation& one) {
    return one.choices.front() == 1 || one.repetition > "seed 1";
  });
  const std::string text = verdict(data, pooled_results(data));
  EXPECT_NE(text.find("So few pairs cannot show whether this is chance (p cannot be less than "
                      "0.500)."),
            std::string::npos)
      << text;
}

TEST(Pooled, PairsThatAllAgreeMayBeTooFewForSeveralComparisons) {
  ReportData data;
  data.axes = {{.name = "solver", .labels = {"cg", "minres", "identity"}, .baseline = 0}};
  data.metrics = {"ours.test.top1"};
  for (size_t solver = 0; solver < 3; ++solver) {
    for (int seed = 0; seed < 6; ++seed) {
      const double value = 0.5 + 0.1 * static_cast<double>(solver) + 0.001 * seed * seed;
      data.observations.push_back({.choices = {solver},
                                   .repetition = "seed " + std::to_string(seed),
                                   .metrics = {{"ours.test.top1", value}},
                                   .folder = {}});
    }
  }
  const std::string text = verdict(data, pooled_results(data));
  EXPECT_EQ(text.rfind("identity was better in these runs than cg", 0), 0U) << text;
  EXPECT_NE(text.find("All pairs agree, but so few of them cannot show more among several "
                      "comparisons (p = 0.031, 0.062 adjusted)"),
            std::string::npos)
      << text;
}

TEST(Pooled, AVerdictNamesWhatItLeavesOut) {
  ReportData data = two_tasks();
  EXPECT_EQ(verdict(data, pooled_results(data)).find("eft out"), std::string::npos);
  data.axes.front().labels.emplace_back("unfinished");
  data.observations[0].metrics.erase("base.test.top1");
  data.observations[5].metrics.erase("ours.test.top1");
  const PooledResults pooled = pooled_results(data);
  const PooledComparison& one = pooled.comparisons.at(*pooled.primary);
  EXPECT_EQ(one.left_out, std::vector<std::string>{"unfinished"});
  EXPECT_EQ(one.unpaired, 2U);
  const std::string text = verdict(data, pooled);
  EXPECT_NE(text.find("Left out, as the two have no pair of results there: unfinished. 2 results "
                      "are left out, as the other arm lacks their repetitions."),
            std::string::npos)
      << text;
}

TEST(Pooled, AVerdictWithoutTheReferenceSaysSo) {
  ReportData data = two_tasks();
  for (Observation& one : data.observations) {
    one.metrics.erase("base.test.top1");
  }
  const std::string text = verdict(data, pooled_results(data));
  EXPECT_EQ(text.rfind("other is better than ours by", 0), 0U) << text;
  EXPECT_NE(text.find("This is not the comparison that was asked for: base.test.top1 has no result "
                      "beside one of ours.test.top1."),
            std::string::npos)
      << text;
}

TEST(Pooled, AheadIsOnTheBetterSide) {
  const auto ahead_on = [](const ReportData& data) {
    const ReportTable table = verdict_section(data, pooled_results(data)).tables.front();
    for (size_t i = 0; i < table.columns.size(); ++i) {
      if (table.columns[i].name == "ahead on") {
        return table.rows.front().at(i).text;
      }
    }
    return std::string("there is no such column");
  };
  ReportData data = two_tasks();
  EXPECT_EQ(ahead_on(data), "2");
  data.higher_is_better = false;
  EXPECT_EQ(ahead_on(data), "0");
}

/// Two solvers on each task: the baseline solver is the first.
TEST(Pooled, TasksAreNotComparedWithEachOther) {
  ReportData data = two_tasks();
  data.axes.push_back({.name = "solver", .labels = {"cg", "identity"}, .baseline = 0});
  data.reference.clear();
  data.metrics = {"ours.test.top1"};
  std::vector<Observation> observations;
  for (Observation& one : data.observations) {
    one.choices.push_back(0);
    observations.push_back(one);
    one.choices.back() = 1;
    one.metrics["ours.test.top1"] -= 0.01;
    observations.push_back(one);
  }
  data.observations = observations;
  for (const CellSummary& cell : summarise(data)) {
    ASSERT_EQ(cell.to_baseline.has_value(), cell.choices[1] == 1);
    if (cell.to_baseline) {
      EXPECT_NEAR(cell.to_baseline->difference.mean, -0.01, 1e-12);
    }
  }
  const std::vector<AxisEffects> effects = marginal_effects(data);
  ASSERT_EQ(effects.size(), 1U);
  EXPECT_EQ(effects.front().axis, "solver");
  const PooledResults pooled = pooled_results(data);
  ASSERT_EQ(pooled.comparisons.size(), 1U);
  EXPECT_EQ(pooled.comparisons.front().arm.label, "identity");
  EXPECT_EQ(pooled.comparisons.front().against.label, "cg");
}

TEST(Pooled, AnAxisIsNamedWithItsQuotesAndEqualsSigns) {
  ReportData data;
  data.title = "sources";
  data.axes = {{.name = "\"a=b\".limit", .labels = {"10", "x=y"}, .baseline = 0},
               {.name = "lr", .labels = {"0.1", "0.2"}, .baseline = 0}};
  set_baseline(data, {"\"a=b\".limit=x=y", "lr=0.2"});
  EXPECT_EQ(data.axes[0].baseline, 1U);
  EXPECT_EQ(data.axes[1].baseline, 1U);
  for (const char* wrong : {"\"a=b\".limit", "lr", "l=0.2", "=0.2", "", "lr=0.3"}) {
    EXPECT_THROW(set_baseline(data, {wrong}), Error) << wrong;
  }
}

TEST(Pooled, ATaskIsNoBaseline) {
  ReportData data = two_tasks();
  try {
    set_baseline(data, {"task=hard"});
    FAIL() << "a baseline without effect was taken";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("tasks are not compared with each other"),
              std::string::npos)
        << error.what();
  }
}

TEST(Pooled, TasksAloneAreComparedWithNothing) {
  ReportData data = two_tasks();
  data.reference.clear();
  data.metrics = {"ours.test.top1"};
  EXPECT_EQ(verdict(data, pooled_results(data)), "");
  for (const ReportSection& section : build_report(data).sections) {
    EXPECT_NE(section.title, "Verdict");
    EXPECT_NE(section.title, "Against the baseline cell");
  }
}

}  // namespace
}  // namespace bissl::host::test
