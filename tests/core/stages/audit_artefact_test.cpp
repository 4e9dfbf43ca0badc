#include "stages/audit_artefact.h"

#include "bissl/hash.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

namespace bissl::host {
namespace {

using nlohmann::json;
using test::read_file;
using test::write_file;

const char* const events =
    "{\"step\": 1, \"lower\": 2.0}\n"
    "{\"step\": 2, \"audit\": {\"reference\": \"dense\"}}\n"
    "{\"step\": 3}\n";

class AuditArtefactTest : public testing::Test {
 protected:
  AuditArtefactTest() {
    std::filesystem::create_directory(work_);
    write_file(work_ / "events.jsonl", events);
  }

  static StageIdentity audit(const std::string& settings) {
    const json description = {{"kind", "audit"}, {"stage", "k"}, {"audit", settings}};
    return {description, hash_hex(description.dump())};
  }

  /// Whether the figures of this audit, which the last of the processes makes, are published.
  /// Each of the processes, which work on the stage one after the other, makes an audit or none.
  bool published(const std::vector<std::optional<StageIdentity>>& processes) {
    for (size_t i = 0; i + 1 < processes.size(); ++i) {
      AuditRecord(work_, processes[i], /*resumed=*/i > 0);  // and is interrupted
    }
    StageResults results;
    results.details = {{"solves", {{"upper_steps", 6}}}};
    if (processes.back()) {
      results.details["solves"]["audit"] = {{"audits", 3}};
    }
    AuditRecord(work_, processes.back(), processes.size() > 1).publish(results, store_);
    EXPECT_EQ(results.details, json::parse(R"({"solves": {"upper_steps": 6}})"))
        << "no result of the stage";
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(work_), {}), 1)
        << "nothing is left beside the events";
    return processes.back() && store_.contains(processes.back()->key);
  }

  const test::TemporaryFolder folder_;
  const std::filesystem::path work_ = folder_.path() / "work";
  StageStore store_{folder_.path() / "store"};
};

TEST_F(AuditArtefactTest, HasTheFiguresAndTheEventsOfAuditedSteps) {
  const StageIdentity often = audit("often");
  ASSERT_TRUE(published({often}));
  const auto folder = store_.find(often.key);
  ASSERT_TRUE(folder);
  EXPECT_EQ(read_audit(*folder), (json{{"audits", 3}, {"key", often.key}}));
  EXPECT_EQ(read_file(*folder / "audits.jsonl"),
            "{\"step\": 2, \"audit\": {\"reference\": \"dense\"}}\n");
}

TEST_F(AuditArtefactTest, IsOfTheWholeStageAlsoWhereThatWasInterrupted) {
  EXPECT_TRUE(published({audit("often"), audit("often"), audit("often")}));
}

TEST_F(AuditArtefactTest, IsDroppedWhereItIsOfAPartOfTheStage) {
  EXPECT_FALSE(published({audit("often"), audit("seldom")}));
  EXPECT_FALSE(published({std::nullopt, audit("often")}));
  EXPECT_FALSE(published({audit("often"), std::nullopt}));
  EXPECT_FALSE(published({audit("often"), std::nullopt, audit("often")}));
  EXPECT_FALSE(published({audit("often"), audit("seldom"), audit("often")}));
  EXPECT_TRUE(store_.entries().empty());
}

TEST_F(AuditArtefactTest, IdentityIsOfTheStageAndTheSettings) {
  Stage stage;
  EXPECT_FALSE(audit_identity(stage, "k"));
  stage.table.tables["audit"].values = {{"every", int64_t{100}}};
  const auto first = audit_identity(stage, "k");
  ASSERT_TRUE(first);
  EXPECT_NE(audit_identity(stage, "l")->key, first->key);
  stage.table.tables["audit"].values["every"] = int64_t{50};
  EXPECT_NE(audit_identity(stage, "k")->key, first->key);
  stage.table.values["epochs"] = 3.0;  // the stage's key has that
  stage.table.tables["audit"].values["every"] = int64_t{100};
  EXPECT_EQ(audit_identity(stage, "k")->key, first->key);
}

}  // namespace
}  // namespace bissl::host
