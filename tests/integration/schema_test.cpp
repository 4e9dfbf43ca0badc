// JSON Schemas of pipelines and ablations take what bissl takes, and refuse what it refuses.

#include "program.h"
#include "shipped_files.h"
#include "support/paths.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include <sys/wait.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

class Schema : public testing::Test {
 protected:
  /// What the validator says of each file, by the file's path; no entries where it is not
  /// installed. `plugins` is a folder of further plugins.
  std::map<std::string, std::string> validate(const std::string& document,
                                              const std::vector<fs::path>& files,
                                              const fs::path& plugins = {}) {
    const fs::path schema_file =
        folder_.path() / (document + (plugins.empty() ? "" : "-more") + ".json");
    if (!fs::exists(schema_file)) {
      std::vector<std::string> arguments = {"schema", document};
      if (!plugins.empty()) {
        arguments.insert(arguments.begin(), {"--plugin-path", plugins.string()});
      }
      const Outcome schema = run_bissl(arguments);
      EXPECT_EQ(schema.code, 0) << schema.err;
      write_file(schema_file, schema.out);
    }
    const fs::path said = folder_.path() / "said.txt";
    std::string call = "/usr/bin/python3 " + std::string(source_folder) +
                       "/tests/integration/validate_toml.py " + schema_file.string();
    for (const fs::path& file : files) {
      call += " " + file.string();
    }
    const int status = std::system((call + " > " + said.string()).c_str());
    std::map<std::string, std::string> found;
    if (WEXITSTATUS(status) == 77 || WEXITSTATUS(status) == 127) {
      return found;
    }
    EXPECT_EQ(status, 0) << call;
    std::ifstream lines(said);
    for (std::string line; std::getline(lines, line);) {
      const size_t colon = line.find(": ");
      found[line.substr(0, colon)] = line.substr(colon + 2);
    }
    return found;
  }

  fs::path write(const std::string& name, const std::string& content) {
    const fs::path file = folder_.path() / name;
    std::ofstream(file) << content;
    return file;
  }

  /// The one fault of a file with this content.
  std::string fault(const std::string& document, const std::string& content) {
    const fs::path file = write("wrong.toml", content);
    const auto said = validate(document, {file});
    return said.empty() ? "" : said.at(file.string());
  }

  const TemporaryFolder folder_;
};

TEST_F(Schema, TakesAllFilesThatShip) {
  const fs::path small = write("small.toml", small_pipeline());
  for (const bool ablations : {false, true}) {
    std::vector<fs::path> files = ablations ? shipped_ablations() : shipped_pipelines();
    if (!ablations) {
      files.push_back(small);
    }
    ASSERT_GT(files.size(), 1U);
    const auto said = validate(ablations ? "ablation" : "pipeline", files);
    if (said.empty()) {
      GTEST_SKIP() << "Debian's package python3-jsonschema is not installed";
    }
    EXPECT_EQ(said.size(), files.size());
    for (const auto& [file, verdict] : said) {
      EXPECT_EQ(verdict, "ok") << file;
    }
  }
}

TEST_F(Schema, TakesTheExamplesWithTheirPlugins) {
  const fs::path plugins = folder_.path() / "examples";
  copy_example_plugins(plugins);
  const std::vector<fs::path> files = example_pipelines();
  ASSERT_EQ(files.size(), 5U);
  const auto said = validate("pipeline", files, plugins);
  if (said.empty()) {
    GTEST_SKIP() << "Debian's package python3-jsonschema is not installed";
  }
  for (const auto& [file, verdict] : said) {
    EXPECT_EQ(verdict, "ok") << file;
  }
  EXPECT_NE(validate("pipeline", {files.front()}).at(files.front().string()), "ok")
      << "without its plugin";
}

/// Those of the fuzz targets' corpora may be wrong on purpose.
TEST_F(Schema, NoFileOfTheRepositoryIsLeftOut) {
  std::set<fs::path> known;
  for (const std::vector<fs::path>& files :
       {shipped_pipelines(), shipped_ablations(), example_pipelines()}) {
    known.insert(files.begin(), files.end());
  }
  for (const char* folder : {"core", "docs", "pipelines", "plugins", "sdk", "tests"}) {
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(source_folder) / folder)) {
      const fs::path file = entry.path();
      if (file.extension() == ".toml" && file.string().find("/tests/fuzz/") == std::string::npos) {
        EXPECT_TRUE(known.contains(file)) << file;
      }
    }
  }
}

