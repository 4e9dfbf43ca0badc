// What users read when libraries fail below the program: places and advice instead of stack frames,
// codes and dumps; and what becomes of numbers that are not finite.

#include "program.h"
#include "support/paths.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

void expect_no_dump(const std::string& text) {
  for (const char* dump : {"frame #", "Exception raised from", "json.exception", "enforce fail",
                           "Allocator", "std::bad_alloc"}) {
    EXPECT_EQ(text.find(dump), std::string::npos) << text;
  }
}

class MessagesTest : public testing::Test {
 protected:
  MessagesTest() {
    fs::create_directory(plugins_);
    fs::copy(fs::path(fixture_plugin_folder) / "throws_in_run.so", plugins_);
  }

  /// Two stages of the fixture's components; `pretext` and `downstream` are their methods.
  void write(const std::string& pretext, const std::string& downstream) const {
    const std::string augment = "augment = { use = \"throwing-augmentation\" }\n";
    const std::string optimizer = "optimizer = { use = \"throwing-optimizer\" }\n";
    write_file(file_,
               "name = \"m\"\n[data.images]\nuse = \"throwing-dataset\"\n"
               "[model.backbone]\nuse = \"throwing-backbone\"\n"
               "[stage.pre]\nkind = \"pretrain\"\ndata = \"images\"\nbatch = 4\nsteps = 2\n" +
                   augment + optimizer + "pretext = { use = \"throwing-pretext\", method = \"" +
                   pretext +
                   "\" }\n"
                   "[stage.ft]\nkind = \"finetune\"\nfrom = \"pre\"\ndata = \"images\"\n"
                   "batch = 4\nsteps = 2\nrepeats = 2\n" +
                   augment + optimizer +
                   "downstream = { use = \"throwing-downstream\", method = \"" + downstream +
                   "\" }\n"
                   "evaluate = { data = \"images\", augment = { use = "
                   "\"throwing-augmentation\" } }\n");
  }

