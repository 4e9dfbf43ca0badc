// Arms of a comparison: stages that are as long as another, training on both losses at once, fine-
// tuning that is tied to its start; and a sweep over tasks whose report says which arm is better.

#include "sweep_fixture.h"

#include <algorithm>
#include <cmath>

namespace bissl::host::test {
namespace {

/// The small pipeline with arms that are as long as its bissl stage: 3 rounds of 3 lower steps of
/// 16 images and 2 upper steps of 8.
const std::string arms = R"(
[stage.more-steps]
like  = "pretrain"
from  = "pretrain"
match = { stage = "bissl", by = "steps" }

[stage.more-time]
like  = "more-steps"
match = { stage = "bissl", by = "seconds" }

[stage.both]
like  = "more-steps"
match = { stage = "bissl", by = "gradients" }
batch = 8

[stage.both.supervised]
data       = "labelled"
batch      = 8
weight     = 0.5
augment    = { use = "supervised", size = 8 }
downstream = { use = "classification" }

[stage.more-finetune]
like = "finetune"
from = "more-steps"
)";

class ArmsTest : public SweepTest {
 protected:
  ArmsTest() { write_pipeline(small_pipeline() + arms); }

  void write_pipeline(std::string text) const {
    // The schedule's warm-up is inherited, and the stages are short.
    replace_first(text, ", warmup_steps = 2", "");
    write_file(folder_.path() / "small.toml", text);
  }
  Outcome call(const std::string& name, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words = {
        name, (folder_.path() / "small.toml").string(), "--out", out_.string(), "--threads", "1"};
    words.insert(words.end(), more.begin(), more.end());
    return run_bissl(words);
  }
};

TEST_F(ArmsTest, AStageIsAsLongAsAnother) {
  const Outcome run = call("run", {"--json"});
  ASSERT_EQ(run.code, 0) << run.err;
  const json stages = json::parse(run.out)["stages"];
  EXPECT_EQ(stages["more-steps"]["steps"], 9) << "3 rounds of 3 lower steps";
  EXPECT_EQ(stages["more-steps"]["match"]["by"], "steps");
  // 144 pretext images; the products with 3 graphs on 16 images; two passes of 6 upper steps and 3
  // of the head on 8 images of one view, half of an image each.
  const int products = stages["bissl"]["solves"]["hessian_products"];
  const int gradient_images = 144 + (2 * products + 3) * 16 + (12 + 3) * 8 / 2;
  EXPECT_GT(products, 0);
  EXPECT_EQ(stages["bissl"]["images"], 144);
  EXPECT_EQ(stages["bissl"]["gradient_images"], gradient_images);
  // A step is on 8 pretext images and half of 8 labelled ones.
  EXPECT_EQ(stages["both"]["steps"], std::lround(gradient_images / 12.0));
  const json time = stages["more-time"]["match"];
  EXPECT_GT(time["seconds"].get<double>(), 0);
  EXPECT_EQ(stages["more-time"]["steps"],
            std::max<long>(1, std::lround(time["budget"].get<double>() / 16)));
  EXPECT_NEAR(time["budget"].get<double>(),
              time["seconds"].get<double>() * time["gradient_images_per_second"].get<double>(),
              1e-6);

  // Nothing is run again, and another bissl stage makes another budget, in keys as in steps.
  const Outcome again = call("run");
  EXPECT_NE(again.err.find("more-time: already in the store"), std::string::npos) << again.err;
  const Outcome longer = call("run", {"--json", "--set", "stage.bissl.rounds=4"});
  ASSERT_EQ(longer.code, 0) << longer.err;
  EXPECT_EQ(json::parse(longer.out)["stages"]["more-steps"]["steps"], 12);
  // The lock is a pipeline of the same stages.
  const Outcome lock = run_bissl({"run", (out_ / "small/pipeline.lock.toml").string(), "--out",
                                  out_.string(), "--threads", "1"});
  EXPECT_EQ(lock.code, 0) << lock.err;
  EXPECT_NE(lock.err.find("more-time: already in the store"), std::string::npos) << lock.err;
}

TEST_F(ArmsTest, BothLossesTrainTheBackbone) {
  const auto run = [&](const std::string& weight) {
    const Outcome outcome = call("run", {"--set", "stage.both.supervised.weight=" + weight});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    std::vector<json> events;
    std::istringstream lines(read_file(out_ / "small/both/events.jsonl"));
    for (std::string line; std::getline(lines, line);) {
      events.push_back(json::parse(line));
    }
    return events;
  };
  const std::vector<json> light = run("1e-6");
  const std::vector<json> heavy = run("3");
  ASSERT_EQ(light.size(), heavy.size());
  EXPECT_EQ(light.front()["supervised"], heavy.front()["supervised"]) << "the same start";
  EXPECT_LT(heavy.back()["supervised"].get<double>(), light.back()["supervised"].get<double>());
  EXPECT_NE(heavy.back()["loss"], light.back()["loss"]);
  EXPECT_TRUE(fs::exists(out_ / "small/both/head.safetensors"));
}

TEST_F(ArmsTest, ProximityKeepsFineTuningNearItsStart) {
  const auto moved = [&](const std::string& lambda) {
    const Outcome outcome = call("run", {"--set", "stage.baseline.proximity=" + lambda});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    std::istringstream lines(read_file(out_ / "small/baseline/repeat-0/events.jsonl"));
    json last;
    for (std::string line; std::getline(lines, line);) {
      last = json::parse(line);
    }
    // (λ/2)·‖θ − θ₀‖² before the last step.
    return std::sqrt(2 * last["proximity"].get<double>() / std::stod(lambda));
  };
  const double loose = moved("1e-6");
  const double tight = moved("5");
  EXPECT_GT(loose, 0);
  EXPECT_LT(tight, 0.8 * loose);
  const Outcome frozen = call("check", {"--set", "stage.baseline.proximity=1", "--set",
                                        "stage.baseline.freeze_backbone=true"});
  EXPECT_NE(frozen.err.find("stage.baseline.proximity"), std::string::npos) << frozen.err;
}

TEST_F(ArmsTest, WrongMatchesAreRefused) {
  const auto refusal = [&](const std::string& from, const std::string& to) {
    std::string text = small_pipeline() + arms;
    replace_first(text, from, to);
    write_pipeline(text);
    const Outcome check = call("check");
    EXPECT_EQ(check.code, 2) << check.out;
    return check.err;
  };
  const std::string steps = R"(match = { stage = "bissl", by = "steps" })";
  EXPECT_NE(refusal(steps, R"(match = { stage = "bisl", by = "steps" })")
                .find("stage.more-steps.match.stage: there is no stage \"bisl\""),
            std::string::npos);
  EXPECT_NE(refusal(steps, R"(match = { stage = "more-finetune", by = "steps" })")
                .find("stage.more-steps.match.stage: stage \"more-finetune\" comes after this one"),
            std::string::npos);
  EXPECT_NE(refusal(steps, steps + "\nsteps = 5").find("steps and match are both given"),
            std::string::npos);
  EXPECT_NE(refusal(steps, R"(match = { stage = "finetune", by = "steps" })")
                .find("is of kind \"finetune\", which trains no pretext task"),
            std::string::npos);
  EXPECT_NE(refusal("from  = \"pretrain\"\nmatch", "from  = \"scratch\"\nmatch")
                .find("takes the speed of the stage that this one continues"),
            std::string::npos);
}

/// Two made-up tasks, named, and an arm with as many more steps as the reference.
const std::string tasks = R"(stages = ["finetune", "more-finetune", "more-time"]
reference = "more-finetune.test.top1"
tasks = "task"
[set]
"stage.finetune.repeats" = 1
[axes]
seed = [0, 1]
[[zip]]
name = "task"
labels = ["small noise", "large noise"]
"data.labelled.noise" = [0.1, 0.4]
"data.test.noise" = [0.1, 0.4]
)";

