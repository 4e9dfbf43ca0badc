// What `bissl sweep` says of wrong files, cells and stores.

#include "core/store/failing_disk.h"
#include "sweep_fixture.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace bissl::host::test {
namespace {

TEST_F(SweepTest, WrongInputIsFoundInAllCellsBeforeAnythingRuns) {
  const Outcome key = sweep(ablation("[axes]\n\"stage.bisl.lambda\" = [1, 2]\n"));
  EXPECT_EQ(key.code, 2);
  EXPECT_NE(key.err.find("grid.toml:4:1: error: stage.bisl.lambda: "), std::string::npos)
      << key.err;
  EXPECT_NE(key.err.find("did you mean \"bissl\"?"), std::string::npos) << key.err;

  const Outcome value = sweep(ablation(R"([axes]
"stage.bissl.hypergradient" = [{ use = "cg", iterations = 0 }, { use = "neuman" }, { use = "cg" }]
"stage.bissl.lamda" = [1.0, 2.0]
seed = [0, 1]
)"));
  EXPECT_EQ(value.code, 2);
  for (const char* text : {"grid.toml:4:", "grid.toml:5:1: error: stage.bissl.lamda",
                           "(in 4 of 12 cells: hypergradient=cg_iterations=0,lamda=1,seed=0, …)",
                           "there is no hypergradient \"neuman\"", "did you mean \"lambda\"?"}) {
    EXPECT_NE(value.err.find(text), std::string::npos) << text << "\n" << value.err;
  }
  // What only a trial pass can tell.
  const Outcome shape = sweep(ablation(R"([axes]
"stage.finetune.evaluate.augment.size" = [8, 12]
"stage.finetune.repeats" = [1, 2]
)"));
  EXPECT_EQ(shape.code, 2) << shape.out;
  EXPECT_NE(shape.err.find("its augmentation gives views of 1x12x12"), std::string::npos)
      << shape.err;
  EXPECT_NE(shape.err.find("(in 2 of 4 cells: size=12,repeats=1, …)"), std::string::npos)
      << shape.err;
  const Outcome images = sweep(ablation(R"([axes]
"data.labelled.per_class" = [12, 1000]
)"));
  EXPECT_EQ(images.code, 2) << images.out;
  EXPECT_NE(images.err.find("per_class = 1000"), std::string::npos) << images.err;
  EXPECT_NE(images.err.find("(in 1 of 2 cells: per_class=1000)"), std::string::npos) << images.err;
  EXPECT_FALSE(fs::exists(out_ / "grid" / "logs")) << shape.out;
}

TEST_F(SweepTest, FaultsOfTheFileAreReportedTogether) {
  const fs::path file = folder_.path() / "grid.toml";
  write_file(file, R"(pipeline = "small.toml"
metrik = "finetune.test.top1"
[axes]
seed = 3
"stage.bissl.lambda" = []
"stage.bissl.gamma" = [0.1, 0.1]
[[zip]]
"stage.bissl.rounds" = [1, 2]
"stage.finetune.steps" = [1, 2, 3]
[search]
draws = 0
select = "top1"
"stage.finetune.optimizer.lr" = { log_uniform = [0, 1] }
[baseline]
"stage.bissl.gamma" = 5
)");
  const Outcome outcome = sweep(file.string());
  EXPECT_EQ(outcome.code, 2);
  for (const char* text :
       {"grid.toml:2:1: error: metrik: unknown key", "did you mean \"metric\"?",
        "metric: this required key is missing", "grid.toml:4:8: error: axes.seed",
        "grid.toml:5:24: error: axes.\"stage.bissl.lambda\": the list has 0 values",
        "the value 0.1 is given twice", "the list has 3 values; accepted: 2",
        "grid.toml:11:9: error: search.draws", "grid.toml:12:10: error: search.select",
        "grid.toml:13:49: error: search.\"stage.finetune.optimizer.lr\"",
        "grid.toml:15:23: error: baseline.\"stage.bissl.gamma\": 5 is not among"}) {
    EXPECT_NE(outcome.err.find(text), std::string::npos) << text << "\n" << outcome.err;
  }
}

/// A file that names metrics, and what is said of it.
struct MetricCase {
  std::string text;
  std::vector<std::string> said;
};

TEST_F(SweepTest, MetricsThatNoStageGivesAreRefusedBeforeAnythingRuns) {
  const std::string axes = "[axes]\nseed = [0, 1]\n";
  const std::string top1 = "metric = \"finetune.test.top1\"\n";
  const std::vector<MetricCase> cases = {
      {"metric = \"finetune.val.top1\"\n" + axes,
       {"grid.toml:2:10: error: metric: no stage that is run gives finetune.val.top1",
        "did you mean \"finetune.test.top1\"?"}},
      // The data has four classes.
      {"metric = [\"finetune.test.top1\", \"finetune.test.top5\"]\n" + axes,
       {"grid.toml:2:33: metric: no stage gives finetune.test.top5 with this data; accepted: ",
        "\"finetune.test.loss\"", "did you mean \"finetune.test.top1\""}},
      {top1 + "reference = \"baseline.test.tpo1\"\n" + axes,
       {"grid.toml:3:13: reference: no stage gives baseline.test.tpo1",
        "did you mean \"baseline.test.top1\""}},
      {top1 + "stages = [\"baseline\"]\n" + axes,
       {"metric: no stage that is run gives finetune.test.top1; accepted: \"baseline.test.top1\""}},
      {top1 + "[search]\ndraws = 2\nselect = \"baseline.test.topp1\"\n"
              "\"stage.baseline.optimizer.lr\" = { uniform = [0.1, 0.2] }\n",
       {"grid.toml:5:10: search.select: no stage gives baseline.test.topp1",
        "did you mean \"baseline.test.top1\""}},
      {"metric = \"finetune.test.2.top1\"\n" + axes,
       {"grid.toml:2:10: error: metric: \"finetune.test.2.top1\" is not a metric",
        "a part that holds dots is put in quotation marks"}}};
  const fs::path file = folder_.path() / "grid.toml";
  for (const MetricCase& one : cases) {
    write_file(file, "pipeline = \"small.toml\"\n" + one.text);
    for (const std::vector<std::string>& more : {std::vector<std::string>{"--check"}, {}}) {
      const Outcome outcome = sweep(file.string(), more);
      EXPECT_EQ(outcome.code, 2) << one.text;
      for (const std::string& said : one.said) {
        EXPECT_NE(outcome.err.find(said), std::string::npos) << said << "\n" << outcome.err;
      }
    }
  }
  EXPECT_FALSE(fs::exists(out_ / "grid"));
}

TEST_F(SweepTest, MetricsAreCheckedAgainstStagesThatAreFinished) {
  const std::string file = ablation(
      "stages = [\"baseline\"]\n[set]\n\"stage.baseline.repeats\" = 1\n"
      "[axes]\nseed = [0]\n");
  const std::string text = read_file(file);
  const auto with = [&](const std::string& metric) {
    std::string other = text;
    const std::string old = "finetune.test.top1";
    write_file(file, other.replace(other.find(old), old.size(), metric));
    return sweep(file);
  };
  ASSERT_EQ(with("baseline.test.top1").code, 0);
  const Outcome outcome = with("baseline.test.top6");
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("no stage gives baseline.test.top6"), std::string::npos)
      << outcome.err;
}

/// A draw is refused by a number that the first one may not have, or by its final run alone.
TEST_F(SweepTest, ADrawThatIsRefusedIsFoundBeforeAnythingRuns) {
  const fs::path file = folder_.path() / "grid.toml";
  const std::string decay = "\"stage.baseline.rates.weight_decay\" = { end_factor = 5 }\n";
  for (const std::string& choice : std::vector<std::string>{"[1e-4, 0.0]", "[0.0, 1e-4]"}) {
    const std::string search =
        "[search]\ndraws = 12\nselect = \"baseline.test.top1\"\n"
        "\"stage.baseline.optimizer.weight_decay\" = { choice = " +
        choice + " }\n";
    for (const std::string& text :
         {"[set]\n" + decay + search, search + "[search.final]\n" + decay}) {
      write_file(file,
                 "pipeline = \"small.toml\"\nmetric = \"baseline.test.top1\"\n"
                 "stages = [\"baseline\"]\n" +
                     text);
      const Outcome outcome = sweep(file.string());
      EXPECT_EQ(outcome.code, 2) << text;
      const size_t said = outcome.err.find("is 0, and factors leave it there");
      ASSERT_NE(said, std::string::npos) << text << outcome.err;
      EXPECT_NE(outcome.err.find("stage.baseline.optimizer.weight_decay = 0", said),
                std::string::npos)
          << outcome.err;
      EXPECT_FALSE(fs::exists(out_ / "grid")) << text;
    }
  }
}

TEST_F(SweepTest, AWarningNamesTheDrawsThatHaveIt) {
  const Outcome outcome = sweep(ablation(R"(stages = ["finetune"]
[search]
draws = 12
select = "finetune.test.top1"
"stage.bissl.lambda" = { choice = [1e-6, 1.0] }
)"),
                                {"--check"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  const size_t said = outcome.err.find("is far below 1");
  ASSERT_NE(said, std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("(draw ", said), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("stage.bissl.lambda = 1e-06", said), std::string::npos) << outcome.err;
  EXPECT_EQ(outcome.err.find("is far below 1", said + 1), std::string::npos) << outcome.err;
}

/// Names with dots: every place where one is addressed.
TEST_F(SweepTest, NamesWithDotsAreAddressedInQuotationMarks) {
  write_file(folder_.path() / "small.toml", R"(name = "small"
[data."l-1.0"]
use = "synthetic"
samples = 16
size = 8
[data."t-10.1"]
use = "synthetic"
samples = 16
size = 8
split = "test"
[model.backbone]
use = "resnet18"
stem = "small"
width = 2
[stage."ft.v1"]
kind = "finetune"
from = "scratch"
data = "l-1.0"
augment = { use = "supervised" }
downstream = { use = "classification" }
optimizer = { use = "sgd", lr = 0.05 }
batch = 8
steps = 1
evaluate = { data = "t-10.1", augment = { use = "evaluation" } }
)");
  const std::string metric = "\"ft.v1\".\"t-10.1\".top1";
  const auto file = [&](const std::string& axes) {
    const fs::path path = folder_.path() / "grid.toml";
    write_file(path, "pipeline = \"small.toml\"\nmetric = '" + metric + "'\nreference = '" +
                         metric + "'\nstages = [\"ft.v1\"]\n" + axes);
    return path.string();
  };
  // A key as a whole, keys and tables of TOML say the same.
  for (const char* axes : {"[axes]\n'stage.\"ft.v1\".steps' = [1, 2]\nseed = [0, 1]\n",
                           "[axes]\nstage.\"ft.v1\".steps = [1, 2]\nseed = [0, 1]\n",
                           "[axes]\nseed = [0, 1]\n[axes.stage.\"ft.v1\"]\nsteps = [1, 2]\n"}) {
    const Outcome outcome = sweep(file(axes), {"--set", "data.\"l-1.0\".noise=0.1", "--jobs", "2"});
    ASSERT_EQ(outcome.code, 0) << axes << outcome.err;
  }
  const Outcome unquoted = sweep(file("[axes]\n\"stage.ft.v1.steps\" = [1, 2]\n"));
  EXPECT_EQ(unquoted.code, 2);
  EXPECT_NE(unquoted.err.find("has no stage \"ft\"; accepted: \"ft.v1\""), std::string::npos)
      << unquoted.err;

  const Outcome report = run_bissl({"report", (out_ / "grid").string(), "--json", "--metric",
                                    "'ft.v1'.\"t-10.1\".top1", "--baseline", "steps=2"});
  ASSERT_EQ(report.code, 0) << report.err;
  const json cells = json::parse(report.out).at("cells");
  ASSERT_EQ(cells.size(), 2U);
  for (const json& cell : cells) {
    EXPECT_EQ(cell.at("metrics").at(metric).at("n"), 2) << report.out;
  }
  const fs::path cell = out_ / "grid" / "cells";
  const Outcome diff =
      run_bissl({"diff", (cell / "steps=1,seed=0").string(), (cell / "steps=2,seed=0").string()});
  ASSERT_EQ(diff.code, 0) << diff.err;
  EXPECT_NE(diff.out.find("stage.\"ft.v1\".steps"), std::string::npos) << diff.out;
  EXPECT_NE(diff.out.find(metric), std::string::npos) << diff.out;
}

TEST_F(SweepTest, AReportRefusesAMetricThatNoResultHas) {
  ASSERT_EQ(sweep(ablation("stages = [\"finetune\"]\n[axes]\nseed = [0, 1]\n")).code, 0);
  const auto report = [&](const fs::path& folder, const std::string& metric) {
    return run_bissl({"report", folder.string(), "--metric", metric, "--json"});
  };
  const Outcome sweep_report = report(out_ / "grid", "finetune.test.topp1");
  EXPECT_EQ(sweep_report.code, 2);
  EXPECT_NE(sweep_report.err.find("no result has it; they have \"finetune.test.loss\", "
                                  "\"finetune.test.top1\"; did you mean finetune.test.top1?"),
            std::string::npos)
      << sweep_report.err;
  const fs::path cell = out_ / "grid" / "cells" / "seed=0";
  const Outcome of_run = report(cell, "test.topp1");
  EXPECT_EQ(of_run.code, 2);
  EXPECT_NE(of_run.err.find("did you mean test.top1?"), std::string::npos) << of_run.err;
  EXPECT_EQ(report(cell, "\"test\".'top1'").code, 0);
  EXPECT_EQ(report(out_ / "grid", "finetune.top1").code, 2);
}

TEST_F(SweepTest, ARuleThatMeetsNoCellIsDoubtful) {
  const Outcome outcome = sweep(ablation(R"([axes]
seed = [0, 1]
[[exclude]]
"stage.bissl.lambda" = 7
)"),
                                {"--check"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("grid.toml:6:1: warning: exclude: this rule meets no cell"),
            std::string::npos)
      << outcome.err;
}

TEST_F(SweepTest, AnExcludedBaselineIsDoubtful) {
  const std::string text =
      "[axes]\nseed = [0]\n\"stage.bissl.lambda\" = [0.1, 1, 2]\n"
      "[[exclude]]\n\"stage.bissl.lambda\" = 0.1\n";
  const std::string warning = "warning: baseline: the rules in [[exclude]] leave out the cell";
  const Outcome first = sweep(ablation(text), {"--check"});
  EXPECT_EQ(first.code, 0) << first.err;
  EXPECT_NE(first.err.find(warning), std::string::npos) << first.err;
  const Outcome other =
      sweep(ablation(text + "[baseline]\n\"stage.bissl.lambda\" = 1\n"), {"--check"});
  EXPECT_EQ(other.code, 0) << other.err;
  EXPECT_EQ(other.err.find(warning), std::string::npos) << other.err;
}

TEST_F(SweepTest, ASearchHasNoMoreDrawsThanCanBePlanned) {
  const Outcome outcome = sweep(ablation(R"([axes]
seed = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
[search]
draws  = 10000
select = "finetune.test.top1"
"stage.finetune.optimizer.lr" = { uniform = [0.01, 0.1] }
)"),
                                {"--check"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("search.draws: 11 combinations of the axes with 10000 draws each are "
                             "more than 100000 draws"),
            std::string::npos)
      << outcome.err;
}

TEST_F(SweepTest, UnusableStoresAreToldFrom) {
  write_file(out_ / ".store" / "store.json", "{\"format\": 9}");
  const Outcome version = sweep(ablation(grid));
  EXPECT_EQ(version.code, 2);
  EXPECT_NE(version.err.find("has the format version 9"), std::string::npos) << version.err;
  fs::remove_all(out_);
  fs::create_directories(out_);
  const std::string file = ablation(grid);
  const std::string answer = on_small_disk(out_, 200 << 10, [&] {
    const Outcome full = sweep(file);
    return fmt::format("{}|{}|{}", full.code, full.out, full.err);
  });
  if (answer != "unavailable") {
    EXPECT_TRUE(answer.starts_with("1|")) << answer;
    EXPECT_NE(answer.find("No space left on device"), std::string::npos) << answer;
  }
}

}  // namespace
}  // namespace bissl::host::test
