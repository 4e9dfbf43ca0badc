#include "distributed/process_place.h"

#include "bissl/error.h"

#include <gtest/gtest.h>

#include <map>

namespace bissl::host {
namespace {

using Environment = std::map<std::string, std::string>;

ProcessPlace place_in(int ranks, const Environment& environment) {
  return process_place(ranks, [&](const char* name) -> std::optional<std::string> {
    const auto found = environment.find(name);
    return found == environment.end() ? std::nullopt : std::optional(found->second);
  });
}

const Environment torchrun = {{"RANK", "3"},
                              {"WORLD_SIZE", "8"},
                              {"LOCAL_WORLD_SIZE", "4"},
                              {"MASTER_ADDR", "node-1"},
                              {"MASTER_PORT", "29500"}};

Environment with(Environment environment, const std::string& name, const std::string& value) {
  environment[name] = value;
  return environment;
}

std::string refusal(int ranks, const Environment& environment) {
  try {
    place_in(ranks, environment);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    return error.what();
  }
  return "";
}

TEST(ProcessPlaceTest, OneProcessWithoutRanks) {
  for (const int ranks : {0, 1}) {
    const ProcessPlace place = place_in(ranks, {{"SLURM_NTASKS", "4"}, {"SLURM_PROCID", "0"}});
    EXPECT_EQ(place.meeting.size, 1);
    EXPECT_FALSE(place.starts_others);
  }
}

TEST(ProcessPlaceTest, StartsTheOthersItself) {
  const ProcessPlace place = place_in(3, {});
  EXPECT_EQ(place.meeting.size, 3);
  EXPECT_EQ(place.meeting.rank, 0);
  EXPECT_TRUE(place.starts_others);
  EXPECT_EQ(place.on_this_machine, 3);
}

TEST(ProcessPlaceTest, ReadsTheVariablesOfTorchrun) {
  for (const int ranks : {0, 8}) {
    const ProcessPlace place = place_in(ranks, torchrun);
    EXPECT_EQ(place.meeting.size, 8);
    EXPECT_EQ(place.meeting.rank, 3);
    EXPECT_EQ(place.meeting.host, "node-1");
    EXPECT_EQ(place.meeting.port, 29500);
    EXPECT_EQ(place.on_this_machine, 4);
    EXPECT_FALSE(place.meeting.one_machine);
    EXPECT_FALSE(place.starts_others);
    EXPECT_FALSE(place.is_started);
  }
  EXPECT_TRUE(place_in(0, with(torchrun, started_variable, "1")).is_started);
  EXPECT_TRUE(place_in(0, with(torchrun, "TORCHELASTIC_USE_AGENT_STORE", "True")).meeting.hosted);
}

TEST(ProcessPlaceTest, ReadsAStepOfSlurm) {
  const Environment step = {{"SLURM_STEP_NUM_TASKS", "4"},
                            {"SLURM_PROCID", "2"},
                            {"SLURM_STEP_NUM_NODES", "1"},
                            {"SLURM_JOB_ID", "20007"}};
  const ProcessPlace place = place_in(4, step);
  EXPECT_EQ(place.meeting.rank, 2);
  EXPECT_EQ(place.meeting.size, 4);
  EXPECT_EQ(place.meeting.host, "127.0.0.1");
  EXPECT_EQ(place.meeting.port, 20007);
  EXPECT_FALSE(place.starts_others);
  EXPECT_EQ(place_in(0, step).meeting.size, 1) << "tasks of a step that train by themselves";
  EXPECT_TRUE(place_in(2, step).starts_others) << "a group in each task";
  EXPECT_NE(refusal(4, with(step, "SLURM_STEP_NUM_NODES", "2")).find("MASTER_ADDR"),
            std::string::npos);
  EXPECT_EQ(place_in(4, with(with(step, "SLURM_STEP_NUM_NODES", "2"), "MASTER_ADDR", "node-1"))
                .meeting.host,
            "node-1");
}

/// Those of two steps that run at the same time would take each other for their own.
TEST(ProcessPlaceTest, StepsOfAJobMeetAtPortsOfTheirOwn) {
  const Environment step = {
      {"SLURM_STEP_NUM_TASKS", "2"}, {"SLURM_PROCID", "1"}, {"SLURM_JOB_ID", "2147483647"}};
  const auto port_of = [&](const std::string& number) {
    return place_in(2, with(step, "SLURM_STEP_ID", number)).meeting.port;
  };
  const int first = place_in(2, step).meeting.port;
  EXPECT_EQ(first, 23647);
  EXPECT_EQ(port_of("0"), first);
  EXPECT_EQ(port_of("1"), 31566);
  EXPECT_EQ(port_of("2"), 39485);
  EXPECT_EQ(port_of("interactive"), first);
  for (const char* number : {"19999", "4294967290"}) {  // the last one is of an interactive step
    EXPECT_GE(port_of(number), 20000) << number;
    EXPECT_LT(port_of(number), 40000) << number;
  }
}

TEST(ProcessPlaceTest, CountsTheTasksOfItsNodeUnderSlurm) {
  const Environment step = {{"SLURM_STEP_NUM_TASKS", "8"}, {"SLURM_PROCID", "2"},
                            {"SLURM_STEP_NUM_NODES", "4"}, {"SLURM_STEP_TASKS_PER_NODE", "2(x3),1"},
                            {"SLURM_TASKS_PER_NODE", "4"}, {"MASTER_ADDR", "node-1"}};
  const auto tasks_on = [&](const std::string& node, const std::string& list) {
    return place_in(8, with(with(step, "SLURM_NODEID", node), "SLURM_STEP_TASKS_PER_NODE", list))
        .on_this_machine;
  };
  EXPECT_EQ(place_in(8, step).on_this_machine, 2);
  EXPECT_EQ(tasks_on("2", "2(x3),1"), 2);
  EXPECT_EQ(tasks_on("3", "2(x3),1"), 1);
  EXPECT_EQ(tasks_on("1", "1,5,2"), 5);
  EXPECT_EQ(tasks_on("0", "4"), 4);
  EXPECT_EQ(tasks_on("0", "4000"), 8) << "no more than there are";
  for (const char* text : {"", "many", "2(x", "2(x3", "-1", "2(x0)"}) {
    EXPECT_EQ(tasks_on("0", text), 1) << text;
  }
  EXPECT_EQ(tasks_on("7", "2(x3),1"), 1) << "a node that the list does not have";
  Environment older = step;
  older.erase("SLURM_STEP_TASKS_PER_NODE");
  EXPECT_EQ(place_in(8, older).on_this_machine, 4);
}

TEST(ProcessPlaceTest, ReadsTheProcessorsThatSlurmHasGiven) {
  EXPECT_EQ(place_in(0, torchrun).processors, 0);
  EXPECT_EQ(place_in(0, with(torchrun, "SLURM_CPUS_ON_NODE", "16")).processors, 16);
}

/// torchrun's agent keeps what processes left that it has started before.
TEST(ProcessPlaceTest, KnowsHowOftenItHasBeenStarted) {
  EXPECT_EQ(place_in(0, torchrun).meeting.attempt, 0);
  EXPECT_EQ(place_in(0, with(torchrun, "TORCHELASTIC_RESTART_COUNT", "2")).meeting.attempt, 2);
}

TEST(ProcessPlaceTest, RefusesWhatContradictsItself) {
  EXPECT_NE(refusal(2, torchrun).find("--ranks 2, but the environment variable WORLD_SIZE is 8"),
            std::string::npos);
  EXPECT_NE(refusal(0, with(torchrun, "RANK", "8")).find("RANK is \"8\""), std::string::npos);
  EXPECT_NE(refusal(0, with(torchrun, "MASTER_PORT", "port")).find("MASTER_PORT is \"port\""),
            std::string::npos);
  EXPECT_NE(refusal(0, with(torchrun, "MASTER_ADDR", "")).find("MASTER_ADDR"), std::string::npos);
}

}  // namespace
}  // namespace bissl::host