TEST_F(Schema, RefusesWrongPipelines) {
  const std::string right = small_pipeline();
  if (validate("pipeline", {write("small.toml", right)}).empty()) {
    GTEST_SKIP() << "Debian's package python3-jsonschema is not installed";
  }
  const auto with = [&](const std::string& added) { return fault("pipeline", right + added); };
  EXPECT_EQ(with(""), "ok");
  EXPECT_NE(with("[stage.x]\nkind = \"finetune\"\nepoch = 3\n").find("'epoch' was unexpected"),
            std::string::npos);
  EXPECT_NE(with("[stage.x]\nkind = \"finetume\"\n").find("'finetume' is not one of"),
            std::string::npos);
  EXPECT_NE(with("[stage.x]\nkind = \"finetune\"\nbatch = 0\n").find("0 is less than the minimum"),
            std::string::npos);
  EXPECT_NE(
      with("[stage.x]\nkind = \"finetune\"\nbatch = \"many\"\n").find("'many' is not of type"),
      std::string::npos);
  EXPECT_NE(with("[stage.x]\nkind = \"finetune\"\nepochs = 1\nsteps = 1\n"), "ok");
  const std::string optimizer = "[stage.x]\nkind = \"finetune\"\n[stage.x.optimizer]\n";
  EXPECT_NE(with(optimizer + "use = \"sdg\"\n").find("'sdg' is not one of"), std::string::npos);
  EXPECT_NE(with(optimizer + "use = \"sgd\"\ntrust = 0.1\n").find("'trust' was unexpected"),
            std::string::npos)
      << "which is a parameter of lars";
  EXPECT_EQ(with(optimizer + "use = \"lars\"\nlr = 1\ntrust = 0.1\n"), "ok");
  EXPECT_EQ(with(optimizer + "use = \"optimizers/lars\"\nlr = 1\ntrust = 0.1\n"), "ok");
  EXPECT_EQ(with(optimizer + "trust = 0.1\n"), "ok") << "`use` may come from elsewhere";
  EXPECT_NE(with("[data.x]\nuse = \"synthetic\"\nper_clas = 3\n").find("'per_clas' was unexpected"),
            std::string::npos);
  const std::string stage = "[stage.x]\nkind = \"finetune\"\n";
  EXPECT_EQ(with(stage + "augment = [ { use = \"flip\" }, { use = \"normalize\" } ]\n"), "ok");
  EXPECT_NE(with(stage + "augment = [ { use = \"simclr\" } ]\n"), "ok") << "which is no transform";
  EXPECT_NE(with(stage + "augment = { use = \"flip\" }\n"), "ok") << "which is no augmentation";
  const std::string monitor = "data = \"x\"\nevery = 5\naugment = { use = \"evaluation\" }\n";
  const std::string pretraining = "[stage.x]\nkind = \"pretrain\"\n";
  EXPECT_EQ(with(pretraining + "[stage.x.monitor]\n" + monitor), "ok");
  EXPECT_EQ(
      with(pretraining + "[[stage.x.monitor]]\n" + monitor + "[[stage.x.monitor]]\n" + monitor),
      "ok");
  EXPECT_NE(with(pretraining + "monitor = 3\n"), "ok");
  EXPECT_NE(with("[modle]\n").find("'modle' was unexpected"), std::string::npos);
  EXPECT_NE(fault("pipeline", "seed = 1\n").find("is a required property"), std::string::npos);
  EXPECT_EQ(fault("pipeline", "include = [\"common.toml\"]\nseed = 1\n"), "ok");
}

TEST_F(Schema, KnowsThePluginsThatAreLoaded) {
  const nlohmann::json without = nlohmann::json::parse(run_bissl({"schema", "pipeline"}).out);
  fs::create_directory(folder_.path() / "mine");
  fs::copy_file(std::string(fixture_plugin_folder) + "/good.so", folder_.path() / "mine/good.so");
  const nlohmann::json with = nlohmann::json::parse(
      run_bissl({"schema", "pipeline", "--plugin-path", (folder_.path() / "mine").string()}).out);
  const auto names = [](const nlohmann::json& schema) {
    return schema.at("definitions")
        .at("hypergradient")
        .at("properties")
        .at("use")
        .at("enum")
        .dump();
  };
  EXPECT_EQ(names(without).find("\"good/halve\""), std::string::npos);
  EXPECT_NE(names(with).find("\"good/halve\""), std::string::npos);
}

TEST_F(Schema, RefusesWrongAblations) {
  const std::string right = "pipeline = \"p.toml\"\nmetric = \"a.b.c\"\n[axes]\nseed = [0, 1]\n";
  if (validate("ablation", {write("right.toml", right)}).empty()) {
    GTEST_SKIP() << "Debian's package python3-jsonschema is not installed";
  }
  const auto with = [&](const std::string& added) { return fault("ablation", right + added); };
  EXPECT_EQ(with(""), "ok");
  EXPECT_EQ(with("stage.bissl.lambda = [0.1, 1]\n\"stage.bissl.gamma\" = [0]\n"), "ok");
  EXPECT_EQ(fault("ablation",
                  "pipeline = \"p.toml\"\nmetric = [\"a.b.c\", \"a.b.d\"]\n"
                  "[axes]\nseed = [0]\n"),
            "ok");
  EXPECT_NE(with("stage.bissl.lambda = 0.1\n"), "ok") << "no list";
  EXPECT_NE(fault("ablation", "goal = \"up\"\n" + right).find("'up' is not one of"),
            std::string::npos);
  EXPECT_NE(fault("ablation", "metrik = \"a.b.c\"\n" + right).find("'metrik' was unexpected"),
            std::string::npos);
  EXPECT_NE(with("[zip]\nseed = [1]\n").find("is not of type 'array'"), std::string::npos);
  EXPECT_EQ(with("[[zip]]\nseed = [1]\n"), "ok");
  const std::string search = "[search]\ndraws = 3\nselect = \"a.b.c\"\n";
  EXPECT_EQ(with(search + "stage.bissl.lambda = { log_uniform = [0.1, 1] }\n"), "ok");
  EXPECT_NE(with(search + "stage.bissl.lambda = { log_uniform = [0.1] }\n"), "ok");
  EXPECT_NE(with(search + "stage.bissl.lambda = 3\n"), "ok");
  EXPECT_NE(with("[search]\ndraws = 0\n").find("0 is less than the minimum"), std::string::npos);
}

TEST_F(Schema, AnotherDocumentIsWrongInput) {
  const Outcome call = run_bissl({"schema", "report"});
  EXPECT_EQ(call.code, 2);
  EXPECT_NE(call.err.find("expected \"pipeline\" or \"ablation\""), std::string::npos) << call.err;
}

}  // namespace
}  // namespace bissl::host::test
