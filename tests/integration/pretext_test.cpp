// Pretext tasks with a teacher, with queues and with views of several sizes, and what tasks ask of
// backbones, through whole runs.

#include "program.h"
#include "support/paths.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* two_sizes =
    "views = [{ count = 2, augment = { use = \"simclr\", size = 8 } }, "
    "{ count = 2, augment = { use = \"simclr\", size = 6 } }]";

struct Task {
  const char* name;
  const char* table;
  const char* views;
  bool patches = false;  ///< with a backbone that has tokens
};

constexpr Task byol{"byol",
                    R"({ use = "byol", projector = [8, 4], predictor = [8], momentum = 0.8 })",
                    "augment = { use = \"simclr\", size = 8 }"};
/// The queue is filled from the fourth step on and used from the sixth on.
constexpr Task swav{"swav",
                    R"({ use = "swav", projector = [8, 4], prototypes = 6, queue = 32, )"
                    R"(queue_after = 3, freeze_prototypes = 2 })",
                    two_sizes};
/// A teacher and a queue that is written round and round.
constexpr Task moco{"moco", R"({ use = "moco", projector = [8, 4], queue = 40, momentum = 0.8 })",
                    "augment = { use = \"simclr\", size = 8 }"};
/// A centre, a temperature and frozen prototypes that depend on the age of the task.
constexpr Task dino{"dino",
                    R"({ use = "dino", hidden = [8], bottleneck = 4, prototypes = 6, )"
                    R"(freeze_prototypes = 2, teacher_temperature_start = 0.02, )"
                    R"(teacher_temperature_warmup = 12, momentum = 0.8 })",
                    two_sizes};
/// Draws random numbers in its loss.
constexpr Task jigsaw{"jigsaw", R"({ use = "jigsaw", grid = 2, permutations = 12, hidden = [8] })",
                      "augment = { use = \"simclr\", size = 8 }"};

constexpr const char* one_size = "augment = { use = \"simclr\", size = 8 }";
/// What training saw last of each sample, and labels that are assigned from it.
constexpr Task sela{"sela", R"({ use = "sela", labels = 5, hidden = [6], relabel_every = 0.3 })",
                    one_size};
/// Teachers on tokens; what they hide is drawn in the loss.
constexpr Task i_jepa{"i_jepa",
                      R"({ use = "i-jepa", targets = 2, predictor_width = 8, predictor_depth = 1, )"
                      R"(predictor_heads = 2, momentum = 0.8 })",
                      one_size, /*patches=*/true};
constexpr Task msn{"msn", R"({ use = "msn", projector = [8, 4], prototypes = 6, momentum = 0.8 })",
                   two_sizes, /*patches=*/true};
/// Running statistics of correlations.
constexpr Task barlow_twins{"barlow_twins", R"({ use = "barlow-twins", projector = [8, 6] })",
                            one_size};
constexpr Task moco_v3{
    "moco_v3", R"({ use = "moco-v3", projector = [8, 4], predictor = [8], momentum = 0.8 })",
    one_size};
/// A queue without a teacher, and one with.
constexpr Task nnclr{
    "nnclr", R"({ use = "nnclr", projector = [8, 4], predictor = [8], queue = 40 })", one_size};
constexpr Task ressl{
    "ressl", R"({ use = "ressl", projector = [8, 4], queue = 40, momentum = 0.8 })", one_size};
/// A teacher, and a covariance of earlier batches.
constexpr Task tico{"tico", R"({ use = "tico", projector = [8, 4], momentum = 0.8 })", one_size};

/// The first two stages of the small pipeline with another pretext task.
std::string pipeline(const Task& task) {
  std::string text = small_pipeline();
  replace_first(text, R"({ use = "simclr", projector = [8, 8] })", task.table);
  replace_first(text, R"(augment   = { use = "simclr", size = 8 })", task.views);
  if (task.patches) {
    replace_first(text, "use   = \"resnet18\"\nstem  = \"small\"\nwidth = 2",
                  "use = \"patch-network\"\npatch = 2");
  }
  return text.substr(0, text.find("[stage.finetune]"));
}