  Outcome call(const std::string& name, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {
        "--plugin-path", plugins_.string(), name,        file_.string(),
        "--out",         out_.string(),     "--threads", "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_bissl(arguments);
  }

  TemporaryFolder folder_;
  fs::path plugins_ = folder_.path() / "plugins";
  fs::path file_ = folder_.path() / "m.toml";
  fs::path out_ = folder_.path() / "runs";
};

struct Broken {
  std::string pretext;
  std::string downstream;
  std::string stage;
  std::string component;
  std::string says;
};

class BrokenGradient : public MessagesTest, public testing::WithParamInterface<Broken> {};

TEST_P(BrokenGradient, NamesStageComponentsPlaceAndAdvice) {
  const Broken& broken = GetParam();
  write(broken.pretext, broken.downstream);
  for (const char* command : {"run", "check"}) {
    const Outcome outcome = call(command);
    if (std::string(command) == "check" && outcome.code == 0) {
      continue;  // shows after the first step only
    }
    EXPECT_NE(outcome.code, 0);
    expect_no_dump(outcome.err);
    EXPECT_NE(outcome.err.find("stage." + broken.stage), std::string::npos) << outcome.err;
    EXPECT_NE(outcome.err.find(broken.component), std::string::npos) << outcome.err;
    EXPECT_NE(outcome.err.find("used at " + file_.string() + ":"), std::string::npos)
        << outcome.err;
    EXPECT_NE(outcome.err.find(broken.says), std::string::npos) << outcome.err;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Each, BrokenGradient,
    testing::Values(Broken{"loss switches off", "none", "pre",
                           "with backbone throwing-backbone (library ",
                           "in the gradient of the loss: "},
                    Broken{"loss in place", "none", "pre", "pretext throwing-pretext (library ",
                           "work on a clone() of it"},
                    Broken{"loss of two", "none", "pre", "pretext throwing-pretext (library ",
                           "in the gradient of the loss: "},
                    Broken{"loss kept", "none", "pre", "pretext throwing-pretext (library ",
                           "build its graph anew"},
                    Broken{"none", "loss cut", "ft", "downstream throwing-downstream (library ",
                           "requires_grad_(false)"},
                    Broken{"loss frames", "none", "pre", "pretext throwing-pretext (library ",
                           "in loss: no more: The size of tensor a (2)"},
                    Broken{"loss json", "none", "pre", "pretext throwing-pretext (library ",
                           "in loss: parse error at line 1"},
                    Broken{"loss memory", "none", "pre", "pretext throwing-pretext (library ",
                           "not enough memory: 144 PB"},
                    Broken{"none", "forward frames", "ft",
                           "downstream throwing-downstream (library ",
                           "in forward: no more: The size"}));

TEST_F(MessagesTest, MetricsThatAreNotFiniteAreNullWithTheReasonBesideThem) {
  write("none", "metrics not finite");
  const Outcome outcome = call("run", {"--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("warning: stage.ft: the loss on data.images is not finite (nan in "
                             "repeat 0, nan in repeat 1)"),
            std::string::npos)
      << outcome.err;
  for (const std::string& text : {outcome.out, read_file(out_ / "m/results.json")}) {
    const auto stage = nlohmann::json::parse(text)["stages"]["ft"];
    const auto& metrics = stage["metrics"]["images"];
    EXPECT_TRUE(metrics["loss"]["mean"].is_null());
    EXPECT_EQ(metrics["loss"]["not_finite"]["mean"], "nan in repeat 0, nan in repeat 1");
    EXPECT_EQ(metrics["up"]["not_finite"]["mean"], "inf in repeat 0, inf in repeat 1");
    EXPECT_EQ(metrics["top1"]["mean"], 0.5);
    EXPECT_FALSE(metrics.contains("not_finite"));
    EXPECT_TRUE(stage["per_repeat"][1]["images"]["down"].is_null());
    EXPECT_EQ(stage["per_repeat"][1]["images"]["not_finite"]["down"], "-inf");
  }
  const Outcome table = call("run");
  EXPECT_EQ(table.code, 0) << table.err;
  EXPECT_NE(table.out.find("not finite"), std::string::npos) << table.out;
  EXPECT_NE(table.out.find("0.5000"), std::string::npos) << table.out;

  const std::string run = (out_ / "m").string();
  const Outcome report = run_bissl({"report", run, "--json", "--to", (out_ / "r").string()});
  ASSERT_EQ(report.code, 0) << report.err;
  EXPECT_NE(report.out.find("images.loss is not finite: nan"), std::string::npos) << report.out;
  const Outcome diff = run_bissl({"diff", run, run, "--json"});
  ASSERT_EQ(diff.code, 0) << diff.err;
  const nlohmann::json differences = nlohmann::json::parse(diff.out);
  bool found = false;
  for (const auto& one : differences.at("results")) {
    if (one.at("key") == "ft.images.up") {
      found = true;
      EXPECT_TRUE(one.at("left").is_null());
      EXPECT_EQ(one.at("not_finite").at("left"), "inf in repeat 0, inf in repeat 1");
    }
  }
  EXPECT_TRUE(found) << diff.out;
  const Outcome words = run_bissl({"diff", run, run});
  EXPECT_NE(words.out.find("not finite"), std::string::npos) << words.out;
}

TEST_F(MessagesTest, BytesThatAreNoTextSurvive) {
  write("loss bytes", "none");
  const Outcome check = call("check", {"--json"});
  EXPECT_EQ(check.code, 2) << check.err;
  EXPECT_NE(nlohmann::json::parse(check.out)["stages"][0]["errors"][0].get<std::string>().find(
                "no more \xEF\xBF\xBD"),
            std::string::npos)
      << check.out;
  expect_no_dump(check.err);
  write("none", "none");
  const fs::path folder = folder_.path() / "r\xFFs";
  const Outcome run = run_bissl({"--plugin-path", plugins_.string(), "run", file_.string(), "--out",
                                 folder.string(), "--threads", "1", "--json"});
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_TRUE(fs::exists(folder / "m/results.json"));
  EXPECT_FALSE(nlohmann::json::parse(run.out)["folder"].get<std::string>().empty());
  const Outcome list = run_bissl({"store", "list", "--out", folder.string(), "--json"});
  EXPECT_EQ(list.code, 0) << list.err;
  EXPECT_EQ(nlohmann::json::parse(list.out)["entries"].size(), 2U);
}

class DegenerateData : public testing::Test {
 protected:
  Outcome check(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {"check",       file_.string(), "--out",
                                          out_.string(), "--threads",    "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_bissl(arguments);
  }
  TemporaryFolder folder_;
  fs::path file_ = folder_.path() / "small.toml";
  fs::path out_ = folder_.path() / "runs";
};

TEST_F(DegenerateData, IsWarnedOfWithCountsByCheckAndRun) {
  write_file(file_, small_pipeline());
  const Outcome plain = check();
  EXPECT_EQ(plain.code, 0) << plain.err;
  EXPECT_EQ(plain.err.find("one class only"), std::string::npos) << plain.err;

  const Outcome one = check({"--set", "data.test.limit=1", "--set", "data.labelled.limit=1"});
  EXPECT_NE(one.err.find("warning: data.test: one class only: all 1 samples are of class "),
            std::string::npos)
      << one.err;
  EXPECT_NE(one.err.find("warning: data.labelled: one class only: all 1 samples are of class "),
            std::string::npos)
      << one.err;

  const Outcome single = check({"--set", "data.labelled.per_class=1"});
  EXPECT_NE(single.err.find("warning: data.labelled: no class has more than one sample ("),
            std::string::npos)
      << single.err;
  EXPECT_EQ(plain.err.find("no class has more than one sample"), std::string::npos) << plain.err;

  const Outcome emptied = check({"--set", "data.test.limit=1"});
  EXPECT_NE(emptied.err.find("classes have no samples left: "), std::string::npos) << emptied.err;
  EXPECT_NE(emptied.err.find("limit, per_class or skip_per_class left them out"), std::string::npos)
      << emptied.err;

  // A stage that is scored on what it, or a stage before it, is trained on.
  const std::vector<std::string> same = {"--set", "stage.finetune.evaluate.data=labelled", "--set",
                                         "stage.baseline.evaluate.data=labelled"};
  const std::string expected =
      "warning: data.labelled, which is scored on, shares images with data.labelled, which is "
      "trained on: ";
  const Outcome shared = check(same);
  EXPECT_NE(shared.err.find(expected), std::string::npos) << shared.err;
  const size_t first = shared.err.find(expected);
  EXPECT_EQ(shared.err.find(expected, first + 1), std::string::npos) << "more than once";
  std::vector<std::string> run = {"run", file_.string(), "--out", out_.string(), "--threads", "1"};
  run.insert(run.end(), same.begin(), same.end());
  const Outcome trained = run_bissl(run);
  EXPECT_EQ(trained.code, 0) << trained.err;
  EXPECT_NE(trained.err.find(expected), std::string::npos) << trained.err;
}

TEST_F(DegenerateData, ImagesOfOneValueAreCounted) {
  const fs::path plugins = folder_.path() / "plugins";
  fs::create_directory(plugins);
  fs::copy(fs::path(fixture_plugin_folder) / "throws_in_run.so", plugins);
  // The fixture's images are all of the value 100.
  write_file(file_,
             "name = \"m\"\n[data.images]\nuse = \"throwing-dataset\"\n"
             "[model.backbone]\nuse = \"throwing-backbone\"\n"
             "[stage.pre]\nkind = \"pretrain\"\ndata = \"images\"\nbatch = 4\n"
             "steps = 2\naugment = { use = \"throwing-augmentation\" }\n"
             "optimizer = { use = \"throwing-optimizer\" }\n"
             "pretext = { use = \"throwing-pretext\" }\n");
  const Outcome outcome = run_bissl({"--plugin-path", plugins.string(), "check", file_.string()});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("warning: data.images: all of the 32 images are the same image"),
            std::string::npos)
      << outcome.err;
  EXPECT_NE(outcome.err.find("warning: data.images: 32 of the 32 images are of one value"),
            std::string::npos)
      << outcome.err;
}

/// A pipeline of the program's own components.
class LimitsTest : public testing::Test {
 protected:
  LimitsTest() { write_file(file_, small_pipeline()); }
  Outcome call(const std::string& name, const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {name,          file_.string(), "--out",
                                          out_.string(), "--threads",    "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_bissl(arguments);
  }
  TemporaryFolder folder_;
  fs::path file_ = folder_.path() / "small.toml";
  fs::path out_ = folder_.path() / "runs";
};

TEST_F(LimitsTest, BatchesBeyondAllMemoryAreRefusedBeforeTheyAreTried) {
  for (const auto& [key, value] : std::vector<std::pair<std::string, std::string>>{
           {"stage.pretrain.batch", "4000000000000"},
           {"stage.pretrain.batch", "10000000000000000"},
           {"stage.finetune.batch", "9000000000000"},
           {"stage.bissl.lower.batch", "1000000000000000"},
           {"stage.bissl.lower.hessian_batch", "4000000000000"},
           {"stage.bissl.lower.hessian_batches", "300000000000"},
           {"stage.bissl.upper.batch", "4000000000000"}}) {
    for (const char* command : {"check", "run"}) {
      if (std::string(command) == "check" && key != "stage.pretrain.batch") {
        continue;  // it makes the same calls
      }
      const Outcome outcome = call(command, {"--set", key + "=" + value});
      EXPECT_EQ(outcome.code, 2) << outcome.err;
      // "stage.pretrain (small.toml:1:1): batch = 7: …"
      const size_t dot = key.find('.', 6);
      EXPECT_NE(outcome.err.find(key.substr(0, dot) + " ("), std::string::npos) << outcome.err;
      EXPECT_NE(outcome.err.find("): " + key.substr(dot + 1) + " = " + value + ": "),
                std::string::npos)
          << outcome.err;
      EXPECT_NE(outcome.err.find("and there are "), std::string::npos) << outcome.err;
      expect_no_dump(outcome.err);
    }
  }
  // Scoring makes no batch larger than the data.
  const Outcome scored =
      call("run", {"--set", "stage.finetune.evaluate.batch=9223372036854775807"});
  EXPECT_EQ(scored.code, 0) << scored.err;
}

TEST_F(LimitsTest, DevicesThatAreNotThereAreNamedBeforeTheDataIsRead) {
  write_file(file_, "this is no pipeline");  // would be told first if it were read first
  const auto expect_refusal = [&](const std::string& command, const std::string& device) {
    const Outcome outcome = call(command, {"--device", device});
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    EXPECT_NE(outcome.err.find("--device " + device + ": "), std::string::npos) << outcome.err;
    EXPECT_NE(outcome.err.find("available here: cpu"), std::string::npos) << outcome.err;
    expect_no_dump(outcome.err);
  };
  for (const char* device : {"cuda:977", "banana", "mps", "meta", "xla", "cpu:7", "cuda:x", ""}) {
    expect_refusal("run", device);
  }
  expect_refusal("check", "vulkan");
  expect_refusal("sweep", "cuda:99");
  const Outcome compare =
      run_bissl({"compare", (folder_.path() / "nowhere").string(), "--device", "cuda:99"});
  EXPECT_EQ(compare.code, 2) << compare.err;
  EXPECT_NE(compare.err.find("--device cuda:99: "), std::string::npos) << compare.err;
}

TEST_F(LimitsTest, TheArithmeticOfAGpuIsRefusedForTheProcessor) {
  for (const char* choice : {"--deterministic", "--tf32", "--cpu-views", "--channels-last"}) {
    const Outcome outcome = call("check", {choice});
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    EXPECT_NE(outcome.err.find(std::string(choice) +
                               " is for --device cuda, and this run computes on cpu. Leave it "
                               "out, or choose a GPU"),
              std::string::npos)
        << outcome.err;
  }
}

TEST_F(LimitsTest, TheStageWhoseWeightsBrokeIsNamedAndNothingIsPublished) {
  std::string text = small_pipeline();
  const std::string lars = R"(use = "lars", lr = 0.5)";
  text.replace(text.find(lars), lars.size(), R"(use = "sgd", lr = 0.5)");
  write_file(file_, text);
  for (const auto& [stage, settings] :
       std::vector<std::pair<std::string, std::vector<std::string>>>{
           {"pretrain",
            {"stage.pretrain.steps=1", "stage.pretrain.optimizer.lr=1e30",
             "stage.pretrain.optimizer.weight_decay=1e30"}},
           {"finetune",
            {"stage.finetune.steps=1", "stage.finetune.optimizer.lr=1e30",
             "stage.finetune.optimizer.weight_decay=1e30"}},
           {"bissl",
            {"stage.bissl.upper.optimizer.lr=1e30", "stage.bissl.upper.optimizer.weight_decay=1e30",
             "stage.bissl.rounds=1", "stage.bissl.upper.steps=1"}}}) {
    std::vector<std::string> more;
    for (const std::string& setting : settings) {
      more.insert(more.end(), {"--set", setting});
    }
    const Outcome outcome = call("run", more);
    EXPECT_EQ(outcome.code, 1) << outcome.err;
    EXPECT_NE(outcome.err.find("error: stage." + stage + " ("), std::string::npos) << outcome.err;
    EXPECT_NE(outcome.err.find("the weights of the"), std::string::npos) << outcome.err;
    EXPECT_NE(outcome.err.find("numbers are not finite)"), std::string::npos) << outcome.err;
    EXPECT_NE(outcome.err.find("Try a smaller learning rate"), std::string::npos) << outcome.err;
    EXPECT_FALSE(fs::exists(out_ / "small" / stage / "stage.json"));
  }
}

TEST_F(LimitsTest, AStageThatLeavesUselessWeightsIsBlamedByTheOneThatLoadsThem) {
  // Finite weights of a stage without normalisation, too large for any loss.
  std::string text = small_pipeline();
  const std::string lars = R"(use = "lars", lr = 0.5)";
  text.replace(text.find(lars), lars.size(), R"(use = "sgd", lr = 1e30)");
  write_file(file_, text);
  const Outcome outcome = call("run", {"--set", "stage.pretrain.steps=1"});
  EXPECT_EQ(outcome.code, 1) << outcome.err;
  EXPECT_NE(outcome.err.find("stage.pretrain"), std::string::npos) << outcome.err;
  EXPECT_EQ(outcome.err.find("fine-tuning diverged: loss nan, gradient norm nan. Try"),
            std::string::npos)
      << outcome.err;
}

TEST_F(LimitsTest, ATestLossThatOverflowsEndsWithAResult) {
  const Outcome outcome =
      call("run", {"--set", "stage.finetune.steps=1", "--set", "stage.finetune.optimizer.lr=1e30"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("warning: stage.finetune: the loss on data.test is not finite"),
            std::string::npos)
      << outcome.err;
}

}  // namespace
}  // namespace bissl::host::test
