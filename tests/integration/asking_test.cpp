// Tasks that ask for more than views and features: targets and geometry in a pretext task, feature
// maps and tokens in a downstream task, through whole runs.

#include "program.h"
#include "support/paths.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

/// The first two stages of the small pipeline with another pretext task.
std::string with_pretext(const std::string& table,
                         const std::string& hypergradient = "use = \"cg\", iterations = 2") {
  std::string text = small_pipeline(hypergradient);
  replace_first(text, R"({ use = "simclr", projector = [8, 8] })", table);
  return text.substr(0, text.find("[stage.finetune]"));
}

constexpr const char* masks = R"(name = "small"
seed = 1

[data.train]
use = "marked"

[data.test]
use     = "marked"
samples = 16
seed    = 5

[model.backbone]
use   = "resnet18"
stem  = "small"
width = 4

[stage.tune]
kind       = "finetune"
from       = "scratch"
data       = "train"
augment    = { use = "supervised", size = 16, mean = [0.5], std = [0.25] }
downstream = { use = "segment" }
optimizer  = { use = "adamw", lr = 0.02 }
batch      = 16
steps      = 30
evaluate   = { data = "test", augment = { use = "evaluation", size = 16, mean = [0.5], std = [0.25] } }
)";

class Asking : public ::testing::Test {
 protected:
  Asking() {
    fs::create_directories(plugins_);
    for (const char* name : {"asks_for_more.so", "patches.so"}) {
      fs::copy(fs::path(fixture_plugin_folder) / name, plugins_ / name);
    }
  }

  Outcome call(const std::string& command, const std::string& text,
               const std::vector<std::string>& sets = {}) const {
    const fs::path file = folder_.path() / "small.toml";
    write_file(file, text);
    std::vector<std::string> words = {"--plugin-path", plugins_.string(),
                                      command,         file.string(),
                                      "--out",         (folder_.path() / "out").string(),
                                      "--threads",     "1"};
    for (const std::string& set : sets) {
      words.insert(words.end(), {"--set", set});
    }
    return run_bissl(words);
  }

  void expect_refused(const std::string& text, const std::vector<std::string>& sets,
                      std::initializer_list<const char*> words) const {
    for (const char* command : {"check", "run"}) {
      const Outcome outcome = call(command, text, sets);
      EXPECT_EQ(outcome.code, 2) << outcome.out;
      for (const char* word : words) {
        EXPECT_NE(outcome.err.find(word), std::string::npos) << word << "\n" << outcome.err;
      }
    }
  }

  double pixels() const {
    const auto results =
        nlohmann::json::parse(read_file(folder_.path() / "out/small/results.json"));
    return results.at("stages").at("tune").at("metrics").at("test").at("pixels").at("mean");
  }

  TemporaryFolder folder_;
  fs::path plugins_ = folder_.path() / "plugins";
};

