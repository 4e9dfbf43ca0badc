// What stops a stage, and what is to be doubted, is found before anything is trained.

#include "check_fixture.h"
#include "support/paths.h"

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

TEST_F(CheckTest, AHeadWithLessThanItsParents) {
  const Outcome outcome = call("check", sets({"stage.bissl.lower.pretext.projector=[8]"}));
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("the pretext that stage.pretrain hands on does not fit"),
            std::string::npos)
      << outcome.err;
}

TEST_F(CheckTest, FinishedStagesAreNotTriedButWhatFollowsThemIs) {
  ASSERT_EQ(call("run").code, 0);
  const fs::path key = fs::canonical(out_ / "small" / "pretrain");
  // A batch of one would fail in the pretraining, which is not run again; the child's head differs.
  const Outcome outcome = call("run", sets({"stage.bissl.lower.pretext.projector=[8, 4]"}));
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("error: stage.bissl ("), std::string::npos) << outcome.err;
  EXPECT_EQ(outcome.err.find("error: stage.pretrain"), std::string::npos) << outcome.err;
  EXPECT_EQ(fs::canonical(out_ / "small" / "pretrain"), key);
}

TEST_F(CheckTest, StageNamesThatFilesOfTheRunHaveAreRefused) {
  for (const std::string name : {"results.json", "Results.JSON", "pipeline.lock.toml",
                                 "report.html", "report.cells.csv", "plan.json", "sweep.lock"}) {
    std::string text = small_pipeline();
    const std::string old = "[stage.baseline]";
    text.replace(text.find(old), old.size(), "[stage.\"" + name + "\"]");
    write_file(file_, text);
    for (const char* command : {"check", "run"}) {
      const Outcome outcome = call(command);
      EXPECT_EQ(outcome.code, 2) << name;
      EXPECT_NE(outcome.err.find("small.toml:72:8: error: stage.\"" + name +
                                 "\": no stage can have this name"),
                std::string::npos)
          << outcome.err;
    }
  }
  EXPECT_FALSE(fs::exists(out_));
}

TEST_F(CheckTest, OverridesOfWhatIsNotThereAreTold) {
  const Outcome outcome =
      call("check", sets({"stage.finetun.steps=3", "data.tset.samples=3", "data.te.st.samples=3"}));
  EXPECT_EQ(outcome.code, 2);
  for (const char* said :
       {"stage.finetun: there is no stage \"finetun\"", "did you mean \"finetune\"?",
        "data.tset: there is no data source \"tset\"", "did you mean \"test\"?",
        "data.te: there is no data source \"te\"; a name with dots is put in quotation marks"}) {
    EXPECT_NE(outcome.err.find(said), std::string::npos) << said << "\n" << outcome.err;
  }
}

TEST_F(CheckTest, StageNamesThatDifferInCaseOnlyAreRefused) {
  write_file(file_, small_pipeline() + "[stage.FineTune]\nlike = \"finetune\"\n");
  const Outcome outcome = call("check");
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("error: stage.FineTune: stage \"finetune\" differs only in upper and "
                             "lower case"),
            std::string::npos)
      << outcome.err;
}

TEST_F(CheckTest, APlaceThatIsTakenInTheRunFolderIsFoundFirst) {
  fs::create_directories(out_ / "small" / "finetune");
  for (const char* name : {"check", "run"}) {
    const Outcome outcome = call(name);
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    EXPECT_NE(outcome.err.find("something that is no link has this name"), std::string::npos)
        << outcome.err;
  }
  EXPECT_FALSE(fs::exists(out_ / ".store"));
}

TEST_F(CheckTest, WarningsAreSpokenOnceByEachCall) {
  const std::string said = "batch = 16 is more than the 4 images of data.images";
  const std::vector<std::string> few = sets({"data.images.samples=4"});
  for (const char* name : {"check", "run"}) {
    const Outcome outcome = call(name, few);
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(count_of(outcome.err, "warning: stage.pretrain: " + said), 1U) << outcome.err;
  }
  std::vector<std::string> more = few;
  more.insert(more.end(), {"--jobs", "2"});
  const Outcome cells = sweep(more);
  ASSERT_EQ(cells.code, 0) << cells.err;
  EXPECT_EQ(count_of(cells.err, "warning: stage.pretrain: " + said), 1U) << cells.err;
  for (const auto& log : fs::directory_iterator(out_ / "A" / "logs")) {
    EXPECT_EQ(read_file(log.path()).find(said), std::string::npos) << log.path();
  }
}

