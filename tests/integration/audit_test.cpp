// Audits of the hypergradient in whole runs.

#include "run_fixture.h"
#include "support/paths.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <sstream>

namespace bissl::host::test {
namespace {

TEST_F(RunTest, AnAuditReportsAndChangesNoWeight) {
  const Outcome plain = run_bissl(call("run"));
  ASSERT_EQ(plain.code, 0) << plain.err;
  const std::filesystem::path weights = out_ / "small" / "bissl" / "backbone.safetensors";
  const std::string before = read_file(weights);
  const Outcome audited = run_bissl(call(
      "run", {"--set", "stage.bissl.audit.every=2", "--set", "stage.bissl.audit.iterations=20"}));
  ASSERT_EQ(audited.code, 0) << audited.err;
  EXPECT_NE(audited.out.find("3 audits; cosine(v, v*)"), std::string::npos) << audited.out;
  EXPECT_NE(audited.err.find("bissl: was trained without this audit; it is trained again"),
            std::string::npos)
      << audited.err;
  EXPECT_NE(audited.err.find("finetune: already in the store, not run again"), std::string::npos)
      << audited.err;
  EXPECT_EQ(audited.err.find("other weights"), std::string::npos) << audited.err;
  EXPECT_TRUE(read_file(weights) == before) << "the weights differ";
  const auto results = nlohmann::json::parse(read_file(out_ / "small" / "results.json"));
  const nlohmann::json figures = results["stages"]["bissl"]["solves"]["audit"];
  EXPECT_EQ(figures["audits"], 3);
  const std::filesystem::path artefact = out_ / ".store" / figures["key"].get<std::string>();
  int64_t lines = 0;
  std::istringstream events(read_file(artefact / "audits.jsonl"));
  for (std::string line; std::getline(events, line);) {
    const auto event = nlohmann::json::parse(line);
    if (event.contains("audit")) {
      ++lines;
      EXPECT_EQ(event["audit"]["reference"], "minres");
      EXPECT_TRUE(event["audit"]["groups"].contains("layer1.0"));
    }
  }
  EXPECT_EQ(lines, 3);
  EXPECT_FALSE(std::filesystem::exists(artefact / "backbone.safetensors"));

  // Nothing is left to do, and with fewer audits the figures are others of the same stage.
  const std::vector<std::string> same = {"--set", "stage.bissl.audit.every=2", "--set",
                                         "stage.bissl.audit.iterations=20"};
  const Outcome again = run_bissl(call("run", same));
  EXPECT_EQ(again.err.find("trained again"), std::string::npos) << again.err;
  EXPECT_NE(again.out.find("3 audits; cosine(v, v*)"), std::string::npos) << again.out;
  const Outcome pruned = run_bissl({"store", "prune", "--unused", "--out", out_.string()});
  EXPECT_EQ(pruned.out.find("audit"), std::string::npos)
      << "an audit is used by who uses its stage\n"
      << pruned.out;
}

/// One call that trains a stage and audits it makes both: nothing is trained a second time.
TEST_F(RunTest, AnAuditIsMadeWhileItsStageIsTrained) {
  const Outcome audited = run_bissl(call(
      "run", {"--set", "stage.bissl.audit.every=2", "--set", "stage.bissl.audit.iterations=20"}));
  ASSERT_EQ(audited.code, 0) << audited.err;
  EXPECT_NE(audited.out.find("3 audits; cosine(v, v*)"), std::string::npos) << audited.out;
  EXPECT_EQ(audited.err.find("trained again"), std::string::npos) << audited.err;
  const auto of_stage = nlohmann::json::parse(read_file(out_ / "small" / "bissl" / "results.json"));
  EXPECT_FALSE(of_stage["solves"].contains("audit")) << "which is no result of the stage";
  // Without audits and with the graph built again for each product the stage is the same one.
  const Outcome plain =
      run_bissl(call("run", {"--set", "stage.bissl.lower.hessian_graph=recomputed"}));
  EXPECT_NE(plain.err.find("bissl: already in the store, not run again"), std::string::npos)
      << plain.err;
  EXPECT_EQ(plain.out.find("audits; cosine"), std::string::npos) << plain.out;
}

/// A pipeline whose pretext task is the fixtures' specimen, with audits.
class AuditTest : public RunTest {
 protected:
  Outcome run(const std::string& choice, bool audited) {
    const std::filesystem::path plugins = folder_.path() / "plugins";
    std::filesystem::create_directories(plugins);
    std::filesystem::copy_file(std::filesystem::path(fixture_plugin_folder) / "faulty_pretext.so",
                               plugins / "faulty_pretext.so",
                               std::filesystem::copy_options::overwrite_existing);
    std::string text = small_pipeline();
    const std::string before = "{ use = \"simclr\", projector = [8, 8] }";
    text.replace(text.find(before), before.size(), "{ use = \"specimen\", " + choice + " }");
    text.erase(text.find("[stage.finetune]"));
    write_file(file_, text);
    std::vector<std::string> more = {"--plugin-path", plugins.string()};
    if (audited) {
      more.insert(more.end(), {"--set", "stage.bissl.audit.every=2", "--set",
                               "stage.bissl.audit.iterations=5"});
    }
    return run_bissl(call("run", more));
  }

