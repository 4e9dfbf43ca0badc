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

TEST_F(ArmsTest, AStageThatIsAsLongAsAnotherIsEstimatedForEachLength) {
  const Outcome outcome = sweep(ablation("stages = [\"finetune\", \"both\"]\n[axes]\n"
                                         "\"stage.bissl.rounds\" = [3, 60]\n"),
                                {"--plan", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  std::vector<double> seconds;
  const json plan = json::parse(outcome.out);
  for (const json& stage : plan.at("stages")) {
    if (stage.at("stage") == "both") {
      seconds.push_back(stage.at("estimated_seconds"));
    }
  }
  ASSERT_EQ(seconds.size(), 2U) << outcome.out;
  EXPECT_GT(seconds[1], 3 * seconds[0]);  // 20 times as many steps, each timed for itself
}

TEST_F(ArmsTest, AStageIsAsLongAsAnother) {
  const std::string small = small_pipeline();
  write_pipeline(small.substr(0, small.find("[stage.finetune]")) +
                 arms.substr(0, arms.find("[stage.more-finetune]")));
  const Outcome run = call("run", {"--json"});
  ASSERT_EQ(run.code, 0) << run.err;
  const json stages = json::parse(run.out)["stages"];
  EXPECT_EQ(stages["more-steps"]["steps"], 9) << "3 rounds of 3 lower steps";
  EXPECT_FALSE(stages["more-steps"].contains("match")) << "the number follows from the pipeline";
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
  EXPECT_NEAR(time["gradient_images_per_second"].get<double>(),
              144 / stages["bissl"]["pretext_seconds"].get<double>(), 1e-6);

  // A stage of as many steps is the same whatever else the other stage is.
  const Outcome other = call(
      "run", {"--set", "stage.bissl.upper.steps=1", "--set", "stage.bissl.lower.batch=8", "--set",
              "stage.bissl.lower.steps=6", "--unset", "stage.both", "--unset", "stage.more-time"});
  EXPECT_EQ(other.code, 0) << other.err;
  EXPECT_NE(other.err.find("more-steps: already in the store"), std::string::npos) << other.err;
  EXPECT_EQ(other.err.find("bissl: already in the store"), std::string::npos) << other.err;
  EXPECT_EQ(call("run").code, 0);

  // The lock is a pipeline of the same stages: nothing is run again.
  const Outcome lock = run_bissl({"run", (out_ / "small/pipeline.lock.toml").string(), "--out",
                                  out_.string(), "--threads", "1"});
  EXPECT_EQ(lock.code, 0) << lock.err;
  EXPECT_NE(lock.err.find("more-time: already in the store"), std::string::npos) << lock.err;
}

/// The small pipeline without its bissl stage: what a test needs of the others.
std::string without_bissl() {
  std::string text = small_pipeline();
  text.erase(text.find("[stage.bissl]"),
             text.find("[stage.finetune]") - text.find("[stage.bissl]"));
  replace_first(text, "from       = \"bissl\"", "from       = \"pretrain\"");
  text.erase(text.find("[stage.baseline]"));
  return text;
}

/// The lines of a log.
std::vector<json> events_of(const fs::path& log) {
  std::vector<json> events;
  std::istringstream lines(read_file(log));
  for (std::string line; std::getline(lines, line);) {
    events.push_back(json::parse(line));
  }
  return events;
}

TEST_F(ArmsTest, BothLossesTrainTheBackboneAndProximityHoldsIt) {
  const size_t begin = arms.find("[stage.both.supervised]");
  write_pipeline(without_bissl() + arms.substr(begin, arms.find("[stage.more-finetune]") - begin) +
                 R"(
[stage.both]
like      = "pretrain"
from      = "pretrain"
steps     = 30
optimizer = { use = "sgd", lr = 0.05 }
)");
  struct Found {
    std::vector<json> both;
    double moved = 0;  ///< ‖θ − θ₀‖ of the fine-tuning before its last step
  };
  const auto run = [&](const std::string& weight, const std::string& lambda) -> Found {
    const Outcome outcome =
        call("run", {"--set", "stage.both.supervised.weight=" + weight, "--set",
                     "stage.finetune.proximity=" + lambda, "--set", "stage.finetune.repeats=1"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    const json last = events_of(out_ / "small/finetune/repeat-0/events.jsonl").back();
    return {events_of(out_ / "small/both/events.jsonl"),
            std::sqrt(2 * last["proximity"].get<double>() / std::stod(lambda))};
  };
  const Found light = run("1e-6", "1e-6");
  const Found heavy = run("3", "5");
  ASSERT_EQ(light.both.size(), 30U);
  ASSERT_EQ(heavy.both.size(), 30U);
  EXPECT_EQ(light.both.front()["supervised"], heavy.both.front()["supervised"]) << "the same start";
  // The mean over the last steps: each is on another batch.
  const auto last = [](const std::vector<json>& events) {
    double sum = 0;
    for (size_t i = events.size() - 10; i < events.size(); ++i) {
      sum += events[i]["supervised"].get<double>();
    }
    return sum / 10;
  };
  EXPECT_LT(last(heavy.both), last(light.both) - 0.05);
  EXPECT_NE(heavy.both.back()["loss"], light.both.back()["loss"]);
  EXPECT_TRUE(fs::exists(out_ / "small/both/head.safetensors"));
  EXPECT_GT(light.moved, 0);
  EXPECT_LT(heavy.moved, 0.8 * light.moved);
}

TEST_F(ArmsTest, WrongMatchesAreRefused) {
  const auto refusal = [&](const std::string& text) {
    write_pipeline(small_pipeline() + text);
    const Outcome check = call("check");
    EXPECT_EQ(check.code, 2) << check.out;
    return check.err;
  };
  const std::string read = refusal(R"(
[stage.a]
like  = "pretrain"
match = { stage = "bisl", by = "steps" }
[stage.b]
like  = "pretrain"
match = { stage = "b-finetune", by = "steps" }
[stage.b-finetune]
like  = "finetune"
from  = "b"
[stage.c]
like  = "pretrain"
match = { stage = "bissl", by = "steps" }
steps = 5
)");
  for (const char* part : {"stage.a.match.stage: there is no stage \"bisl\"",
                           "stage.b.match.stage: stage \"b-finetune\" comes after this one",
                           "steps and match are both given"}) {
    EXPECT_NE(read.find(part), std::string::npos) << part << "\n" << read;
  }
  const std::string built = refusal(R"(
[stage.a]
like  = "pretrain"
match = { stage = "finetune", by = "steps" }
[stage.b]
like  = "pretrain"
match = { stage = "bissl", by = "seconds" }
)");
  for (const char* part : {"is of kind \"finetune\", which trains no pretext task",
                           "takes the speed of the stage that this one continues"}) {
    EXPECT_NE(built.find(part), std::string::npos) << part << "\n" << built;
  }
}

/// Two made-up tasks, named, and an arm with as many more steps as the reference.
const std::string tasks = R"(stages = ["finetune", "more-finetune"]
reference = "more-finetune.test.top1"
tasks = "task"
[set]
"stage.finetune.repeats" = 1
"stage.pretrain.steps" = 3
"stage.bissl.rounds" = 1
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
  const Outcome run = sweep(file, {"--json"});
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
  std::string text = tasks;
  replace_first(text, "tasks = \"task\"", "tasks = \"tasks\"");
  replace_first(text, "\"large noise\"", "\"small noise\"");
  const Outcome check = sweep(ablation(text), {"--check"});
  EXPECT_EQ(check.code, 2) << check.out;
  EXPECT_NE(check.err.find("there is no axis \"tasks\""), std::string::npos) << check.err;
  EXPECT_NE(check.err.find("there are 2 labels, 1 of them different"), std::string::npos)
      << check.err;
}

}  // namespace
}  // namespace bissl::host::test
