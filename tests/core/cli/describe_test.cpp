#include "cli/describe_command.h"
#include "cli/snippet.h"

#include "support/paths.h"

#include <gtest/gtest.h>
#include <toml++/toml.h>
#include <nlohmann/json.hpp>

#include <optional>
#include <sstream>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

struct StageOptions {
  std::string data;
  int64_t epochs = 10;
};

struct LowerOptions {
  std::string data;
  std::optional<double> clip;
};

struct WarmupOptions {
  int64_t epochs = 0;
};

/// A kind of stage with all that a table can hold.
StageKindSpec alternate() {
  Schema<StageOptions> own;
  own.add("data", &StageOptions::data, "what it trains on").required().names_data();
  own.add("epochs", &StageOptions::epochs, "how long").at_least(1).unit("epochs");
  Schema<LowerOptions> lower;
  lower.add("data", &LowerOptions::data, "what the lower level trains on").required().names_data();
  lower.add("clip", &LowerOptions::clip, "the largest norm of a gradient").more_than(0.0);
  Schema<WarmupOptions> warmup;
  warmup.add("epochs", &WarmupOptions::epochs, "how long the head is warmed up").at_least(0);

  StageKindSpec kind;
  kind.name = "alternate";
  kind.summary = "two levels in turn";
  kind.needs_parent = true;
  kind.table.parameters = own.specs();
  kind.table.components = {
      {"hypergradient", ComponentKind::hypergradient, true, "how the levels are joined"},
      {"backbone", ComponentKind::backbone, false, "another network"}};
  SubtableSpec lower_table{"lower", {}, true, "the lower level"};
  lower_table.table.parameters = lower.specs();
  lower_table.table.components = {
      {"optimizer", ComponentKind::optimizer, true, "what makes its steps"}};
  lower_table.inherits_from = "pretrain";
  SubtableSpec warmup_table{"warmup", {}, false, "the head first"};
  warmup_table.table.parameters = warmup.specs();
  kind.table.tables = {lower_table, warmup_table};
  return kind;
}

class Describe : public testing::Test {
 protected:
  Describe() {
    EXPECT_TRUE(registry_.load_library(library_, true));
    StageKindSpec still;
    still.name = "still";
    still.summary = "a stage that does nothing";
    still.hands_on = {"backbone"};
    kinds_ = {alternate(), still};
  }

  std::string describe(const std::string& name, bool json = false) {
    std::ostringstream out;
    std::ostringstream err;
    EXPECT_EQ(run_describe(registry_, kinds_, name, json, out, err), 0);
    EXPECT_EQ(err.str(), "");
    return out.str();
  }

  const std::string library_ = std::string(fixture_plugin_folder) + "/good.so";
  Registry registry_;
  std::vector<StageKindSpec> kinds_;
};

TEST_F(Describe, RegisteredComponent) {
  EXPECT_EQ(describe("halve"),
            "hypergradient halve: half of the upper gradient\n"
            "Source: Doe 2020, eq. 1\n"
            "Library: good 1.2.3 (MIT), " +
                library_ +
                "\n"
                R"(
Parameters
  iterations  an integer of at least 1; default 3; unit: steps
              how often nothing is done
  damping     a float of more than 0; default 10.0
              has no effect
  scope       one of "global", "layer"; default "global"
              over which parameters
  tolerance   a float of at least 0; may be left out
              where to stop early

TOML
  # half of the upper gradient
  [stage.NAME.hypergradient]
  use = "halve"
  # how often nothing is done (an integer of at least 1; unit: steps)
  iterations = 3
  # has no effect (a float of more than 0)
  damping = 10.0
  # over which parameters (one of "global", "layer")
  scope = "global"
  # where to stop early (a float of at least 0; may be left out)
  # tolerance = 1.0
)");
}

