// Calls of `bissl conform`: limits, values, the verdict, help, and the checks that are left out.

#include "conform_calls.h"
#include "program.h"
#include "support/paths.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

TEST(ConformTargets, NothingIsSkippedForTheTasksThatShip) {
  for (const std::string plugin : {"classification", "multi-label", "regression"}) {
    const Outcome outcome =
        run_bissl({"conform", "--json", (fs::path(plugin_folder) / (plugin + ".so")).string()});
    EXPECT_EQ(outcome.code, 0) << outcome.out;
    const auto checks = checks_of(outcome);
    for (const auto& check : checks.at(plugin)) {
      const bool of_gaps =
          check["check"] == "entries that do not count change neither loss nor metrics";
      const bool may_be_skipped = of_gaps && plugin == "classification";
      EXPECT_TRUE(may_be_skipped || check["status"] == "passed") << plugin << check.dump();
    }
  }
}

/// What a component's checks are called, in order.
std::vector<std::string> names_of(const std::vector<nlohmann::json>& checks) {
  std::vector<std::string> names;
  for (const auto& check : checks) {
    names.push_back(check["check"]);
  }
  return names;
}

TEST(ConformFaults, ListsTheChecksThatAnEarlierOneLeavesOut) {
  const auto conform = [](const std::string& library, const std::string& method) {
    return checks_of(run_bissl({"conform", "--json", library, "--set", "method=" + method}));
  };
  const auto broken = conform(fixture("throws_in_run"), "construction");
  // The same components without their fault, most of which go through all checks.
  const auto whole = conform(fixture("throws_in_run"), "none");
  for (const std::string kind : {"dataset", "augmentation", "backbone", "pretext", "downstream",
                                 "hypergradient", "optimizer"}) {
    ASSERT_EQ(broken.count("throwing-" + kind), 1U) << kind;
    const auto& checks = broken.at("throwing-" + kind);
    EXPECT_EQ(names_of(checks), names_of(whole.at("throwing-" + kind))) << kind;
    EXPECT_EQ(checks.back()["status"], "skipped") << kind;
    EXPECT_NE(checks.back()["detail"].get<std::string>().find("failed"), std::string::npos);
  }
}

TEST(ConformLimits, NameTheCheckThatHangsAndGoOnWithTheNextComponent) {
  const Outcome outcome = run_bissl({"conform", "--json", fixture("needs_a_file"), "--set",
                                     "pause=100", "--set", "file=x", "--check-limit", "4"});
  EXPECT_EQ(outcome.code, 1);
  const auto checks = checks_of(outcome);
  const auto& hanging = checks.at("one-image");
  ASSERT_EQ(hanging.size(), 18U);
  EXPECT_EQ(hanging[4]["check"], "has samples");
  EXPECT_EQ(hanging[4]["status"], "failed");
  EXPECT_NE(hanging[4]["detail"].get<std::string>().find("(--check-limit)"), std::string::npos);
  for (size_t i = 5; i < hanging.size(); ++i) {
    EXPECT_EQ(hanging[i]["status"], "skipped");
    EXPECT_NE(hanging[i]["detail"].get<std::string>().find("ended in \"has samples\""),
              std::string::npos);
  }
  EXPECT_EQ(checks.at("sleeping").size(), 18U);
  for (const auto& check : checks.at("sleeping")) {
    const auto name = check["check"].get<std::string>();
    const bool is_skipped =
        name.starts_with("16-bit images") || name.starts_with("plans the views");
    EXPECT_EQ(check["status"], is_skipped ? "skipped" : "passed") << check.dump();
  }
}

TEST(ConformLimits, ListTheComponentsForWhichNoTimeIsLeft) {
  const Outcome outcome = run_bissl({"conform", "--json", fixture("needs_a_file"), "--set",
                                     "pause=100", "--set", "file=x", "--limit", "4"});
  EXPECT_EQ(outcome.code, 1);
  const auto checks = checks_of(outcome);
  EXPECT_EQ(checks.at("one-image").at(4)["check"], "has samples");
  EXPECT_NE(checks.at("one-image").at(4)["detail"].get<std::string>().find("(--limit)"),
            std::string::npos);
  EXPECT_EQ(checks.at("sleeping").at(0)["status"], "skipped");
  EXPECT_NE(checks.at("sleeping").at(0)["detail"].get<std::string>().find("give it more"),
            std::string::npos);
}

