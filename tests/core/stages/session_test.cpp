// What a session keeps of the scale of losses in half precision.

#include "stages/session.h"

#include "bissl/error.h"
#include "models/precision.h"
#include "stages/compute.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <memory>
#include <sstream>
#include <string>
#include <vector>

namespace bissl::host::test {
namespace {

/// A stage without data and networks, whose checkpoint is written after every step.
class SessionTest : public ::testing::Test {
 protected:
  SessionTest() {
    pipeline_.name = "p";
    stage_.name = "s";
    stage_.kind = "pretrain";
    settings_.checkpoint_seconds = 0;
  }

  /// Makes step `number` in a session of its own, as a call that continues the stage does.
  void step(int64_t number, bool finite, double scale_before) {
    const StageContext context = new_context(pipeline_, stage_, data_, folder_.path(), settings_);
    Session session(context, folder_.path(), "s", 3, 1);
    int64_t next = session.start();
    ASSERT_EQ(next, number);
    if (loss_scale() != nullptr) {
      EXPECT_EQ(loss_scale()->value(), scale_before);
    }
    session.run(next, number + 1, [&](int64_t) {
      if (loss_scale() != nullptr) {
        loss_scale()->accept(finite);
      }
      Session::StepNews news;
      news.values = {{"loss", 1.0}};
      return news;
    });
  }

  std::vector<nlohmann::json> events() const {
    std::vector<nlohmann::json> all;
    std::istringstream lines(read_file(folder_.path() / event_log_file));
    for (std::string line; std::getline(lines, line);) {
      all.push_back(nlohmann::json::parse(line));
    }
    return all;
  }

  TemporaryFolder folder_;
  Pipeline pipeline_;
  Stage stage_;
  DataCatalog data_{pipeline_,
                    std::make_shared<DatasetCache>(ContentHashes(std::filesystem::path()))};
  RunSettings settings_;
};

TEST_F(SessionTest, ContinuesWithTheScaleOfLossesAndLogsIt) {
  const bool finite[] = {false, false, true};
  const double before[] = {65536, 32768, 16384};
  for (int64_t number = 0; number < 3; ++number) {
    const PrecisionScope scope(Precision::fp16);
    step(number, finite[number], before[number]);
  }
  const std::vector<nlohmann::json> logged = events();
  ASSERT_EQ(logged.size(), 3U);
  EXPECT_EQ(logged[0]["loss_scale"], 32768);
  EXPECT_EQ(logged[0]["skipped"], true);
  EXPECT_EQ(logged[1]["loss_scale"], 16384);
  EXPECT_EQ(logged[2]["loss_scale"], 16384);
  EXPECT_FALSE(logged[2].contains("skipped"));
}

TEST_F(SessionTest, LogsNoScaleWhereThereIsNone) {
  const PrecisionScope scope(Precision::bf16);
  step(0, true, 1);
  ASSERT_EQ(events().size(), 1U);
  EXPECT_FALSE(events()[0].contains("loss_scale"));
}

TEST_F(SessionTest, ACheckpointOfAnotherVersionIsRefusedWithAdvice) {
  const PrecisionScope scope(Precision::bf16);
  step(0, true, 1);
  const StageContext context = new_context(pipeline_, stage_, data_, folder_.path(), settings_);
  Session session(context, folder_.path(), "s", 3, 1);
  session.keep(
      "since this version", [] { return nlohmann::json(0); }, [](const nlohmann::json&) {});
  std::string message;
  try {
    session.start();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    message = error.what();
  }
  EXPECT_TRUE(message.starts_with((folder_.path() / "checkpoint.safetensors").string() + ": "))
      << message;
  EXPECT_NE(message.find("another version wrote it"), std::string::npos) << message;
}

}  // namespace
}  // namespace bissl::host::test