TEST_F(Asking, APretextTaskLearnsFromTargets) {
  for (const char* hypergradient :
       {"use = \"cg\", iterations = 2", "use = \"unrolled\", steps = 2"}) {
    const Outcome outcome = call(
        "run", with_pretext("{ use = \"class-contrast\" }", hypergradient),
        {"stage.bissl.audit={ every = 2, iterations = 3 }", "stage.bissl.lower.hessian_batches=2"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(outcome.err.find("an audit cannot be made"), std::string::npos) << outcome.err;
  }
}

TEST_F(Asking, DataWithoutTargetsIsRefusedWithBothNames) {
  expect_refused(
      with_pretext("{ use = \"class-contrast\" }"), {"data.images.labelled=false"},
      {"pretext class-contrast (library ", "small.toml:",
       "takes category targets, but data.images (dataset synthetic, used at ", "has no targets"});
  // Of the lower level alone.
  std::string text = with_pretext("{ use = \"simclr\", projector = [8, 8] }");
  replace_first(text, "[stage.bissl.lower]\n",
                "[stage.bissl.lower]\npretext = { use = \"class-contrast\" }\n");
  expect_refused(text, {"data.images.labelled=false"}, {"stage.bissl", "has no targets"});
}

TEST_F(Asking, AccumulationIsRefusedForCoupledSamples) {
  expect_refused(with_pretext("{ use = \"class-contrast\" }"), {"stage.pretrain.accumulate=2"},
                 {"pretext class-contrast", "couples the samples of a batch (gathered)"});
}

TEST_F(Asking, APretextTaskReadsWhereViewsLie) {
  const std::vector<std::string> audit = {"stage.bissl.audit={ every = 2, iterations = 3 }"};
  const Outcome random = call("run", with_pretext("{ use = \"places\" }"), audit);
  EXPECT_EQ(random.code, 0) << random.err;
  EXPECT_EQ(random.err.find("an audit cannot be made"), std::string::npos) << random.err;
  // Whole images and parts are distinguished.
  const Outcome parts = call("run", with_pretext("{ use = \"places\", whole = true }"));
  EXPECT_EQ(parts.code, 1) << parts.out;
  EXPECT_NE(parts.err.find("the view is not the whole image"), std::string::npos) << parts.err;
  std::string text = with_pretext("{ use = \"places\", whole = true }");
  replace_first(text, "augment   = { use = \"simclr\", size = 8 }",
                "augment   = { use = \"evaluation\", size = 8 }");
  const Outcome whole = call("run", text, audit);
  EXPECT_EQ(whole.code, 0) << whole.err;
}

TEST_F(Asking, ATaskWithAHeadOnFeatureMapsLearnsMasks) {
  const Outcome outcome = call("run", masks);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_GT(pixels(), 0.93);  // the ground has 0.81 of the pixels
  const Outcome frozen = call("run", masks, {"stage.tune.freeze_backbone=true", "seed=2"});
  ASSERT_EQ(frozen.code, 0) << frozen.err;
}

/// 16-bit samples of 257 times the 8-bit ones are the same images to the bit; of five bands as of
/// one.
TEST_F(Asking, ImagesMayHave16BitsAndAnyNumberOfBands) {
  std::string text = masks;
  replace_first(
      text, "{ use = \"supervised\", size = 16, mean = [0.5], std = [0.25] }",
      "[ { use = \"resized-crop\", size = 16 }, { use = \"flip\" }, { use = \"normalize\" } ]");
  replace_first(text, "{ use = \"evaluation\", size = 16, mean = [0.5], std = [0.25] }",
                "[ { use = \"to-planes\" }, { use = \"normalize\" } ]");
  const auto pixels_of = [&](const char* bits, const char* channels) {
    const Outcome outcome =
        call("run", text,
             {std::string("data.train.bits=") + bits, std::string("data.test.bits=") + bits,
              std::string("data.train.channels=") + channels,
              std::string("data.test.channels=") + channels});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return outcome.code == 0 ? pixels() : -1.0;
  };
  const double narrow = pixels_of("8", "1");
  EXPECT_EQ(pixels_of("16", "1"), narrow);
  EXPECT_GT(narrow, 0.85);
  EXPECT_GT(pixels_of("16", "5"), 0.85);
}

TEST_F(Asking, SixteenBitsAreRefusedWithBothNamesWhereTheyAreNotTaken) {
  fs::copy(fs::path(fixture_plugin_folder) / "of_sdk_2_0.so", plugins_ / "of_sdk_2_0.so");
  std::string text = masks;
  replace_first(text, "{ use = \"supervised\", size = 16, mean = [0.5], std = [0.25] }",
                "{ use = \"of-2-0\", size = 16 }");
  expect_refused(text, {"data.train.bits=16"},
                 {"16-bit images of dataset marked (library ", "augmentation of-2-0 (library ",
                  "takes 8-bit pixels, but the images have samples of 16 bits"});
}

TEST_F(Asking, AnUpperLevelTakesSuchAHead) {
  std::string text = with_pretext("{ use = \"simclr\", projector = [8, 8] }");
  replace_first(text, "[data.labelled]\n", "[data.marked]\nuse = \"marked\"\n\n[data.labelled]\n");
  const size_t upper = text.find("data       = \"labelled\"");
  text.replace(upper, std::string("data       = \"labelled\"").size(), "data       = \"marked\"");
  replace_first(
      text,
      "augment    = { use = \"supervised\", size = 8 }\n"
      "downstream = { use = \"classification\" }",
      "augment    = { use = \"supervised\", size = 8 }\ndownstream = { use = \"segment\" }");
  const Outcome outcome = call("run", text);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
}

TEST_F(Asking, ABackboneWithoutMapsIsRefusedWithBothNames) {
  std::string text = masks;
  replace_first(text, "use   = \"resnet18\"\nstem  = \"small\"\nwidth = 4",
                "use = \"patch-network\"");
  for (const char* needs : {"true", "false"}) {
    expect_refused(text, {std::string("stage.tune.downstream.needs=") + needs},
                   {"downstream segment (library ", "needs a backbone with feature maps",
                    "backbone patch-network (library ", "has none"});
  }
}

TEST_F(Asking, AHeadReadsTokens) {
  std::string text = small_pipeline();
  replace_first(text, "use   = \"resnet18\"\nstem  = \"small\"\nwidth = 2",
                "use = \"patch-network\"");
  replace_first(text, "downstream = { use = \"classification\" }",
                "downstream = { use = \"token-classes\" }");
  replace_first(text, "downstream = { use = \"classification\" }",
                "downstream = { use = \"token-classes\" }");
  const Outcome outcome = call("run", text);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
}

/// The failed checks of one component, with their details, and how many passed.
std::pair<std::string, int> conform(const std::string& component,
                                    const std::vector<std::string>& more) {
  std::vector<std::string> words = {"conform", "--json",
                                    (fs::path(fixture_plugin_folder) / "asks_for_more.so").string(),
                                    "--component", component};
  words.insert(words.end(), more.begin(), more.end());
  const Outcome outcome = run_bissl(words);
  const auto report = nlohmann::json::parse(outcome.out, nullptr, false);
  std::pair<std::string, int> found = {report.is_discarded() ? outcome.out + outcome.err : "", 0};
  for (const auto& check : report.value("checks", nlohmann::json::array())) {
    if (check["component"] == component) {
      found.first +=
          check["status"] == "failed" || check["status"] == "not tested" ? check.dump() + "\n" : "";
      found.second += check["status"] == "passed" ? 1 : 0;
    }
  }
  return found;
}

const std::vector<std::string> small_resnet = {
    "--backbone", "resnet18", "--set", "resnet18.width=2", "--set", "resnet18.stem=small"};

TEST(ConformAsking, TasksThatAskForMoreConform) {
  for (const char* component : {"class-contrast", "places", "segment"}) {
    const auto [failures, passed] = conform(component, small_resnet);
    EXPECT_EQ(failures, "") << component;
    EXPECT_GE(passed, 12) << component;
  }
}

TEST(ConformAsking, WhatIsAskedForInVainIsFound) {
  const auto deaf = [](const std::string& component) {
    return conform(component, {"--set", component + ".deaf=true"}).first;
  };
  const std::string of_targets = deaf("class-contrast");
  EXPECT_NE(of_targets.find("other targets change neither the loss nor a buffer"),
            std::string::npos)
      << of_targets;
  const std::string of_places = deaf("places");
  EXPECT_NE(of_places.find("the loss ignores where they lie"), std::string::npos) << of_places;
}

TEST(ConformAsking, AHeadThatNeedsAnAbilityIsNotTestedWithoutIt) {
  const auto [failures, passed] = conform("segment", {});
  EXPECT_EQ(passed, 0);
  EXPECT_NE(failures.find("needs a backbone with feature maps"), std::string::npos) << failures;
  EXPECT_NE(failures.find("Give --backbone NAME"), std::string::npos) << failures;
  const auto other = conform("token-classes", small_resnet).first;
  EXPECT_NE(other.find("needs a backbone with tokens of patches"), std::string::npos) << other;
}

}  // namespace
}  // namespace bissl::host::test
