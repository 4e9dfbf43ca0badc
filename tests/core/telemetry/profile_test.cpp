#include "telemetry/profile.h"

#include "base/phase.h"
#include "bissl/error.h"
#include "support/temporary_folder.h"

#include <ATen/ops/add.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

namespace bissl::host::test {
namespace {

using Row = ProfileReport::Row;

const Row* row_of(const std::vector<Row>& rows, const std::string& name) {
  for (const Row& row : rows) {
    if (row.name == name) {
      return &row;
    }
  }
  return nullptr;
}

void pause() { std::this_thread::sleep_for(std::chrono::milliseconds(20)); }

TEST(Profile, OwnTimeIsWithoutWhatLiesWithin) {
  Profile profile;
  {
    const Phase step(step_phase);
    {
      const Phase forward(forward_phase);
      pause();
    }
    pause();
  }
  pause();
  const ProfileReport report = profile.stop();
  const Row* step = row_of(report.phases, step_phase);
  const Row* forward = row_of(report.phases, forward_phase);
  ASSERT_TRUE(step != nullptr && forward != nullptr);
  EXPECT_EQ(step->calls, 1);
  EXPECT_GE(step->total, 0.04);
  EXPECT_NEAR(step->own, step->total - forward->total, 1e-6);
  EXPECT_NEAR(forward->own, forward->total, 1e-9);
  EXPECT_GE(report.elsewhere, 0.02);
  EXPECT_NEAR(report.elsewhere, report.seconds - step->total, 1e-6);
  EXPECT_LT(report.cpu, report.seconds) << "it slept";
}

TEST(Profile, CountsOperationsByThread) {
  const at::Tensor ones = at::ones({4});
  Profile profile;
  for (int i = 0; i < 3; ++i) {
    at::add(ones, ones);
  }
  std::thread([&] { at::add(ones, ones); }).join();
  const ProfileReport report = profile.stop();
  at::add(ones, ones);
  const Row* add = row_of(report.operations, "aten::add");
  ASSERT_NE(add, nullptr);
  EXPECT_EQ(add->calls, 3);
  EXPECT_EQ(report.threads, 1);
  EXPECT_GT(report.in_threads, 0);
  EXPECT_EQ(report.events, 4);
  const std::string text = report.text();
  EXPECT_NE(text.find("aten::add"), std::string::npos) << text;
}

TEST(Profile, TheTraceHasTheFirstCalls) {
  const TemporaryFolder folder;
  const at::Tensor ones = at::ones({4});
  Profile profile(2);
  for (int i = 0; i < 3; ++i) {
    const Phase step(step_phase);
    at::add(ones, ones);
  }
  const ProfileReport report = profile.stop();
  EXPECT_EQ(report.events, 6);
  EXPECT_EQ(report.traced, 2);
  profile.write_trace(folder.path() / "trace.json");
  const auto trace = nlohmann::json::parse(read_file(folder.path() / "trace.json"));
  std::set<std::string> names;
  double begin_of_step = 0;
  double begin_of_add = 0;
  for (const nlohmann::json& event : trace.at("traceEvents")) {
    const auto name = event.at("name").get<std::string>();
    names.insert(name);
    if (event.at("ph") == "X") {
      EXPECT_GE(event.at("dur").get<double>(), 0);
      (name == step_phase ? begin_of_step : begin_of_add) = event.at("ts").get<double>();
    }
  }
  EXPECT_EQ(names, (std::set<std::string>({"thread_name", step_phase, "aten::add"})));
  EXPECT_GE(begin_of_add, begin_of_step);
}

TEST(Profile, ThereIsOneAtATime) {
  Profile first;
  EXPECT_THROW(Profile second, Error);
  first.stop();
  EXPECT_EQ(Profile().stop().events, 0);
}

TEST(Profile, NothingIsObservedWithoutOne) {
  EXPECT_EQ(listen_to_phases(nullptr), nullptr);
  const Phase step(step_phase);
  Profile profile;
  EXPECT_EQ(profile.stop().events, 0);
}

}  // namespace
}  // namespace bissl::host::test
