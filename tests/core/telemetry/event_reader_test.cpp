#include "telemetry/event_reader.h"

#include "bissl/error.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

namespace bissl::host::test {
namespace {

using Values = std::vector<std::pair<std::string, double>>;

class EventReader : public testing::Test {
 protected:
  void append(const std::string& text) const { std::ofstream(file_, std::ios::app) << text; }

  TemporaryFolder folder_;
  std::filesystem::path file_ = folder_.path() / "events.jsonl";
};

TEST_F(EventReader, TagsSayThePhase) {
  append(R"({"step":3,"phase":"upper","upper":1.5,"round":1,"solve":"converged","v_norm":2})"
         "\n"
         R"({"step":4,"loss":1,"validation":{"top1":0.5,"loss":null}})"
         "\n");
  const EventPart part = read_events(file_);
  ASSERT_EQ(part.events.size(), 2U);
  EXPECT_EQ(part.events[0].step, 3);
  EXPECT_EQ(part.events[0].phase, "upper");
  EXPECT_EQ(part.events[1].phase, "");
  EXPECT_EQ(part.events[0].values, (Values{{"upper/loss", 1.5}, {"upper/v_norm", 2}}));
  EXPECT_EQ(part.events[1].values, (Values{{"loss", 1}, {"validation/top1", 0.5}}));
}

TEST_F(EventReader, NumbersThatAreNotFiniteAreWhatTheyWere) {
  append(
      R"({"step":0,"a":null,"b":null,"c":null,"d":null,"not_finite":{"a":"inf","b":"-inf","c":"nan"}})"
      "\n");
  const EventPart part = read_events(file_);
  ASSERT_EQ(part.events.size(), 1U);
  const Values& values = part.events[0].values;
  ASSERT_EQ(values.size(), 3U);
  EXPECT_EQ(values[0].second, std::numeric_limits<double>::infinity());
  EXPECT_EQ(values[1].second, -std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(values[2].second));
}

TEST_F(EventReader, FollowsAFileThatGrows) {
  append("{\"step\":0}\n{\"step\":1}\n{\"st");
  EventPart part = read_events(file_);
  EXPECT_EQ(part.events.size(), 2U);
  EXPECT_FALSE(part.restarted);
  part = read_events(file_, part.position);
  EXPECT_TRUE(part.events.empty());
  append("ep\":2}\n");
  part = read_events(file_, part.position);
  ASSERT_EQ(part.events.size(), 1U);
  EXPECT_EQ(part.events[0].step, 2);
}

TEST_F(EventReader, SaysThatItIsReadAgainWhereLinesWereCutOff) {
  append("{\"step\":0}\n{\"step\":10}\n{\"step\":11}\n");
  const EventPart before = read_events(file_);
  std::filesystem::resize_file(file_, 11);
  EventPart part = read_events(file_, before.position);
  EXPECT_TRUE(part.restarted);
  EXPECT_EQ(part.events.size(), 1U);
  // As long as before, but the place is within a line.
  append("{\"step\":10,\"a\":1}\n{\"step\":11,\"a\":1}\n");
  part = read_events(file_, before.position);
  EXPECT_TRUE(part.restarted);
  EXPECT_EQ(part.events.size(), 3U);
}

TEST_F(EventReader, PassesOverWhatIsNoEvent) {
  append("{\"st\n[1]\n{\"loss\":1}\n{\"step\":\"a\"}\n\n\xff\n{\"step\":7}\n");
  const EventPart part = read_events(file_);
  ASSERT_EQ(part.events.size(), 1U);
  EXPECT_EQ(part.events[0].step, 7);
}

TEST_F(EventReader, ReadsInParts) {
  for (int step = 0; step < 100; ++step) {
    append("{\"step\":" + std::to_string(step) + "}\n");
  }
  append("{\"step\":100,\"long\":\"" + std::string(5000, 'x') + "\"}\n");
  std::vector<int64_t> steps;
  uint64_t position = 0;
  int parts = 0;
  for (bool more = true; more; ++parts) {
    const EventPart part = read_events(file_, position, 200);
    for (const EventNumbers& event : part.events) {
      steps.push_back(event.step);
    }
    position = part.position;
    more = part.more;
  }
  ASSERT_EQ(steps.size(), 101U);
  EXPECT_EQ(steps.back(), 100);
  EXPECT_GT(parts, 5);
}

TEST_F(EventReader, RefusesWhatIsNoFile) {
  EXPECT_THROW(read_events(folder_.path() / "none"), Error);
  EXPECT_THROW(read_events(folder_.path()), Error);
}

}  // namespace
}  // namespace bissl::host::test