class PretextTask : public ::testing::TestWithParam<Task> {
 protected:
  PretextTask() {
    write_file(file_, pipeline(GetParam()));
    fs::create_directories(plugins_);
    if (GetParam().patches) {
      fs::copy(fs::path(fixture_plugin_folder) / "patches.so", plugins_ / "patches.so");
    }
  }

  std::vector<std::string> call(const fs::path& out,
                                const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words = {
        "--plugin-path", plugins_.string(), "run",       file_.string(),
        "--out",         out.string(),      "--threads", "1"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }

  /// Trains the same with audits and without, each in a folder of its own. The solves of both are
  /// finite.
  void expect_that_audits_leave_training_alone(
      const std::vector<std::string>& settings = {}) const {
    std::vector<std::string> more = settings;
    const fs::path plain = folder_.path() / "plain";
    more.emplace_back("--json");
    const Outcome outcome = run_bissl(call(plain, more));
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    const auto stages = nlohmann::json::parse(outcome.out).at("stages");
    EXPECT_EQ(stages.at("bissl").at("solves").at("upper_steps"), 6);
    more.insert(more.end(), {"--set", "stage.bissl.audit={ every = 2, iterations = 3 }"});
    const fs::path audited = folder_.path() / "audited";
    const Outcome with_audits = run_bissl(call(audited, more));
    ASSERT_EQ(with_audits.code, 0) << with_audits.err;
    EXPECT_EQ(with_audits.err.find("an audit cannot be made"), std::string::npos)
        << with_audits.err;
    for (const char* name : {"backbone.safetensors", "pretext.safetensors"}) {
      const fs::path file = fs::path("small") / "bissl" / name;
      EXPECT_TRUE(read_file(plain / file) == read_file(audited / file)) << name;
    }
  }

  TemporaryFolder folder_;
  fs::path file_ = folder_.path() / "small.toml";
  fs::path plugins_ = folder_.path() / "plugins";
};

/// Stopped in the middle of both stages, the run ends with the same bits, teacher, queue and
/// counters included.
TEST_P(PretextTask, ResumesToTheBit) {
  const fs::path whole = folder_.path() / "whole";
  const fs::path broken = folder_.path() / "broken";
  const Outcome first = run_bissl(call(whole));
  ASSERT_EQ(first.code, 0) << first.err;
  int interrupted = 0;
  for (const char* stage : {"pretrain", "bissl"}) {
    const fs::path log = fs::path("small") / stage / "events.jsonl";
    const auto size = read_file(whole / log).size();
    for (const size_t part : {size / 3, size * 2 / 3}) {
      const Outcome outcome = run_bissl_until(call(broken), broken / log, part);
      ASSERT_TRUE(outcome.code == 130 || outcome.code == 0) << outcome.err;
      interrupted += outcome.code == 130 ? 1 : 0;
    }
  }
  EXPECT_GE(interrupted, 2) << "the run was too fast to be interrupted";
  ASSERT_EQ(run_bissl(call(broken)).code, 0);
  for (const char* name : {"pretrain/backbone.safetensors", "pretrain/pretext.safetensors",
                           "bissl/backbone.safetensors", "bissl/pretext.safetensors",
                           "bissl/head.safetensors", "bissl/events.jsonl"}) {
    EXPECT_TRUE(read_file(whole / "small" / name) == read_file(broken / "small" / name)) << name;
  }
}

TEST_P(PretextTask, IsALowerLevelForOtherApproximatorsAndAudits) {
  const Outcome identity = run_bissl(
      call(folder_.path() / "out", {"--set", "stage.bissl.hypergradient={ use = \"identity\" }"}));
  EXPECT_EQ(identity.code, 0) << identity.err;
  expect_that_audits_leave_training_alone({"--set", "seed=4"});
}

class LowerLevel : public PretextTask {};

/// Both stages run, with exact Hessian products.
TEST_P(LowerLevel, IsTrainedAndSolvedForTheSameWithAudits) {
  expect_that_audits_leave_training_alone();
}

std::string name_of(const ::testing::TestParamInfo<Task>& info) { return info.param.name; }

// The default tests have one of each kind: a loss on features, one on maps, one on tokens, one on
// views of several sizes, and one that makes its own views.
INSTANTIATE_TEST_SUITE_P(
    Each, LowerLevel,
    ::testing::Values(
        Task{"lejepa", R"({ use = "lejepa", projector = [8, 4], slices = 8 })", two_sizes},
        Task{"relative_location", R"({ use = "relative-location", hidden = [8], gap = 0.0 })",
             one_size},
        Task{"simmim_tokens", R"({ use = "simmim", mask_size = 4 })", one_size, /*patches=*/true},
        Task{"supcon", R"({ use = "supcon", projector = [8, 4] })", one_size},
        Task{"vicregl",
             R"({ use = "vicregl", projector = [8, 4], local_projector = [8, 4], pairs = 3 })",
             one_size}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    Wide, LowerLevel,
    ::testing::Values(
        Task{"dcl", R"({ use = "dcl", projector = [8, 6] })", one_size},
        Task{"dclw", R"({ use = "dclw", projector = [8, 6] })", one_size},
        Task{"inpainting", R"({ use = "inpainting", width = 4 })", one_size},
        Task{"mae", R"({ use = "mae", decoder_width = 8, decoder_depth = 1, decoder_heads = 2 })",
             one_size,
             /*patches=*/true},
        Task{"rotation", R"({ use = "rotation" })", one_size},
        Task{"simmim_maps", R"({ use = "simmim", mask_size = 2 })", one_size},
        Task{"simsiam", R"({ use = "simsiam", projector = [8, 4], predictor = [4] })", one_size},
        Task{"vicreg", R"({ use = "vicreg", projector = [8, 4] })", one_size},
        Task{"w_mse", R"({ use = "w-mse", projector = [8, 2], part = 8, epsilon = 1e-3 })",
             one_size}),
    name_of);

// Of each kind of state one: prototypes and a queue with counters, a teacher with a queue, random
// numbers, labels of samples, and a teacher on tokens.
INSTANTIATE_TEST_SUITE_P(Each, PretextTask, ::testing::Values(swav, moco, jigsaw, sela, i_jepa),
                         name_of);
INSTANTIATE_TEST_SUITE_P(Wide, PretextTask,
                         ::testing::Values(byol, dino, msn, barlow_twins, moco_v3, nnclr, ressl,
                                           tico),
                         name_of);

class PretextRun : public ::testing::Test {
 protected:
  Outcome run(const std::string& text, const std::string& command = "run",
              const std::vector<std::string>& more = {}) const {
    const fs::path file = folder_.path() / "small.toml";
    write_file(file, text);
    std::vector<std::string> words = {"--plugin-path", plugins_.string()};
    words.insert(words.end(), {command, file.string(), "--out", (folder_.path() / "out").string(),
                               "--threads", "1"});
    words.insert(words.end(), more.begin(), more.end());
    return run_bissl(words);
  }

  /// A folder with these fixture plugins and no others.
  void use(const std::vector<std::string>& libraries) const {
    fs::create_directories(plugins_);
    for (const std::string& name : libraries) {
      fs::copy(fs::path(fixture_plugin_folder) / (name + ".so"), plugins_ / (name + ".so"));
    }
  }

  TemporaryFolder folder_;
  fs::path plugins_ = folder_.path() / "plugins";
};

/// Each stage counts its own steps, the lower level through all rounds; the task's own count
/// continues. The host gives the task the stage's data and batches, and the samples of each batch.
TEST_F(PretextRun, AStageCountsItsOwnSteps) {
  use({"counts_steps"});
  std::string text = small_pipeline();
  replace_first(text, R"({ use = "simclr", projector = [8, 8] })",
                R"({ use = "counts-steps", steps = 8, stages = 1 })");
  replace_first(text, "[stage.bissl.lower]\n",
                "[stage.bissl.lower]\npretext = { use = \"counts-steps\", steps = 9, stages = 2, "
                "hessian_batch = 12 }\nhessian_batch = 12\n");
  text = text.substr(0, text.find("[stage.finetune]"));
  const Outcome outcome = run(text);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  // The same with another expectation, to know that the task does compare.
  replace_first(text, "steps = 9, stages = 2", "steps = 9, stages = 1");
  const Outcome other = run(text);
  EXPECT_EQ(other.code, 1);
  EXPECT_NE(other.err.find("in after_step: stages is 2, 1 expected"), std::string::npos)
      << other.err;
}

TEST_F(PretextRun, AMissingAbilityNamesBothSides) {
  use({"patches"});
  std::string text = small_pipeline();
  replace_first(text, R"({ use = "simclr", projector = [8, 8] })", R"({ use = "masked-patches" })");
  for (const char* command : {"check", "run"}) {
    const Outcome outcome = run(text, command);
    EXPECT_EQ(outcome.code, 2) << outcome.out;
    for (const char* words : {"pretext masked-patches (library", "small.toml:",
                              "needs a backbone with tokens of patches", "bissl.backbone.tokens/1",
                              "backbone resnet18 (library", "has none"}) {
      EXPECT_NE(outcome.err.find(words), std::string::npos) << words << "\n" << outcome.err;
    }
  }
}

TEST_F(PretextRun, TokensAndMapsReachTheTask) {
  use({"patches"});
  std::string text = small_pipeline();
  replace_first(text, R"({ use = "simclr", projector = [8, 8] })", R"({ use = "masked-patches" })");
  replace_first(text, "use   = \"resnet18\"\nstem  = \"small\"\nwidth = 2",
                "use = \"patch-network\"");
  text = text.substr(0, text.find("[stage.finetune]"));
  const Outcome masked = run(text);
  EXPECT_EQ(masked.code, 0) << masked.err;
  // What throws in an ability is attributed to the backbone.
  const Outcome fault = run(text, "run", {"--set", "model.backbone.fault=tokens"});
  EXPECT_EQ(fault.code, 1);
  EXPECT_NE(fault.err.find("in tokens: thrown in tokens"), std::string::npos) << fault.err;
  EXPECT_NE(fault.err.find("backbone patch-network"), std::string::npos) << fault.err;

  std::string dense = small_pipeline();
  replace_first(dense, R"({ use = "simclr", projector = [8, 8] })",
                R"({ use = "dense-distance" })");
  const Outcome maps = run(dense.substr(0, dense.find("[stage.bissl]")));
  EXPECT_EQ(maps.code, 0) << maps.err;
}

TEST_F(PretextRun, ViewsInAnotherOrderAreRefusedBeforeTraining) {
  std::string text = pipeline(swav);
  replace_first(text, "size = 8 } }, { count = 2, augment = { use = \"simclr\", size = 6 }",
                "size = 6 } }, { count = 2, augment = { use = \"simclr\", size = 8 }");
  fs::create_directories(plugins_);
  const Outcome outcome = run(text, "check");
  EXPECT_EQ(outcome.code, 2) << outcome.out;
  EXPECT_NE(outcome.err.find("Name the full-size views first"), std::string::npos) << outcome.err;
}

/// What a task refuses of data and batches is wrong input of the pipeline.
TEST_F(PretextRun, DataAndBatchesThatDoNotServeAreRefused) {
  fs::create_directories(plugins_);
  const std::vector<std::pair<Task, const char*>> refused = {
      {{"queue", R"({ use = "moco", projector = [8, 4], queue = 12 })", one_size},
       "moco: queue = 12 does not hold a batch of 16 samples"},
      {{"long_queue", R"({ use = "nnclr", projector = [8, 4], queue = 97 })", one_size},
       "nnclr: queue = 97 is longer than the data, which has 96 samples"},
      {{"part", R"({ use = "w-mse", projector = [8, 2], part = 10 })", one_size},
       "w-mse whitens 10 samples at a time (part, for 2 dimensions), and the batch has 16"},
      {{"prototypes", R"({ use = "dino", hidden = [8], bottleneck = 4, prototypes = 3 })",
        two_sizes},
       "dino: prototypes = 3 is fewer than the 4 classes of the data"},
  };
  for (const auto& [task, words] : refused) {
    const Outcome outcome = run(pipeline(task), "check");
    EXPECT_EQ(outcome.code, 2) << task.name << "\n" << outcome.out;
    EXPECT_NE(outcome.err.find(words), std::string::npos) << task.name << "\n" << outcome.err;
  }
}

TEST_F(PretextRun, DifferencesOfGradientsMoveFixedTargets) {
  fs::create_directories(plugins_);
  const std::string words = "move the targets that pretext swav";
  const Outcome exact = run(pipeline(swav), "check");
  EXPECT_EQ((exact.out + exact.err).find(words), std::string::npos) << exact.out;
  const Outcome differences =
      run(pipeline(swav), "check", {"--set", "stage.bissl.hypergradient={ use = \"darts\" }"});
  EXPECT_EQ(differences.code, 0) << differences.err;
  EXPECT_NE((differences.out + differences.err).find(words), std::string::npos) << differences.out;
}

TEST(ConformBackbone, ATaskIsTriedWithTheBackboneThatItNeeds) {
  const std::string library = (fs::path(fixture_plugin_folder) / "patches.so").string();
  const Outcome without = run_bissl({"conform", "--json", library});
  EXPECT_EQ(without.code, 3) << without.out << without.err;
  EXPECT_NE(without.out.find("Give --backbone NAME"), std::string::npos) << without.out;
  EXPECT_NE(without.out.find("needs a backbone with feature maps"), std::string::npos);

  const auto failures = [&](const std::vector<std::string>& more, const std::string& component) {
    std::vector<std::string> words = {"conform", "--json", library, "--component", component};
    words.insert(words.end(), more.begin(), more.end());
    const Outcome outcome = run_bissl(words);
    const auto report = nlohmann::json::parse(outcome.out, nullptr, false);
    std::string found = report.is_discarded() ? outcome.out + outcome.err : "";
    int passed = 0;
    for (const auto& check : report.value("checks", nlohmann::json::array())) {
      if (check["component"] == component) {
        found += check["status"] == "failed" ? check.dump() + "\n" : "";
        passed += check["status"] == "passed" ? 1 : 0;
      }
    }
    return passed >= 15 ? found : found + "only " + std::to_string(passed) + " passed";
  };
  for (const char* form : {"masked", "kept"}) {
    EXPECT_EQ(failures({"--backbone", "patch-network", "--set", std::string("form=") + form},
                       "masked-patches"),
              "");
  }
  // A backbone of another library, with a parameter of its own.
  EXPECT_EQ(failures({"--backbone", "resnet18", "--set", "resnet18.width=2", "--set",
                      "resnet18.stem=small"},
                     "dense-distance"),
            "");
}

TEST(ConformBackbone, IsRefusedWhereItMakesNoSense) {
  const auto error_of = [](const std::string& library, const std::vector<std::string>& more) {
    std::vector<std::string> words = {"conform", (fs::path(fixture_plugin_folder) / library)};
    words.insert(words.end(), more.begin(), more.end());
    const Outcome outcome = run_bissl(words);
    EXPECT_EQ(outcome.code, 2) << outcome.out << outcome.err;
    return outcome.err;
  };
  EXPECT_NE(error_of("patches.so", {"--backbone", "resnet19"})
                .find("--backbone resnet19: there is no backbone of that name; there are "),
            std::string::npos);
  EXPECT_NE(error_of("faulty_backbone.so", {"--backbone", "specimen"}).find("no task to try"),
            std::string::npos);
  EXPECT_NE(error_of("patches.so", {"--backbone", "patch-network", "--set", "patch=11"})
                .find("takes images of none of the usual shapes"),
            std::string::npos);
}

}  // namespace
}  // namespace bissl::host::test
