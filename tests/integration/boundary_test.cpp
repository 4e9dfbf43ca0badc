// What crosses the plugin boundary during a run: exceptions of every method, and where plugins are
// looked for.

#include "program.h"
#include "support/paths.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

/// A pipeline of the fixture's components; `kind` has its method `method` throw. Components stand
/// in lines of their own, so that an error's line tells which is meant.
std::string throwing_pipeline(const std::string& kind, const std::string& method) {
  const auto use = [&](const std::string& of) {
    return "use = \"throwing-" + of + "\"" +
           (of == kind ? ", method = \"" + method + "\"" : std::string());
  };
  const auto slot = [&](const std::string& of) { return of + " = { " + use(of) + " }\n"; };
  const std::string augment = "augment = { " + use("augmentation") + " }\n";
  std::string dataset = "use = \"throwing-dataset\"\n";
  if (kind == "dataset") {
    dataset += "method = \"" + method + "\"\n";
  }
  std::string backbone = "use = \"throwing-backbone\"\n";
  if (kind == "backbone") {
    backbone += "method = \"" + method + "\"\n";
  }
  return "name = \"throwing\"\n[data.images]\n" + dataset + "[model.backbone]\n" + backbone +
         "[stage.pretrain]\nkind = \"pretrain\"\ndata = \"images\"\nbatch = 4\nsteps = 2\n" +
         augment + slot("pretext") + slot("optimizer") +
         "[stage.bissl]\nkind = \"bissl\"\nfrom = \"pretrain\"\nrounds = 1\n" +
         slot("hypergradient") + "[stage.bissl.lower]\nsteps = 1\n" +
         "[stage.bissl.upper]\ndata = \"images\"\nsteps = 1\nbatch = 4\n" + augment +
         slot("downstream") + slot("optimizer") +
         "[stage.finetune]\nkind = \"finetune\"\nfrom = \"bissl\"\ndata = \"images\"\nbatch = 4\n"
         "steps = 1\n" +
         augment + slot("downstream") + slot("optimizer") +
         "evaluate = { data = \"images\", augment = { " + use("augmentation") + " } }\n";
}

struct Case {
  std::string kind;
  std::string method;
  std::string in;  ///< how the error names the method; empty: as it is
};

class ThrowingTest : public testing::Test {
 protected:
  /// A folder with the fixture's library alone.
  std::string plugins() const {
    fs::create_directory(folder_.path() / "plugins");
    fs::copy(fs::path(fixture_plugin_folder) / "throws_in_run.so",
             folder_.path() / "plugins/throws_in_run.so");
    return (folder_.path() / "plugins").string();
  }
  TemporaryFolder folder_;
};

class ThrowingMethod : public ThrowingTest, public testing::WithParamInterface<Case> {};

TEST_P(ThrowingMethod, IsNamedWithComponentLibraryAndLine) {
  const auto& [kind, method, in] = GetParam();
  const fs::path file = folder_.path() / "throwing.toml";
  const std::string text = throwing_pipeline(kind, method);
  write_file(file, text);
  const std::string folder = plugins();
  const Outcome outcome = run_bissl({"--plugin-path", folder, "run", file.string(), "--out",
                                     (folder_.path() / "runs").string(), "--threads", "1"});
  EXPECT_EQ(outcome.code, 1) << outcome.err;
  // The first place where the component is used; later ones share its line's content only.
  const size_t place = text.find("use = \"throwing-" + kind);
  const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<long>(place), '\n');
  const std::string named = kind + " throwing-" + kind + " (library " + folder +
                            "/throws_in_run.so, used at " + file.string() + ":";
  EXPECT_NE(outcome.err.find(named), std::string::npos) << outcome.err;
  if (kind == "dataset" || kind == "backbone" || kind == "pretext" || kind == "hypergradient") {
    EXPECT_NE(outcome.err.find(named + std::to_string(line) + ":"), std::string::npos)
        << outcome.err;
  }
  const bool foreign = method.find(" foreign") != std::string::npos;
  const std::string plain = method.substr(0, method.find(" foreign"));
  const std::string what = foreign ? "an exception that is not a std::exception" : "no more";
  EXPECT_NE(outcome.err.find("in " + (in.empty() ? plain : in) + ": " + what), std::string::npos)
      << outcome.err;
}

INSTANTIATE_TEST_SUITE_P(
    Each, ThrowingMethod,
    testing::Values(Case{"dataset", "construction", ""}, Case{"dataset", "size", ""},
                    Case{"dataset", "get", ""}, Case{"dataset", "get foreign", ""},
                    Case{"dataset", "target", ""}, Case{"dataset", "targets", ""},
                    Case{"dataset", "fingerprint", ""}, Case{"augmentation", "construction", ""},
                    Case{"augmentation", "view_shape", ""}, Case{"augmentation", "apply", ""},
                    Case{"augmentation", "apply foreign", ""}, Case{"backbone", "construction", ""},
                    Case{"backbone", "forward", ""}, Case{"backbone", "features", ""},
                    Case{"backbone", "module", ""}, Case{"pretext", "views", ""},
                    Case{"pretext", "loss", ""}, Case{"pretext", "loss foreign", ""},
                    Case{"pretext", "before_step", ""}, Case{"pretext", "after_step", ""},
                    Case{"pretext", "module", ""}, Case{"downstream", "forward", ""},
                    Case{"downstream", "loss", ""}, Case{"downstream", "metrics", ""},
                    Case{"downstream", "metric_info", ""}, Case{"downstream", "metrics (add)", ""},
                    Case{"downstream", "metrics (result)", ""}, Case{"downstream", "module", ""},
                    Case{"hypergradient", "solve", ""}, Case{"hypergradient", "needs", ""},
                    Case{"optimizer", "construction", ""}, Case{"optimizer", "step", ""},
                    Case{"optimizer", "momentum", ""}),
    [](const auto& info) {
      std::string name = info.param.kind + "_" + info.param.method;
      for (char& c : name) {
        c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
      }
      return name;
    });