  nlohmann::json audit() const {
    const auto results = nlohmann::json::parse(read_file(out_ / "small" / "results.json"));
    return results["stages"]["bissl"]["solves"]["audit"];
  }

  std::string weights() const {
    return read_file(out_ / "small" / "bissl" / "backbone.safetensors");
  }
};

TEST_F(AuditTest, LeavesIntegersAndTruthValuesInBuffersAlone) {
  for (const char* form : {"queue", "mask", "average"}) {
    const Outcome outcome = run(fmt::format("form = \"{}\"", form), true);
    ASSERT_EQ(outcome.code, 0) << form << outcome.err;
    EXPECT_EQ(audit()["audits"], 3) << form;
    EXPECT_FALSE(audit().contains("failed")) << form << audit().dump();
  }
}

TEST_F(AuditTest, ThatCannotBeMadeIsReportedAndEndsNothing) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"form = \"fails-in-double-precision\"", "single precision only"},
      {"fault = \"loose-layer\"", "dtype"},
      {"form = \"nan-in-double-precision\"", "not finite"}};
  for (const auto& [choice, reason] : cases) {
    const Outcome plain = run(choice, false);
    ASSERT_EQ(plain.code, 0) << choice << plain.err;
    const std::string before = weights();
    const Outcome outcome = run(choice, true);
    ASSERT_EQ(outcome.code, 0) << choice << outcome.err;
    EXPECT_TRUE(weights() == before) << choice << ": the weights differ";
    EXPECT_EQ(audit()["audits"], 0) << choice;
    EXPECT_EQ(audit()["failed"], 3) << choice;
    EXPECT_NE(audit()["reason"].get<std::string>().find(reason), std::string::npos)
        << choice << audit().dump();
    EXPECT_NE(outcome.out.find("3 audits could not be made"), std::string::npos) << outcome.out;
    const size_t first = outcome.err.find("warning: stage.bissl: audit: ");
    ASSERT_NE(first, std::string::npos) << choice << outcome.err;
    EXPECT_EQ(outcome.err.find("warning: stage.bissl: audit: ", first + 1), std::string::npos)
        << "more than one warning\n"
        << outcome.err;
    EXPECT_EQ(outcome.err.find("frame #"), std::string::npos) << outcome.err;
    const std::string key = audit()["key"];
    EXPECT_NE(read_file(out_ / ".store" / key / "audits.jsonl").find("\"audit\":{\"failed\":"),
              std::string::npos)
        << choice;
  }
}

}  // namespace
}  // namespace bissl::host::test
