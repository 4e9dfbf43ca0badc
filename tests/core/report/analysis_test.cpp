#include "report/analysis.h"
#include "report/curves.h"
#include "report/gather.h"
#include "report/report.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <stdexcept>

namespace bissl::host::test {
namespace {

/// Two axes of two labels; the value of each seed is given by hand.
ReportData example() {
  ReportData data;
  data.title = "example";
  data.axes = {{"solver", {"a", "b"}, 0}, {"rate", {"low", "high"}, 1}};
  data.metrics = {"m"};
  data.reference = "r";
  const auto add = [&](std::vector<size_t> choices, const std::string& seed, double m, double r) {
    data.observations.push_back({std::move(choices), seed, {{"m", m}, {"r", r}}, {}});
  };
  add({0, 0}, "seed 0", 1.0, 0.5);
  add({0, 0}, "seed 1", 2.0, 0.5);
  add({0, 1}, "seed 0", 3.0, 0.5);
  add({0, 1}, "seed 1", 5.0, 0.5);
  add({1, 0}, "seed 1", 6.0, 0.5);  // seed 0 is missing
  add({1, 1}, "seed 0", 4.0, 0.5);
  add({1, 1}, "seed 1", 8.0, 0.5);
  return data;
}

TEST(Analysis, CellsComeInTheOrderOfTheirLabels) {
  const std::vector<CellSummary> cells = summarise(example());
  ASSERT_EQ(cells.size(), 4U);
  EXPECT_EQ(cells[0].choices, (std::vector<size_t>{0, 0}));
  EXPECT_DOUBLE_EQ(cells[0].metrics.at("m").mean, 1.5);
  EXPECT_EQ(cells[2].metrics.at("m").count, 1);
  EXPECT_EQ(cells[3].values, (std::vector<double>{4, 8}));
}

TEST(Analysis, PairsAreMadeBySeed) {
  const std::vector<CellSummary> cells = summarise(example());
  // The baseline is (a, high): 3 and 5.
  EXPECT_FALSE(cells[1].to_baseline);
  EXPECT_EQ(cells[0].to_baseline->differences, (std::vector<double>{-2, -3}));
  EXPECT_EQ(cells[2].to_baseline->differences, (std::vector<double>{1}));
  EXPECT_EQ(cells[3].to_baseline->differences, (std::vector<double>{1, 3}));
  EXPECT_DOUBLE_EQ(cells[3].to_baseline->test.p, 0.5);
  EXPECT_DOUBLE_EQ(cells[3].to_baseline->adjusted, 1.0);
  EXPECT_EQ(cells[0].to_reference->differences, (std::vector<double>{0.5, 1.5}));
}

TEST(Analysis, AReferenceAmongTheMetricsHasOneColumn) {
  ReportData data = example();
  EXPECT_EQ(observations_table(data).columns.size(), 6U);
  data.metrics = {"m", "r"};
  const ReportTable table = observations_table(data);
  ASSERT_EQ(table.columns.size(), 6U);
  EXPECT_EQ(table.rows.at(0).size(), 6U);
}

TEST(Analysis, DifferencesThatDoNotSpreadPromiseNothing) {
  ReportData data = example();
  const auto says = [&] {
    const Report report = build_report(data);
    for (const ReportSection& section : report.sections) {
      for (const std::string& paragraph : section.paragraphs) {
        if (paragraph.find("would be found in four of five") != std::string::npos) {
          return true;
        }
      }
    }
    return false;
  };
  EXPECT_TRUE(says());
  for (Observation& one : data.observations) {
    one.metrics["m"] = 1.0;
  }
  EXPECT_FALSE(says());
}

TEST(Analysis, EffectsCompareOnlyWhatBothLabelsHave) {
  const std::vector<AxisEffects> effects = marginal_effects(example());
  ASSERT_EQ(effects.size(), 2U);
  EXPECT_EQ(effects[0].axis, "solver");
  EXPECT_FALSE(effects[0].labels[0].effect);
  // Seed 0: only (·, high) is in both, 4 − 3. Seed 1: the mean of 6 − 2 and 8 − 5.
  EXPECT_EQ(effects[0].labels[1].effect->differences, (std::vector<double>{1, 3.5}));
  // The mean over all cells, seed by seed: 4, and the mean of 6 and 8.
  EXPECT_DOUBLE_EQ(effects[0].labels[1].mean.mean, 5.5);
  // rate: the baseline is high. Seed 0: 1 − 3. Seed 1: the mean of 2 − 5 and 6 − 8.
  EXPECT_EQ(effects[1].labels[0].effect->differences, (std::vector<double>{-2, -2.5}));
}

TEST(Analysis, WithoutABaselineCellNothingIsComparedWithIt) {
  ReportData data = example();
  std::erase_if(data.observations, [](const Observation& observation) {
    return observation.choices == std::vector<size_t>{0, 1};
  });
  for (const CellSummary& cell : summarise(data)) {
    EXPECT_FALSE(cell.to_baseline);
  }
}

const ReportSection& section_of(const Report& report, const std::string& title) {
  for (const ReportSection& section : report.sections) {
    if (section.title == title) {
      return section;
    }
  }
  throw std::runtime_error("there is no section " + title);
}

std::string notes_of(const ReportData& data, const std::string& title) {
  const Report report = build_report(data);
  std::string notes;
  for (const std::string& note : section_of(report, title).notes) {
    notes += note + "\n";
  }
  return notes;
}

TEST(LeftOut, ALabelWithoutPairsIsNotCalledTheBaseline) {
  ReportData data = example();
  // b has results of seed 7 only, which a has not.
  std::erase_if(data.observations, [](const Observation& one) { return one.choices[0] == 1; });
  data.observations.push_back({{1, 0}, "seed 7", {{"m", 6.0}}, {}});
  const Report report = build_report(data);
  const ReportTable& table = section_of(report, "Effect of each axis").tables.front();
  ASSERT_EQ(table.rows.at(0).at(1).text, "a");
  EXPECT_EQ(table.rows.at(0).at(4).text, "baseline");
  ASSERT_EQ(table.rows.at(1).at(1).text, "b");
  EXPECT_EQ(table.rows.at(1).at(4).text, "no pairs");
  EXPECT_NE(notes_of(data, "Effect of each axis").find("solver = b has no effect"),
            std::string::npos);
  EXPECT_NE(notes_of(data, "Against the baseline cell").find("sides of the comparison: b, low."),
            std::string::npos)
      << notes_of(data, "Against the baseline cell");
  const nlohmann::json json = report_json(data, report);
  EXPECT_NE(json.at("left_out").dump().find("solver = b has no effect"), std::string::npos);
}

TEST(LeftOut, ALabelWithoutResultsIsNamed) {
  ReportData data = example();
  std::erase_if(data.observations, [](const Observation& one) { return one.choices[0] == 1; });
  EXPECT_NE(notes_of(data, "Effect of each axis").find("no cell with solver = b has a result"),
            std::string::npos);
}

TEST(LeftOut, CellsWithoutTheReferenceAreNamed) {
  ReportData data = example();
  for (Observation& one : data.observations) {
    if (one.choices == std::vector<size_t>{1, 1}) {
      one.metrics.erase("r");
    }
  }
  EXPECT_NE(notes_of(data, "Against the reference").find("sides of the comparison: b, high."),
            std::string::npos)
      << notes_of(data, "Against the reference");
  EXPECT_EQ(notes_of(example(), "Against the reference"), "");
}

/// Once for each time that a stage was computed; what older results lack is left open.
TEST(Bilevel, StagesHaveTheirFiguresAndWarnings) {
  ReportData data = example();
  const nlohmann::json details = {{"solves", {{"share_of_time", 0.25}}},
                                  {"upper_loss", {{"first_round", 1.5}, {"last_round", 2.5}}},
                                  {"warnings", {"the upper level ends above where it began"}}};
  const std::vector<size_t> cell = data.observations.front().choices;
  for (int use = 0; use < 2; ++use) {
    data.stages.push_back({.choices = cell,
                           .repetition = "seed 0",
                           .stage = "bissl",
                           .kind = "bissl",
                           .key = "a",
                           .folder = {},
                           .bilevel = details});
  }
  const std::string text = to_markdown(build_report(data));
  const size_t place = text.find("Bilevel stages");
  ASSERT_NE(place, std::string::npos) << text;
  const size_t warning = text.find("the upper level ends above where it began", place);
  ASSERT_NE(warning, std::string::npos) << text;
  EXPECT_EQ(text.find("ends above where it began", warning + 60), std::string::npos) << text;
  EXPECT_NE(text.find("| seed 0 | bissl | 1.5000 | 2.5000 | – |", place), std::string::npos)
      << text;
  EXPECT_NE(text.find("| 0.2500 |", place), std::string::npos) << text;
}

TEST(LeftOut, ALogWithoutFiniteLossesIsNoLogThatIsGone) {
  const TemporaryFolder folder;
  write_file(folder.path() / "events.jsonl", "{\"step\":0,\"loss\":null}\n");
  ReportData data = example();
  data.stages.push_back({.choices = {0, 0},
                         .repetition = "seed 0",
                         .stage = "pretrain",
                         .kind = "pretrain",
                         .key = "k",
                         .folder = folder.path(),
                         .logs = {"events.jsonl"},
                         .losses = {"loss"}});
  EXPECT_NE(notes_of(data, "Learning curves").find("its events.jsonl has no finite loss"),
            std::string::npos);
  data.stages.back().folder = folder.path() / "gone";
  EXPECT_NE(notes_of(data, "Learning curves").find("there is no events.jsonl in"),
            std::string::npos);
}

TEST(Curves, HaveTheLossesOfTheCompleteLines) {
  const TemporaryFolder folder;
  write_file(folder.path() / "events.jsonl",
             R"({"step":0,"phase":"head_warmup","loss":9}
{"step":0,"phase":"other","loss":8}
{"step":0,"phase":"lower","lower":1,"round":0}
{"step":0,"phase":"upper","upper":4,"validation":{"lower":7}}
no event
{"step":1,"phase":"lower","lower":null,"not_finite":{"lower":"nan"}}
{"step":2,"phase":"lower","lower":3}
{"step":3,"phase":"lower","lower":5})");
  ReportData data = example();
  data.stages.push_back({.choices = {0, 0},
                         .repetition = "seed 0",
                         .stage = "both",
                         .kind = "bissl",
                         .key = "k",
                         .folder = folder.path(),
                         .logs = {"events.jsonl"},
                         .losses = {"loss", "lower", "upper"}});
  const std::vector<CurveGroup> groups = learning_curves(data);
  ASSERT_EQ(groups.size(), 2U);
  EXPECT_EQ(groups[0].loss, "lower");
  ASSERT_EQ(groups[0].curves.size(), 1U);
  EXPECT_EQ(groups[0].curves[0].steps, (std::vector<double>{0.5, 2.5}));
  EXPECT_EQ(groups[0].curves[0].values, (std::vector<double>{1, 3}));
  EXPECT_EQ(groups[1].loss, "upper");
  EXPECT_EQ(groups[1].curves[0].values, std::vector<double>{4});
}

TEST(SeveralRuns, HaveEachOneLabelAndAreCountedOnce) {
  const TemporaryFolder folder;
  for (const char* name : {"a", "b"}) {
    std::filesystem::create_directory(folder.path() / name);
    write_file(folder.path() / name / "results.json",
               R"({"stages": {"f": {"kind": "finetune", "from": "", "key": "k", "repeats": 1,
"metrics": {"test": {"top1": {"mean": 0.5, "std": 0}}}, "runs": [{"top1": 0.5}]}}})");
  }
  const std::string a = (folder.path() / "a").string();
  const std::string b = (folder.path() / "b").string();
  const ReportData data = gather({a + "/", folder.path() / "." / "b" / ""}, "");
  EXPECT_EQ(data.axes.front().labels, (std::vector<std::string>{a, b}));
  std::filesystem::create_symlink("a", folder.path() / "link");
  for (const std::string& again : {a, a + "/", a + "/.", (folder.path() / "link").string()}) {
    EXPECT_THROW(gather({a, again}, ""), std::exception) << again;
  }
}

}  // namespace
}  // namespace bissl::host::test