TEST_F(CheckTest, WarmupStepsNeedAnOptimizer) {
  for (const char* name : {"check", "run"}) {
    const Outcome outcome = call(name, {"--set", "stage.bissl.head_warmup.fit=\"sgd\"", "--unset",
                                        "stage.bissl.head_warmup.optimizer"});
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    EXPECT_NE(outcome.err.find("head_warmup: steps of training need an optimizer"),
              std::string::npos)
        << outcome.err;
    EXPECT_EQ(outcome.err.find("done in"), std::string::npos) << outcome.err;
  }
}

TEST_F(CheckTest, RoundsThatNothingDecides) {
  for (const char* name : {"check", "run"}) {
    const Outcome outcome =
        call(name, {"--set", "stage.bissl.rounds=auto", "--set", "stage.pretrain.epochs=2",
                    "--unset", "stage.pretrain.steps"});
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    EXPECT_NE(outcome.err.find("rounds = \"auto\": the stages before this one do not say"),
              std::string::npos)
        << outcome.err;
    EXPECT_EQ(outcome.err.find("done in"), std::string::npos) << outcome.err;
  }
}

TEST_F(CheckTest, EachKindOfDoubtIsSpokenByTheRun) {
  const Outcome outcome = call(
      "run", sets({"stage.bissl.lambda=0.001", "stage.bissl.upper.batch=100",
                   "stage.finetune.batch=1", "stage.finetune.evaluate.batch=1",
                   "stage.finetune.augment.size=16", "stage.finetune.evaluate.augment.size=16"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  for (const char* said :
       {"warning: stage.bissl: λ · lr/(1 − momentum) · lower steps",
        "warning: stage.bissl: upper.batch = 100 is more than the 48 images of data.labelled",
        "warning: stage.finetune: batch = 1: batch normalisation takes its statistics from a "
        "single image"}) {
    EXPECT_EQ(count_of(outcome.err, said), 1U) << said << "\n" << outcome.err;
  }
}

/// Numbers that a short stage, its rounding or too little data take the effect from.
TEST_F(CheckTest, WhatAStageIsTooShortOrTooSmallForIsSpoken) {
  write_file(file_, small_pipeline() + R"(
[stage.as-long]
like  = "pretrain"
batch = 320
match = { stage = "bissl", by = "steps" }

[stage.look]
kind       = "analyse"
from       = "pretrain"
data       = "test"
augment    = { use = "evaluation", size = 8 }
pictures   = ["tsne", "umap"]
perplexity = 50
umap_neighbours = 70
)");
  const Outcome outcome =
      call("check", sets({"stage.pretrain.monitor={data=\"test\",every=1,figures=[\"knn\"],"
                          "samples=500,k=40,augment={use=\"evaluation\",size=8}}"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  for (const char* said :
       {"warning: stage.as-long: match: 0.45 steps make this stage as long as stage.bissl; 1 is "
        "taken",
        "warning: stage.pretrain: monitor.samples = 500 is more than the 64 images of data.test",
        "warning: stage.pretrain: monitor.k = 40 is more than half of the 64 images",
        "warning: stage.look: perplexity = 50 is more than a third of the other 63 samples of "
        "data.test: t-SNE takes 21",
        "warning: stage.look: umap_neighbours = 70 is more than the 64 samples of data.test"}) {
    EXPECT_EQ(count_of(outcome.err, said), 1U) << said << "\n" << outcome.err;
  }
}

/// The pretraining has 8 steps. What continues its task is older than its own steps.
TEST_F(CheckTest, StepsThatATaskPutsOffBeyondTheStageAreSpoken) {
  const auto warnings = [&](const std::string& frozen) {
    const Outcome outcome =
        call("check", sets({"stage.pretrain.pretext={use=\"dino\",hidden=[8],bottleneck=4,"
                            "prototypes=6,teacher_temperature_start=0.02,"
                            "teacher_temperature_warmup=7,freeze_prototypes=" +
                            frozen + "}"}));
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return count_of(outcome.err, "pretext.freeze_prototypes = " + frozen + " (training steps") +
           count_of(outcome.err, "teacher_temperature_warmup = 7 (");
  };
  EXPECT_EQ(warnings("7"), 0U);
  EXPECT_EQ(warnings("8"), 1U);
}

/// Pipelines of the fixture's components, which have parameters that make them fail.
class FixtureCheck : public CheckTest {
 protected:
  Outcome with_fixture(const std::string& name) const {
    const fs::path plugins = folder_.path() / "plugins";
    fs::create_directory(plugins);
    fs::copy(fs::path(fixture_plugin_folder) / "throws_in_run.so", plugins / "throws_in_run.so",
             fs::copy_options::overwrite_existing);
    return call(name, {"--plugin-path", plugins.string()});
  }
};

/// A pretraining on the fixture's dataset with a fault.
std::string pretraining_on(const std::string& fault) {
  return R"(name = "small"
[data.images]
use = "throwing-dataset"
method = ")" +
         fault + R"("
[model.backbone]
use = "throwing-backbone"
[stage.pretrain]
kind = "pretrain"
data = "images"
batch = 4
steps = 2
augment = { use = "throwing-augmentation" }
pretext = { use = "throwing-pretext" }
optimizer = { use = "throwing-optimizer" }
)";
}

TEST_F(FixtureCheck, AFailingFingerprintIsTold) {
  write_file(file_, pretraining_on("fingerprint"));
  const Outcome check = with_fixture("check");
  EXPECT_EQ(check.code, 2);
  for (const char* said : {"error: stage.pretrain (", "data.images (", "in fingerprint: no more"}) {
    EXPECT_NE(check.err.find(said), std::string::npos) << said << "\n" << check.err;
  }
}

TEST_F(FixtureCheck, ImagesOfSeveralSizes) {
  write_file(file_, pretraining_on("last image smaller"));
  for (const char* name : {"check", "run"}) {
    const Outcome outcome = with_fixture(name);
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    EXPECT_NE(outcome.err.find("sample 31 of 4x4 pixels gives views of another shape"),
              std::string::npos)
        << outcome.err;
  }
  EXPECT_FALSE(fs::exists(out_ / ".store"));
}

TEST_F(FixtureCheck, KfacNeedsLayersOfTheSdk) {
  write_file(file_, R"(name = "small"
[data.images]
use = "throwing-dataset"
[model.backbone]
use = "throwing-backbone"
method = "no layers"
[stage.pretrain]
kind = "pretrain"
data = "images"
batch = 4
steps = 2
augment = { use = "throwing-augmentation" }
pretext = { use = "throwing-pretext" }
optimizer = { use = "throwing-optimizer" }
[stage.bissl]
kind = "bissl"
from = "pretrain"
rounds = 1
hypergradient = { use = "kfac" }
[stage.bissl.lower]
steps = 1
[stage.bissl.upper]
data = "images"
steps = 1
batch = 4
augment = { use = "throwing-augmentation" }
downstream = { use = "throwing-downstream" }
optimizer = { use = "throwing-optimizer" }
)");
  for (const char* name : {"check", "run"}) {
    const Outcome outcome = with_fixture(name);
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    EXPECT_NE(outcome.err.find("works layer by layer"), std::string::npos) << outcome.err;
  }
}

TEST_F(FixtureCheck, AccumulationOfATaskThatCouplesSamples) {
  const auto text = [](const std::string& method, const std::string& upper) {
    const std::string augment = "augment = { use = \"throwing-augmentation\" }\n";
    const std::string optimizer = "optimizer = { use = \"throwing-optimizer\" }\n";
    const std::string downstream =
        "downstream = { use = \"throwing-downstream\", method = \"" + method + "\" }\n";
    const std::string labelled = "data = \"images\"\nsteps = 1\nbatch = 4\naccumulate = 2\n" +
                                 augment + downstream + optimizer;
    return pretraining_on("none") +
           (upper.empty() ? "[stage.tuned]\nkind = \"finetune\"\nfrom = \"pretrain\"\n" + labelled
                          : "[stage.both]\nkind = \"bissl\"\nfrom = \"pretrain\"\nrounds = 1\n"
                            "hypergradient = { use = \"throwing-hypergradient\" }\n"
                            "[stage.both.lower]\nsteps = 1\n[stage.both.upper]\n" +
                                labelled);
  };
  for (const std::string key : {"accumulate", "upper.accumulate"}) {
    const std::string upper = key == "accumulate" ? "" : "upper";
    write_file(file_, text("none", upper));
    const Outcome separable = with_fixture("check");
    EXPECT_EQ(separable.code, 0) << separable.err;
    write_file(file_, text("couples samples", upper));
    for (const char* name : {"check", "run"}) {
      const Outcome outcome = with_fixture(name);
      EXPECT_EQ(outcome.code, 2) << outcome.err;
      EXPECT_NE(outcome.err.find(key + " = 2, but the loss of downstream throwing-downstream"),
                std::string::npos)
          << outcome.err;
      EXPECT_NE(outcome.err.find("couples the samples of a batch ("), std::string::npos)
          << outcome.err;
    }
  }
}

}  // namespace
}  // namespace bissl::host::test
