// Results belong to a plan: what an earlier one left in the folder is not shown, by --status as by
// `bissl report`, and failures with their place and cause.

#include "sweep_fixture.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <thread>
#include <tuple>

namespace bissl::host::test {
namespace {

class SweepResultsTest : public SweepTest {
 protected:
  SweepResultsTest() {
    // Only what these tests need: one pretraining and one fine-tuning of it.
    std::string text = small_pipeline() +
                       "\n[stage.quick]\nlike = \"finetune\"\nfrom = \"pretrain\"\n"
                       "repeats = 1\nsteps = 2\n";
    text.replace(text.find("seed = 3"), 8, "seed = 0");
    const std::string lars = R"({ use = "lars", lr = 0.5 })";
    text.replace(text.find(lars), lars.size(), R"({ use = "sgd", lr = 0.05 })");
    write_file(folder_.path() / "small.toml", text);
  }

  std::string quick(const std::string& text, const std::string& name = "grid") const {
    const fs::path file = folder_.path() / (name + ".toml");
    write_file(
        file,
        "pipeline = \"small.toml\"\nmetric = \"quick.test.top1\"\nstages = [\"quick\"]\n" + text);
    return file.string();
  }
  json report(const std::string& name = "grid") const {
    const Outcome outcome = run_bissl({"report", (out_ / name).string(), "--json"});
    return json::parse(outcome.out);
  }
  /// The cells that --status calls done; a report has to have just them.
  std::set<std::string> agreed(const std::string& file, const std::string& name = "grid") const {
    std::set<std::string> missing;
    size_t all = 0;
    const json told = report(name);  // first, so that --status cannot put anything right
    for (const json& cell : told.at("missing")) {
      missing.insert(cell.at("cell"));
    }
    std::set<std::string> done;
    for (const auto& [id, cell] : cells(sweep(file, {"--status", "--json"}))) {
      ++all;
      const bool is_done = cell.at("state") == "done";
      EXPECT_EQ(is_done, missing.count(id) == 0) << id << told << cell;
      EXPECT_EQ(is_done, !cell.at("metrics").begin()->is_null()) << cell;
      if (is_done) {
        done.insert(id);
      }
    }
    size_t observed = 0;
    for (const json& cell : told.at("cells")) {
      observed += cell.at("metrics").begin()->at("n").get<size_t>();
    }
    EXPECT_EQ(observed, done.size()) << told;
    EXPECT_EQ(all, done.size() + missing.size());
    return done;
  }
};

const std::string two_by_two =
    "[axes]\n\"stage.quick.optimizer.lr\" = [0.01, 0.02]\nseed = [0, 1]\n";

TEST_F(SweepResultsTest, AnEditedAblationShowsNoneOfTheOldResults) {
  const std::string file = quick(two_by_two);
  ASSERT_EQ(sweep(file).code, 0);
  EXPECT_EQ(agreed(file).size(), 4U);

  // The same cells by name, all of which fail now.
  quick(
      "[set]\n\"stage.quick.optimizer.momentum\" = 0.5\n\"stage.pretrain.optimizer.lr\" = 1e30\n" +
      two_by_two);
  ASSERT_EQ(sweep(file).code, 1);
  EXPECT_TRUE(agreed(file).empty());
  const Outcome none = run_bissl({"report", (out_ / "grid").string()});
  EXPECT_EQ(none.code, 2);
  EXPECT_NE(none.out.find("Missing cells"), std::string::npos) << none.out;
  EXPECT_EQ(read_file(out_ / "grid" / "report.html").find("Learning curves"), std::string::npos);

  // Some of the cells fail, the others are new.
  quick(
      "[axes]\n\"stage.quick.optimizer.lr\" = [0.02, 1e30]\nseed = [0, 1]\n"
      "[set]\n\"stage.quick.steps\" = 3\n");
  ASSERT_EQ(sweep(file).code, 1);
  EXPECT_EQ(agreed(file), (std::set<std::string>{"lr=0.02,seed=0", "lr=0.02,seed=1"}));

  // Back again: what is in the store is taken from there.
  const size_t begun = logged(": begins");
  quick(two_by_two);
  ASSERT_EQ(sweep(file).code, 0);
  EXPECT_EQ(agreed(file).size(), 4U);
  EXPECT_EQ(logged(": begins"), begun);
}

TEST_F(SweepResultsTest, EveryKindOfEditIsSeen) {
  const std::string file = quick(two_by_two);
  ASSERT_EQ(sweep(file).code, 0);
  const auto plan_of = [&] { return read_file(out_ / "grid" / "plan.json"); };
  const std::string old_plan = plan_of();
  const auto replaced_by = [&](const std::string& text) {
    // The plan alone, as after an interruption before the first stage.
    quick(text);
    fs::rename(out_ / "grid", out_ / "kept");
    EXPECT_LE(sweep(file).code, 1);
    const std::string plan = plan_of();
    fs::remove_all(out_ / "grid");
    fs::rename(out_ / "kept", out_ / "grid");
    write_file(out_ / "grid" / "plan.json", plan);
    size_t shown = 0;
    const json told = report();
    for (const json& cell : told.at("cells")) {
      shown += cell.at("metrics").begin()->at("n").get<size_t>();
    }
    write_file(out_ / "grid" / "plan.json", old_plan);
    return shown;
  };
  const std::string pipeline = read_file(folder_.path() / "small.toml");
  // The metric alone: the results are still those of the plan.
  quick(two_by_two);
  EXPECT_EQ(replaced_by("goal = \"min\"\n" + two_by_two), 4U);
  // One value stays.
  EXPECT_EQ(replaced_by("[axes]\n\"stage.quick.optimizer.lr\" = [0.02, 0.03]\nseed = [0, 1]\n"),
            2U);
  // The base pipeline.
  std::string other = pipeline;
  other.replace(other.rfind("steps = 2"), 9, "steps = 4");
  write_file(folder_.path() / "small.toml", other);
  EXPECT_EQ(replaced_by(two_by_two), 0U);
  write_file(folder_.path() / "small.toml", pipeline);
  // More stages: a cell's results lack one.
  write_file(folder_.path() / "small.toml", pipeline + "\n[stage.more]\nlike = \"quick\"\n");
  const std::string all = quick(two_by_two);
  std::string text = read_file(all);
  text.replace(text.find("[\"quick\"]"), 9, "[\"quick\", \"more\"]");
  write_file(all, text);
  fs::rename(out_ / "grid", out_ / "kept");
  ASSERT_EQ(sweep(all).code, 0);
  const std::string plan = plan_of();
  fs::remove_all(out_ / "grid");
  fs::rename(out_ / "kept", out_ / "grid");
  write_file(out_ / "grid" / "plan.json", plan);
  EXPECT_EQ(report().at("missing").size(), 4U);
}

TEST_F(SweepResultsTest, DrawsOfAnotherSearchDoNotCount) {
  const auto search = [&](const std::string& more) {
    return quick("[axes]\nseed = [0]\n[search]\nselect = \"quick.test.top1\"\n" + more +
                 "\n\"stage.quick.optimizer.lr\" = { log_uniform = [1e-4, 1e-1] }\n");
  };
  const std::string file = search("draws = 2");
  ASSERT_EQ(sweep(file).code, 0);
  EXPECT_EQ(agreed(file).size(), 1U);
  const json first = json::parse(read_file(out_ / "grid" / "cells" / "seed=0" / "results.json"));
  // More draws: chosen among all of them.
  search("draws = 3");
  ASSERT_EQ(sweep(file, {"--status"}).code, 0);
  EXPECT_EQ(read_file(out_ / "grid" / "cells" / "seed=0" / "results.json"), first.dump(2) + "\n");
  ASSERT_EQ(sweep(file).code, 0);
  const json second = json::parse(read_file(out_ / "grid" / "cells" / "seed=0" / "results.json"));
  EXPECT_EQ(second.at("search").at("scores").size(), 3U);
  // Results that another number of draws or another metric chose are not those of the plan.
  const fs::path results = out_ / "grid" / "cells" / "seed=0" / "results.json";
  for (const char* change : {"select", "goal", "trials", "chosen", "scores"}) {
    json wrong = second;
    json& value = wrong["search"][change];
    value = value.is_string()    ? json("quick.test.loss")
            : value.is_boolean() ? json(!value.get<bool>())
            : value.is_array()   ? json::array({0.5})
                                 : json(77);
    write_file(results, wrong.dump());
    EXPECT_EQ(report().at("missing").size(), 1U) << change;
  }
  for (const char* content :
       {"", "[]", "{}", "{\"stages\": 3}", "{\"search\": {}, \"stages\": {}}"}) {
    write_file(results, content);
    EXPECT_EQ(report().at("missing").size(), 1U) << content;
  }
  ASSERT_EQ(sweep(file).code, 0);
  EXPECT_EQ(json::parse(read_file(results)), second);
}

TEST_F(SweepResultsTest, FailedDrawsAreToldWithTheirValues) {
  const std::string file = quick(
      "[axes]\n\"stage.quick.steps\" = [3]\n[search]\nselect = \"quick.test.top1\"\ndraws = 6\n"
      "\"stage.quick.optimizer.lr\" = { choice = [0.01, 1e30] }\n");
  const Outcome outcome = sweep(file, {"--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;  // the cell has a draw to choose
  const json cell = cells(outcome).at("steps=3");
  ASSERT_FALSE(cell.at("failures").empty()) << cell;
  for (const json& failure : cell.at("failures")) {
    EXPECT_EQ(failure.at("stage"), "quick");
    EXPECT_EQ(failure.at("drawn").at("stage.quick.optimizer.lr"), "1e+30");
    EXPECT_FALSE(failure.at("cause").get<std::string>().empty());
  }
  EXPECT_EQ(cell.at("seed"), 0);
  const size_t draw = cell.at("failures").at(0).at("draw");
  const std::string place =
      fmt::format("(seed 0; draw {}: stage.quick.optimizer.lr = 1e+30)", draw);
  EXPECT_NE(outcome.err.find("quick of steps=3 " + place + " failed: stage.quick"),
            std::string::npos)
      << outcome.err;
  const Outcome status = sweep(file, {"--status"});
  EXPECT_NE(status.out.find("failed: quick of steps=3 " + place + ": stage.quick"),
            std::string::npos)
      << status.out;
  EXPECT_EQ(agreed(file).size(), 1U);
  const Outcome report = run_bissl({"report", (out_ / "grid").string()});
  EXPECT_NE(report.out.find("Failed draws"), std::string::npos) << report.out;
  EXPECT_NE(report.out.find("quick failed " + place + ": stage.quick"), std::string::npos)
      << report.out;
  // Draws of a finished cell are not tried again, so nothing is left to do.
  const size_t begun = logged(": begins");
  ASSERT_EQ(sweep(file).code, 0);
  EXPECT_EQ(logged(": begins"), begun);
  const Outcome plan = sweep(file, {"--plan"});
  EXPECT_NE(plan.out.find("left to do: about 0s of work, about 0s with"), std::string::npos)
      << plan.out;
  std::map<std::string, std::vector<std::string>> rows;
  std::istringstream lines(plan.out);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    rows[name] = std::vector<std::string>(std::istream_iterator<std::string>(words),
                                          std::istream_iterator<std::string>());
  }
  // The kind, how often the stage is needed, and how many are different, in the store and to do.
  ASSERT_EQ(rows["quick"].size(), 6U) << plan.out;
  EXPECT_EQ(rows["quick"][2], "2");
  EXPECT_EQ(rows["quick"][3], "1");
  EXPECT_EQ(rows["quick"][4], "0");
  // The pipeline of a draw can be run by hand.
  const Outcome which = sweep(file, {"--cell", "steps=3"});
  EXPECT_EQ(which.code, 2);
  EXPECT_NE(which.err.find("expected --draw N with it, N from 0 to 5"), std::string::npos)
      << which.err;
  const Outcome pipeline =
      sweep(file, {"--cell", "steps=3", "--draw", std::to_string(draw), "--json"});
  EXPECT_EQ(pipeline.code, 0) << pipeline.err;
  const std::string text = json::parse(pipeline.out).at("pipeline");
  EXPECT_NE(text.find("1e+30"), std::string::npos) << text;
}

TEST_F(SweepResultsTest, AFailedParentIsNamedForAllThatNeedIt) {
  const std::string file = quick(
      "[axes]\n\"stage.pretrain.optimizer.lr\" = [0.05, 1e30]\n\"stage.quick.steps\" = [2, 3]\n");
  const Outcome outcome = sweep(file);
  ASSERT_EQ(outcome.code, 1);
  EXPECT_NE(outcome.err.find("quick of lr=1e+30,steps=2 (seed 0) cannot be computed: pretrain, "
                             "which it needs, failed"),
            std::string::npos)
      << outcome.err;
  EXPECT_NE(outcome.out.find("failed: pretrain of lr=1e+30,steps=2 (seed 0): stage.pretrain"),
            std::string::npos)
      << outcome.out;
  EXPECT_NE(outcome.out.find("[2 cells cannot be finished without it: lr=1e+30,steps=2, "
                             "lr=1e+30,steps=3]"),
            std::string::npos)
      << outcome.out;
  const json missing = report().at("missing");
  ASSERT_EQ(missing.size(), 2U);
  for (const json& cell : missing) {
    EXPECT_EQ(cell.at("axes").at("lr"), "1e+30");
    EXPECT_EQ(cell.at("failures").at(0).at("stage"), "pretrain");
    EXPECT_EQ(cell.at("failures").at(0).at("stops"), json::array({"quick"}));
    EXPECT_NE(cell.at("cause").get<std::string>().find("(needed by quick)"), std::string::npos);
  }
  EXPECT_EQ(agreed(file).size(), 2U);
}

TEST_F(SweepResultsTest, StatusOfAnEditThatWasNotRunChangesNothing) {
  const std::string file = quick(two_by_two);
  ASSERT_EQ(sweep(file).code, 0);
  const fs::path results = out_ / "grid" / "cells" / "lr=0.01,seed=0" / "results.json";
  const std::string before = read_file(results);
  quick("[set]\n\"stage.quick.steps\" = 3\n" + two_by_two);
  const Outcome status = sweep(file, {"--status"});
  EXPECT_EQ(status.code, 0);
  EXPECT_NE(status.err.find("holds another plan than"), std::string::npos) << status.err;
  EXPECT_NE(status.out.find("4 cells: 4 waiting"), std::string::npos) << status.out;
  EXPECT_EQ(read_file(results), before);
  EXPECT_TRUE(report().at("missing").empty());
}

TEST_F(SweepResultsTest, AnInterruptedSweepAndOneWithoutResultsAgree) {
  const std::string file = quick("[set]\n\"stage.pretrain.steps\" = 150\n" + two_by_two);
  BackgroundCall running({"sweep", file, "--out", out_.string(), "--threads", "1"});
  while (running.running() && logged_safely(": done") < 2) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  running.signal(SIGINT);
  running.wait();
  agreed(file);
  // A worker that was killed before it wrote the cells: the next call, --status too, writes them.
  ASSERT_EQ(sweep(file).code, 0);
  fs::remove_all(out_ / "grid" / "cells");
  EXPECT_EQ(report().at("missing").size(), 4U);
  sweep(file, {"--status"});
  EXPECT_EQ(agreed(file).size(), 4U);
}

TEST_F(SweepResultsTest, AFolderWithoutItsStoreHasTheResultsThatItsReportShows) {
  const std::string file = quick(two_by_two);
  ASSERT_EQ(sweep(file).code, 0);
  // As after a copy to another machine.
  fs::remove_all(out_ / ".store");
  fs::remove_all(out_ / "grid" / "cells" / "lr=0.02,seed=1");
  EXPECT_EQ(agreed(file),
            (std::set<std::string>{"lr=0.01,seed=0", "lr=0.01,seed=1", "lr=0.02,seed=0"}));
  // A run computes the stages again that the store lacks.
  const size_t begun = logged(": begins");
  ASSERT_EQ(sweep(file).code, 0);
  EXPECT_EQ(logged(": begins"), begun + 2 + 4);
  EXPECT_EQ(agreed(file).size(), 4U);
}

TEST_F(SweepResultsTest, AWorkerOfAReplacedPlanStops) {
  const std::string file = quick(
      "[axes]\nseed = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]\n\"stage.quick.optimizer.lr\" = [0.01]\n");
  {
    BackgroundCall starting({"sweep", file, "--out", out_.string(), "--threads", "1"});
    while (starting.running() && logged_safely(": begins") < 1) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    starting.signal(SIGINT);
    EXPECT_EQ(starting.wait().code, 130);
  }
  // As on a node of Slurm, where nothing but the folder is shared.
  BackgroundCall worker(
      {"sweep", "--worker=" + (out_ / "grid").string(), "--out", out_.string(), "--threads", "1"});
  while (worker.running() && !fs::exists(out_ / "grid" / "cells" / "seed=3,lr=0.01")) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  json plan = json::parse(read_file(out_ / "grid" / "plan.json"));
  plan["metrics"] = json::array({"quick.test.loss"});
  write_file(out_ / "grid" / "plan.new", plan.dump());
  fs::rename(out_ / "grid" / "plan.new", out_ / "grid" / "plan.json");
  const Outcome outcome = worker.wait();
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("the sweep's folder has another plan since"), std::string::npos)
      << outcome.err;
  EXPECT_EQ(outcome.err.find("quick of seed=9,lr=0.01: begins"), std::string::npos);
}

/// What a worker finds other than planned, of data, plugins or the program, is a failure of the
/// stage, which --status shows.
TEST_F(SweepResultsTest, AStageThatIsNoLongerAsPlannedHasFailed) {
  const std::string file = quick("[axes]\nseed = [0]\n");
  ASSERT_EQ(sweep(file).code, 0);
  const fs::path plan_file = out_ / "grid" / "plan.json";
  const json plan = json::parse(read_file(plan_file));
  const std::vector<std::tuple<std::string, std::string, const char*>> changes = {
      {"seed = 0", "seed = 1", "its key differs from the plan's"},
      {"optimizers/sgd", "optimizers/none", "no longer"}};
  for (const auto& [from, to, cause] : changes) {
    SCOPED_TRACE(to);
    fs::remove_all(out_ / ".store");
    fs::remove_all(out_ / "grid" / "cells");
    fs::remove_all(out_ / "grid" / "state");
    json changed = plan;
    for (json& unit : changed.at("units")) {
      std::string lock = unit.at("lock");
      replace_first(lock, from, to);
      unit["lock"] = lock;
    }
    write_file(plan_file, changed.dump());
    const Outcome worker = run_bissl({"sweep", "--worker=" + (out_ / "grid").string(), "--out",
                                      out_.string(), "--threads", "1"});
    EXPECT_EQ(worker.code, 0) << worker.err;
    EXPECT_NE(worker.err.find("pretrain of seed=0: failed: "), std::string::npos) << worker.err;
    const Outcome status = sweep(file, {"--status"});
    EXPECT_NE(status.out.find("failed: pretrain of seed=0: "), std::string::npos) << status.out;
    EXPECT_NE(status.out.find(cause), std::string::npos) << status.out;
  }
}

TEST_F(SweepResultsTest, ZippedSeedsAreTheRepetitions) {
  const std::string file = quick(R"([axes]
"stage.quick.steps" = [1, 2]
[[zip]]
seed = [0, 1, 2]
"data.labelled.subset_seed" = [0, 1, 2]
)");
  ASSERT_EQ(sweep(file).code, 0);
  const json told = report();
  ASSERT_EQ(told.at("cells").size(), 2U);
  for (const json& cell : told.at("cells")) {
    EXPECT_EQ(cell.at("metrics").at("quick.test.top1").at("n"), 3);
    EXPECT_EQ(cell.at("axes").size(), 1U);
  }
  const Outcome text = run_bissl({"report", (out_ / "grid").string()});
  EXPECT_NE(text.out.find("Repetitions are seeds (seed+subset_seed)"), std::string::npos)
      << text.out;
  EXPECT_EQ(agreed(file).size(), 6U);
}

TEST_F(SweepResultsTest, SweepsOfOneAblationAreReportedTogether) {
  const std::string rates = "[axes]\n\"stage.quick.optimizer.lr\" = [0.01, 0.02]\nseed = ";
  ASSERT_EQ(sweep(quick(rates + "[0, 1]\n", "a")).code, 0);
  ASSERT_EQ(sweep(quick(rates + "[1, 2]\n", "b")).code, 0);
  const auto together = [&](const fs::path& other) {
    return run_bissl({"report", (out_ / "a").string(), other.string(), "--json"});
  };
  const auto results_in_each = [&] {
    const json told = json::parse(together(out_ / "b").out);
    std::vector<size_t> found;
    for (const json& cell : told.at("cells")) {
      found.push_back(cell.at("metrics").at("quick.test.top1").at("n"));
    }
    found.push_back(told.at("missing").size());
    return found;
  };
  EXPECT_EQ(results_in_each(), (std::vector<size_t>{3, 3, 0}));
  // What one of them lacks the other one has.
  fs::remove_all(out_ / "a" / "cells" / "lr=0.02,seed=1");
  EXPECT_EQ(results_in_each(), (std::vector<size_t>{3, 3, 0}));
  const fs::path shared = out_ / "b" / "cells" / "lr=0.02,seed=1";
  fs::rename(shared, out_ / "kept");
  EXPECT_EQ(results_in_each(), (std::vector<size_t>{3, 2, 1}));
  fs::rename(out_ / "kept", shared);

  const fs::path file = out_ / "b" / "cells" / "lr=0.01,seed=1" / "results.json";
  json results = json::parse(read_file(file));
  results["stages"]["quick"]["metrics"]["test"].erase("top1");
  write_file(file, results.dump());
  const Outcome differing = together(out_ / "b");
  EXPECT_EQ(differing.code, 2) << differing.out;
  EXPECT_NE(differing.err.find("the cell lr=0.01,seed=1 has results in "), std::string::npos)
      << differing.err;
  EXPECT_NE(differing.err.find("quick.test.top1"), std::string::npos) << differing.err;

  ASSERT_EQ(sweep(quick("[set]\n\"stage.quick.steps\" = 3\n" + rates + "[2]\n", "c")).code, 0);
  const Outcome other = together(out_ / "c");
  EXPECT_EQ(other.code, 2) << other.out;
  EXPECT_NE(other.err.find("are not of one ablation with other seeds: stage.quick.steps is 2 in "
                           "the one and 3 in the other"),
            std::string::npos)
      << other.err;
  const Outcome run = together(out_ / "b" / "cells" / "lr=0.02,seed=1");
  EXPECT_EQ(run.code, 2);
  EXPECT_NE(run.err.find("not all of the folders are"), std::string::npos) << run.err;
}

TEST_F(SweepResultsTest, CloseValuesHaveCellsOfTheirOwn) {
  const std::string file = quick(
      "[axes]\n\"stage.quick.optimizer\" = [{ use = \"sgd\", lr = 0.01 }, { use = \"sgd\", lr = "
      "0.010000001 }]\n");
  const Outcome outcome = sweep(file, {"--check"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  ASSERT_EQ(
      sweep(quick("[axes]\n\"stage.quick.optimizer.lr\" = [0.0123456789, 0.0123456788]\n")).code,
      0);
  const json told = report();
  ASSERT_EQ(told.at("cells").size(), 2U);
  EXPECT_EQ(told.at("cells").at(0).at("axes").at("lr"), "0.0123456789");
  EXPECT_NE(read_file(out_ / "grid" / "report.runs.csv").find("0.0123456788"), std::string::npos);
  EXPECT_NE(read_file(out_ / "grid" / "report.cells.svg").find("0.0123456788"), std::string::npos);
}

}  // namespace
}  // namespace bissl::host::test