TEST_F(ArmsTest, ASweepOverTasksEndsInAVerdict) {
  const std::string file = ablation(tasks);
  const Outcome run = sweep(file, {"--json", "--jobs", "2"});
  ASSERT_EQ(run.code, 0) << run.err;
  const auto found = cells(run);
  ASSERT_EQ(found.size(), 4U);
  EXPECT_EQ(found.count("task=large_noise,seed=1") + found.count("seed=1,task=large_noise"), 1U);
  const Outcome report = run_bissl({"report", (out_ / "grid").string(), "--json"});
  ASSERT_EQ(report.code, 0) << report.err;
  const json said = json::parse(report.out);
  ASSERT_EQ(said["pooled"].size(), 1U);
  const json& one = said["pooled"].front();
  EXPECT_EQ(one["arm"], "finetune");
  EXPECT_EQ(one["against"], "more-finetune");
  EXPECT_EQ(one["pairs"], 4);
  EXPECT_EQ(one["tasks"].size(), 2U);
  EXPECT_EQ(one["tasks"][1]["task"], "large noise");
  EXPECT_GT(one["seconds"].get<double>(), 0);
  EXPECT_NE(said["verdict"].get<std::string>().find("over 2 tasks with 2 pairs of runs each"),
            std::string::npos)
      << said["verdict"];
  for (const json& cell : said["cells"]) {
    EXPECT_TRUE(cell["to_baseline"].is_null());
  }
  const std::string page = read_file(out_ / "grid/report.md");
  EXPECT_LT(page.find("## Verdict"), page.find("## Cells"));
}

TEST_F(ArmsTest, NamesOfTasksAreChecked) {
  const auto refusal = [&](const std::string& from, const std::string& to) {
    std::string text = tasks;
    replace_first(text, from, to);
    const Outcome check = sweep(ablation(text), {"--check"});
    EXPECT_EQ(check.code, 2) << check.out;
    return check.err;
  };
  EXPECT_NE(refusal("tasks = \"task\"", "tasks = \"tasks\"").find("there is no axis \"tasks\""),
            std::string::npos);
  EXPECT_NE(refusal(", \"large noise\"", "").find("there are 1 labels, 1 of them different"),
            std::string::npos);
  EXPECT_NE(refusal("\"large noise\"", "\"small noise\"").find("there are 2 labels, 1 of them"),
            std::string::npos);
}

}  // namespace
}  // namespace bissl::host::test