TEST(ConformVerdict, IsNotTestedWhereAValueIsMissing) {
  const Outcome outcome = run_bissl({"conform", "--json", fixture("needs_a_file")});
  EXPECT_EQ(outcome.code, 3) << outcome.err;
  const auto report = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(report.at("verdict"), "not tested");
  EXPECT_FALSE(report.at("conforms").get<bool>());
  const auto checks = checks_of(outcome);
  EXPECT_EQ(checks.at("one-image").at(0)["status"], "not tested");
  EXPECT_NE(
      checks.at("one-image").at(0)["detail"].get<std::string>().find("--set one-image.file=VALUE"),
      std::string::npos);
  const Outcome text = run_bissl({"conform", fixture("needs_a_file")});
  EXPECT_EQ(text.code, 3);
  EXPECT_EQ(text.out.find("conforms"), std::string::npos) << text.out;
  EXPECT_NE(text.out.find("dataset one-image"), std::string::npos) << text.out;
  const Outcome given =
      run_bissl({"conform", "--json", fixture("needs_a_file"), "--set", "file=x"});
  EXPECT_EQ(given.code, 0) << given.out;
  EXPECT_EQ(nlohmann::json::parse(given.out).at("verdict"), "conforms");
  const Outcome broken = run_bissl(
      {"conform", "--json", fixture("needs_a_file"), "--set", "seconds=100", "--check-limit", "4"});
  EXPECT_EQ(broken.code, 1) << "what fails counts more than what was not tested";
  EXPECT_EQ(nlohmann::json::parse(broken.out).at("verdict"), "fails");
}

TEST(ConformValues, AreRefusedWhereNoComponentTakesThem) {
  const std::string library = fixture("needs_a_file");
  const std::vector<std::array<std::string, 2>> refused = {
      {"flie=x", "did you mean \"file\""},
      {"one-image.seconds=1", "one-image has no parameter \"seconds\""},
      {"one-imge.file=x", "did you mean \"one-image\""},
      {"sleeping.second=1", "did you mean \"seconds\""},
      {"zzzzz=1", "there are \"file\", \"pause\", \"seconds\""},
      {"file=nan", "--set 'file=\"nan\"'"},
      {"file=7", "parameter file of dataset one-image wants a string, found an integer, 7"},
      {"seconds=long", "wants a float"},
      {"seconds=-1", "out of bounds"},
      {"levels=1", "at least 2"},
      {"file", "expected PARAMETER=VALUE"},
      {"a.b.c=1", "expected PARAMETER=VALUE"},
      {"levels=2.5", "wants an integer"}};
  for (const auto& [value, words] : refused) {
    const Outcome outcome = run_bissl({"conform", library, "--set", value});
    EXPECT_EQ(outcome.code, 2) << value << outcome.out;
    EXPECT_NE(outcome.err.find(words), std::string::npos) << value << ": " << outcome.err;
    EXPECT_EQ(outcome.out, "") << value << ": nothing is checked";
  }
  const Outcome rule =
      run_bissl({"conform", library, "--set", "file=x", "--set", "seconds=1", "--set", "levels=3"});
  EXPECT_EQ(rule.code, 2) << rule.out;
  EXPECT_NE(rule.err.find("parameter levels: cannot be 3 with a pause"), std::string::npos)
      << rule.err;
}

TEST(ConformExamples, TheTaskWithATeacherKeepsAllPromises) {
  const Outcome outcome = run_bissl({"conform", fixture("momentum_head")});
  EXPECT_EQ(outcome.code, 0) << outcome.out << outcome.err;
}

TEST(ConformExamples, TheDatasetOfSeveralKindsOfTargetKeepsAllPromises) {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "images.csv";
  write_file(file, "a,b,p0,p1,p2,p3\n0,1,10,20,30,40\n1,,50,60,70,80\n1,0,5,6,7,8\n");
  for (const std::string targets : {"multi-label", "values"}) {
    const Outcome outcome =
        run_bissl({"conform", fixture("csv_images"), "--set", "file=" + file.string(), "--set",
                   "targets=" + targets, "--set", "columns=2"});
    EXPECT_EQ(outcome.code, 0) << targets << outcome.out << outcome.err;
  }
  write_file(file, "a,p0,p1,p2,p3\n0,10,20,30,40\n1,50,60,70,80\n");
  const Outcome classes =
      run_bissl({"conform", fixture("csv_images"), "--set", "file=" + file.string()});
  EXPECT_EQ(classes.code, 0) << classes.out << classes.err;
}

TEST(ConformHelp, ListsItsOptionsAndExitCodes) {
  const Outcome outcome = run_bissl({"conform", "--help"});
  EXPECT_EQ(outcome.code, 0);
  for (const char* word : {"--json", "--set", "--limit", "--check-limit", "not tested"}) {
    EXPECT_NE(outcome.out.find(word), std::string::npos) << word << "\n" << outcome.out;
  }
}

}  // namespace
}  // namespace bissl::host::test