class ThrowingElsewhere : public ThrowingTest, public testing::WithParamInterface<Case> {};

/// What is called when a checkpoint is written: a run that is asked to stop writes one.
TEST_P(ThrowingElsewhere, IsNamedToo) {
  const auto& [kind, method, stage] = GetParam();
  std::string text = throwing_pipeline(kind, method);
  const std::string few = stage == "pretrain" ? "steps = 2\n" : "rounds = 1\n";
  text.replace(text.find(few), few.size(), few.substr(0, few.find('=')) + "= 1000000\n");
  const fs::path file = folder_.path() / "throwing.toml";
  write_file(file, text);
  const std::string folder = plugins();
  const fs::path out = folder_.path() / "runs";
  const Outcome outcome = run_bissl_until(
      {"--plugin-path", folder, "run", file.string(), "--out", out.string(), "--threads", "1"},
      out / "throwing" / stage / "events.jsonl", 200);
  EXPECT_EQ(outcome.code, 1) << outcome.err;
  EXPECT_NE(outcome.err.find(kind + " throwing-" + kind + " (library " + folder +
                             "/throws_in_run.so, used at " + file.string() + ":"),
            std::string::npos)
      << outcome.err;
  EXPECT_NE(outcome.err.find("in " + method + ": no more"), std::string::npos) << outcome.err;
}

INSTANTIATE_TEST_SUITE_P(AtACheckpoint, ThrowingElsewhere,
                         testing::Values(Case{"optimizer", "state", "pretrain"},
                                         Case{"hypergradient", "state", "bissl"}),
                         [](const auto& info) { return info.param.kind; });

TEST_F(ThrowingTest, OfACheckIsNamedToo) {
  const fs::path file = folder_.path() / "throwing.toml";
  write_file(file, throwing_pipeline("optimizer", "learning_rate"));
  const Outcome outcome = run_bissl({"--plugin-path", plugins(), "check", file.string()});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("in learning_rate: no more"), std::string::npos) << outcome.err;
}

class SearchTest : public testing::Test {
 protected:
  /// A folder below the test's own with one fixture library.
  std::string folder_with(const std::string& name, const std::string& library) {
    const fs::path folder = folder_.path() / name;
    fs::create_directories(folder);
    fs::copy(fs::path(fixture_plugin_folder) / (library + ".so"), folder / (library + ".so"));
    return folder.string();
  }

  TemporaryFolder folder_;
};

TEST_F(SearchTest, ThePlacesComeInTheirOrder) {
  const std::string named = folder_with("named", "good");
  const std::string environment = folder_with("environment", "good");
  const std::string user = folder_with("data/bissl/plugins", "good");
  const std::map<std::string, std::string> variables = {
      {"BISSL_PLUGIN_PATH", environment + "::"},
      {"XDG_DATA_HOME", (folder_.path() / "data").string()}};
  const auto list = [&](const std::vector<std::string>& arguments) {
    return nlohmann::json::parse(run_bissl(arguments, variables).out);
  };
  const auto all = list({"plugins", "--json", "--plugin-path", named});
  EXPECT_EQ(all["searched"],
            (nlohmann::json{named, environment, user, fs::canonical(plugin_folder).string()}));
  for (const auto& component : all["components"]) {
    if (component["name"] == "halve") {
      EXPECT_EQ(component["path"], named + "/good.so") << "the first place wins";
    }
  }
  // The others are refused, and say by what.
  ASSERT_EQ(all["problems"].size(), 2);
  EXPECT_EQ(all["problems"][0]["code"], "duplicate_plugin");
  EXPECT_EQ(all["problems"][0]["path"], environment + "/good.so");
  EXPECT_EQ(all["problems"][1]["path"], user + "/good.so");

  const auto none = list({"plugins", "--json", "--plugin-path", named, "--no-third-party"});
  EXPECT_EQ(none["searched"], (nlohmann::json{fs::canonical(plugin_folder).string()}));
}

TEST_F(SearchTest, WhatIsNotFoundIsToldWithThePlacesAndTheNearestName) {
  std::string text = small_pipeline("use = \"halv\"");
  text = "plugins.path = [\"mine\"]\n" + text;
  const fs::path file = folder_.path() / "small.toml";
  write_file(file, text);
  const std::string mine = folder_with("mine", "good");
  const std::map<std::string, std::string> variables = {
      {"XDG_DATA_HOME", (folder_.path() / "data").string()}};
  const Outcome outcome = run_bissl({"check", file.string()}, variables);
  EXPECT_EQ(outcome.code, 2);
  for (const std::string& words :
       {std::string("there is no hypergradient \"halv\""),
        "looked in " + mine + ", " + (folder_.path() / "data/bissl/plugins").string() + ", " +
            fs::canonical(plugin_folder).string(),
        std::string("did you mean \"halve\"?")}) {
    EXPECT_NE(outcome.err.find(words), std::string::npos) << words << "\n" << outcome.err;
  }
  const Outcome alone = run_bissl({"check", file.string(), "--no-third-party"}, variables);
  EXPECT_EQ(alone.code, 2);
  EXPECT_NE(alone.err.find(mine + " is left out, as --no-third-party asks for"), std::string::npos)
      << alone.err;
}

}  // namespace
}  // namespace bissl::host::test