TEST_F(Describe, WhatMakesViews) {
  StageKindSpec kind;
  kind.name = "views";
  kind.summary = "sees views";
  kind.table.augment = AugmentSlot{true, "makes views"};
  kinds_.push_back(kind);
  const std::string text = describe("views");
  for (const char* part :
       {"augment  an augmentation, { use = … }, or a chain of transforms, [ { use = … }, … ]; "
        "required, or views\n           makes views\n",
        "views    an array of groups of views, each { count = N, augment = … }; in the place of "
        "augment\n",
        "augment = { use = \"NAME\" }\n  # or a chain of transforms: augment = [ { use = "
        "\"NAME\" }, … ]\n  # or views that differ: views = [ { count = 2, augment = … }, … ]\n"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  }
  const auto json = nlohmann::json::parse(describe("views", true));
  const auto& slot = json["stage_kinds"][0]["components"][0];
  EXPECT_EQ(slot["name"], "augment");
  EXPECT_EQ(slot["chain_of"], "transform");
  EXPECT_EQ(slot["several_views"], true);
}

TEST_F(Describe, QualifiedNameGivesAQualifiedUse) {
  const std::string text = describe("good/halve");
  EXPECT_EQ(text.rfind("hypergradient halve: ", 0), 0U);
  EXPECT_NE(text.find("use = \"good/halve\"\n"), std::string::npos);
}

TEST_F(Describe, AllThatShareTheName) {
  const std::string text = describe("still");
  EXPECT_EQ(text.rfind("optimizer still: leaves parameters alone\n", 0), 0U);
  EXPECT_NE(text.find("\nstage kind still: a stage that does nothing\n"
                      "Starts from random weights, or continues from another stage.\n"
                      "Stages that continue from it get its backbone.\n"),
            std::string::npos);
  const auto json = nlohmann::json::parse(describe("still", true));
  EXPECT_EQ(json.at("components").size(), 1U);
  EXPECT_EQ(json.at("stage_kinds").size(), 1U);
}

TEST_F(Describe, StageKind) {
  EXPECT_EQ(describe("alternate"),
            R"(stage kind alternate: two levels in turn
Continues from another stage (from = "NAME") or starts anew (from = "scratch").
No other stage continues from it.
What its table "lower" leaves out is taken from the nearest pretrain stage that it continues from.

Parameters
  data    a string; required; names a [data.NAME]
          what it trains on
  epochs  an integer of at least 1; default 10; unit: epochs
          how long

Components
  hypergradient  a component of kind hypergradient; required
                 how the levels are joined
  backbone       a component of kind backbone; may be left out
                 another network

Tables
  lower   a table; required
          the lower level
  warmup  a table; may be left out
          the head first

Parameters of the table "lower"
  data  a string; required; names a [data.NAME]
        what the lower level trains on
  clip  a float of more than 0; may be left out
        the largest norm of a gradient

Components of the table "lower"
  optimizer  a component of kind optimizer; required
             what makes its steps

Parameters of the table "warmup"
  epochs  an integer of at least 0; default 0
          how long the head is warmed up

TOML
  # two levels in turn
  [stage.NAME]
  kind = "alternate"
  # the stage that it continues from, or "scratch"
  from = "PARENT"
  # what it trains on (a string; required)
  data = "…"
  # how long (an integer of at least 1; unit: epochs)
  epochs = 10
  # how the levels are joined (hypergradient: halve)
  hypergradient = { use = "halve" }
  # another network (backbone: none is loaded; may be left out)
  # backbone = { use = "NAME" }

  # the lower level
  [stage.NAME.lower]
  # what the lower level trains on (a string; required)
  data = "…"
  # the largest norm of a gradient (a float of more than 0; may be left out)
  # clip = 1.0
  # what makes its steps (optimizer: still)
  optimizer = { use = "still" }

  # the head first (may be left out)
  # [stage.NAME.warmup]
  # how long the head is warmed up (an integer of at least 0)
  # epochs = 0
)");
}

TEST_F(Describe, SnippetsAreToml) {
  const auto json = nlohmann::json::parse(describe("alternate", true));
  const toml::table stage = toml::parse(json.at("stage_kinds").at(0).at("toml").get<std::string>());
  EXPECT_EQ(stage.at_path("stage.NAME.kind").value<std::string>(), "alternate");
  EXPECT_EQ(stage.at_path("stage.NAME.epochs").value<int64_t>(), 10);
  EXPECT_EQ(stage.at_path("stage.NAME.lower.optimizer.use").value<std::string>(), "still");
  EXPECT_FALSE(stage.at_path("stage.NAME.warmup"));

  const auto still = nlohmann::json::parse(describe("still", true));
  const toml::table optimizer =
      toml::parse(still.at("components").at(0).at("toml").get<std::string>());
  EXPECT_EQ(optimizer.at_path("stage.NAME.optimizer.lr").value<double>(), 1.0);
  EXPECT_EQ(optimizer.at_path("stage.NAME.optimizer.verbose").value<bool>(), false);
}

TEST_F(Describe, LineBreaksInADeclarationStayInTheComment) {
  RegisteredComponent component;
  component.info.text = {"x", "two\nlines = 1", ""};
  const toml::table table = toml::parse(toml_snippet(component, false));
  EXPECT_EQ(table.at_path("data.NAME").as_table()->size(), 1U);
}

TEST_F(Describe, Json) {
  const auto json = nlohmann::json::parse(describe("halve", true)).at("components").at(0);
  EXPECT_EQ(json.at("kind"), "hypergradient");
  EXPECT_EQ(json.at("qualified_name"), "good/halve");
  EXPECT_EQ(json.at("source"), "Doe 2020, eq. 1");
  EXPECT_EQ(json.at("library").at("path"), library_);
  EXPECT_EQ(json.at("parameters").at(0), nlohmann::json({{"name", "iterations"},
                                                         {"type", "integer"},
                                                         {"accepted", "an integer of at least 1"},
                                                         {"required", false},
                                                         {"default", 3},
                                                         {"unit", "steps"},
                                                         {"doc", "how often nothing is done"},
                                                         {"at_least", 1.0}}));
  EXPECT_EQ(json.at("parameters").at(1).at("more_than"), 0.0);
  EXPECT_EQ(json.at("parameters").at(2).at("choices"), nlohmann::json::array({"global", "layer"}));
  EXPECT_TRUE(json.at("parameters").at(3).at("default").is_null());

  const auto kind = nlohmann::json::parse(describe("alternate", true)).at("stage_kinds").at(0);
  EXPECT_EQ(kind.at("tables").at(0).at("name"), "lower");
  EXPECT_EQ(kind.at("tables").at(0).at("components").at(0).at("kind"), "optimizer");
  EXPECT_EQ(kind.at("components").at(1).at("required"), false);
}

TEST_F(Describe, EverythingWithoutAName) {
  const auto json = nlohmann::json::parse(describe("", true));
  EXPECT_EQ(json.at("components").size(), registry_.components().size());
  EXPECT_EQ(json.at("stage_kinds").size(), kinds_.size());
  EXPECT_EQ(json.at("documents").size(), 2U);
  const std::string text = describe("");
  EXPECT_NE(text.find(describe("halve")), std::string::npos);
  EXPECT_NE(text.find(describe("alternate")), std::string::npos);
}

TEST_F(Describe, AFigureHasItsFormulaAndDirection) {
  const std::string text = describe("rankme");
  EXPECT_NE(text.find("figure rankme: how many directions"), std::string::npos) << text;
  EXPECT_NE(text.find("\n  direction  higher is better\n"), std::string::npos) << text;
  const auto json = nlohmann::json::parse(describe("cka", true)).at("figures").at(0);
  EXPECT_EQ(json.at("of"), "features of two networks on the same images");
  EXPECT_FALSE(json.contains("higher_is_better"));
}

TEST_F(Describe, AProbeHasItsSettingsAndWhatItLeavesOut) {
  const std::string text = describe("lightly");
  EXPECT_NE(text.find("\n  settings   SGD, rate 0.1·batch/256"), std::string::npos) << text;
  EXPECT_NE(text.find("\n  left out   crops and flips that are drawn anew"), std::string::npos)
      << text;
  const auto json = nlohmann::json::parse(describe("solo-learn", true)).at("probes").at(0);
  EXPECT_EQ(json.at("name"), "solo-learn");
}

/// By the names that results have.
TEST_F(Describe, ScoresOfNeighboursProbesAndPicturesAreKnown) {
  for (const auto& [name, heading] :
       {std::pair("knn20_top1", "figure knnK_top1: "),
        std::pair("logistic_loss", "figure PROBE_loss: "),
        std::pair("moco_ece", "figure PROBE_ece: "), std::pair("nc3", "figure nc3: "),
        std::pair("tsne_trustworthiness", "figure PLANE_trustworthiness: ")}) {
    const std::string text = describe(name);
    EXPECT_EQ(text.rfind(heading, 0), 0U) << text;
    for (const char* part :
         {"\n  formula    ", "\n  range      0 ", "\n  direction  ", "\n  source     "}) {
      EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
    }
    const auto json = nlohmann::json::parse(describe(name, true)).at("figures").at(0);
    EXPECT_TRUE(json.at("higher_is_better").is_boolean());
  }
  for (const char* probe : {"logistic", "head", "moco"}) {
    const std::string text = describe(probe);
    EXPECT_NE(text.find(std::string("\n  gives      ") + probe + "_top1: "), std::string::npos)
        << text;
    EXPECT_NE(text.find("; 0 to 1; higher is better\n"), std::string::npos) << text;
  }
  EXPECT_EQ(nlohmann::json::parse(describe("dino", true)).at("probes").at(0).at("gives").size(),
            3U);
}

TEST_F(Describe, JsonNamesTypesInTomlsWords) {
  struct Options {
    bool yes = false;
    int64_t count = 1;
    double share = 0.5;
    std::string word = "a";
    std::vector<int64_t> widths;
    std::vector<double> scale;
    std::vector<std::string> names;
  };
  Schema<Options> schema;
  schema.add("yes", &Options::yes, "a");
  schema.add("count", &Options::count, "a");
  schema.add("share", &Options::share, "a");
  schema.add("word", &Options::word, "a");
  schema.add("widths", &Options::widths, "a");
  schema.add("scale", &Options::scale, "a");
  schema.add("names", &Options::names, "a");
  StageKindSpec kind;
  kind.name = "typed";
  kind.table.parameters = schema.specs();
  kinds_.push_back(kind);
  const auto json = nlohmann::json::parse(describe("typed", true)).at("stage_kinds").at(0);
  std::vector<std::string> types;
  for (const auto& parameter : json.at("parameters")) {
    const std::string items = parameter.value("items", "");
    types.push_back(parameter.at("type").get<std::string>() + (items.empty() ? "" : " " + items));
  }
  EXPECT_EQ(types, (std::vector<std::string>{"boolean", "integer", "float", "string",
                                             "array integer", "array float", "array string"}));
}

TEST_F(Describe, WhenAParameterHasAnEffect) {
  struct Options {
    std::string mode = "plain";
    double noise = 0.5;
    int64_t cache = 0;
  };
  Schema<Options> schema;
  schema.add("mode", &Options::mode, "which").choices({"plain", "noisy"});
  schema.add("noise", &Options::noise, "how much").only_with("mode", "noisy");
  schema.add("cache", &Options::cache, "images to keep").execution_only();
  StageKindSpec kind;
  kind.name = "idle";
  kind.summary = "for its table";
  kind.table.parameters = schema.specs();
  kinds_.push_back(kind);
  const std::string text = describe("idle");
  EXPECT_NE(text.find("a float; default 0.5; only with mode = \"noisy\"\n"), std::string::npos)
      << text;
  EXPECT_NE(text.find("an integer; default 0; changes no result\n"), std::string::npos) << text;
  const auto json = nlohmann::json::parse(describe("idle", true)).at("stage_kinds").at(0);
  EXPECT_EQ(json.at("parameters").at(1).at("only"),
            nlohmann::json::array({"with mode = \"noisy\""}));
  EXPECT_EQ(json.at("parameters").at(2).at("execution_only"), true);
}

TEST_F(Describe, KindsOfFile) {
  const std::string sweep = describe("sweep");
  EXPECT_EQ(sweep.rfind("sweep: the file of `bissl sweep`, an ablation over a pipeline\n", 0), 0U);
  EXPECT_NE(sweep.find("\n  goal       one of \"max\", \"min\"; may be left out\n"),
            std::string::npos)
      << sweep;
  EXPECT_NE(sweep.find("\n  zip       an array of tables; may be left out\n"), std::string::npos);
  EXPECT_NE(sweep.find("\nKeys of the table \"axes\"\n  keys of the pipeline, each with a list of "
                       "values\n"),
            std::string::npos);
  EXPECT_NE(sweep.find("\nParameters of the table \"search\"\n  draws  "), std::string::npos);
  const std::string pipeline = describe("pipeline");
  EXPECT_NE(pipeline.find("\nTables\n  plugins  a table; may be left out\n"), std::string::npos)
      << pipeline;
  const auto json = nlohmann::json::parse(describe("pipeline", true));
  EXPECT_EQ(json.at("documents").at(0).at("parameters").at(1).at("name"), "seed");
}

TEST_F(Describe, UnknownName) {
  const auto failure = [&](const std::string& name) {
    std::ostringstream out;
    std::ostringstream err;
    EXPECT_EQ(run_describe(registry_, kinds_, name, false, out, err), 2);
    EXPECT_EQ(out.str(), "");
    return err.str();
  };
  EXPECT_EQ(
      failure("havle"),
      "there is no component, kind of stage, kind of file or figure called \"havle\"; did you mean "
      "\"halve\"? "
      "\"bissl plugins\" lists what is loaded\n");
  EXPECT_EQ(failure("good/stil"),
            "there is no component, kind of stage, kind of file or figure called \"good/stil\"; "
            "did you mean "
            "\"good/still\"? \"bissl plugins\" lists what is loaded\n");
  EXPECT_EQ(failure("alternat").find("did you mean \"alternate\"?") != std::string::npos, true);
  EXPECT_FALSE(registry_.load_library("/nowhere.so", true));
  EXPECT_EQ(failure("temperature"),
            "there is no component, kind of stage, kind of file or figure called \"temperature\"; "
            "\"bissl "
            "plugins\" "
            "lists what is loaded and what was left out\n");
}

}  // namespace
}  // namespace bissl::host::test
