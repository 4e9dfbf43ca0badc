// A sweep whose processes are killed at random moments, a hundred times, ends with the table of one
// that was left alone.

#include "bissl/random.h"
#include "program.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <thread>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int kills = 100;

std::vector<std::string> call(const fs::path& file, const fs::path& out) {
  return {"sweep",  file.string(), "--out",  out.string(), "--threads", "1",
          "--jobs", "2",           "--json", "--attempts", "1000"};
}

/// What a table holds, without the names of folders.
json table_of(const Outcome& outcome) {
  json cells = json::parse(outcome.out).at("cells");
  for (json& cell : cells) {
    cell.erase("folder");
  }
  return cells;
}

/// The weights of all cells' stages, by cell and file.
std::map<std::string, std::string> weights_of(const fs::path& out) {
  std::map<std::string, std::string> weights;
  for (const auto& cell : fs::directory_iterator(out / "grid" / "cells")) {
    for (const char* file : {"pretrain/backbone.safetensors", "bissl/backbone.safetensors",
                             "finetune/repeat-1/head.safetensors"}) {
      weights[cell.path().filename().string() + "/" + file] = read_file(cell.path() / file);
    }
  }
  return weights;
}

TEST(SweepKill, AHundredKillsChangeNothing) {
  const TemporaryFolder folder;
  write_file(folder.path() / "small.toml", small_pipeline());
  const fs::path file = folder.path() / "grid.toml";
  write_file(file, R"(pipeline = "small.toml"
metric = ["finetune.test.top1", "finetune.test.loss"]
stages = ["finetune"]
[axes]
"stage.bissl.lambda" = [0.1, 0.3, 1.0, 3.0]
"stage.bissl.hypergradient.iterations" = [1, 2]
seed = [0, 1, 2]
)");
  const Outcome undisturbed = run_bissl(call(file, folder.path() / "undisturbed"));
  ASSERT_EQ(undisturbed.code, 0) << undisturbed.err;
  const json expected = table_of(undisturbed);
  const auto expected_weights = weights_of(folder.path() / "undisturbed");
  ASSERT_EQ(expected.size(), 24U);

  RandomStream random(1, "kills");
  int killed = 0;
  int coordinators = 0;
  int finished = 0;
  for (int round = 0; killed < kills; ++round) {
    const fs::path out = folder.path() / ("disturbed-" + std::to_string(round));
    std::optional<Outcome> outcome;
    while (!outcome) {
      BackgroundCall sweep(call(file, out));
      while (sweep.running() && killed < kills) {
        std::this_thread::sleep_for(
            std::chrono::milliseconds(static_cast<int>(random.uniform(100, 1500))));
        const std::vector<pid_t> workers = sweep.children();
        if (random.chance(0.2)) {
          ++killed;
          ++coordinators;
          sweep.signal(SIGKILL);
          break;
        }
        if (!workers.empty()) {
          ++killed;
          kill(workers[random.below(workers.size())], SIGKILL);
        }
      }
      const Outcome ended = sweep.wait();
      if (ended.code != 128 + SIGKILL) {
        outcome = ended;
      }
    }
    ASSERT_EQ(outcome->code, 0) << outcome->err;
    EXPECT_EQ(table_of(*outcome), expected);
    EXPECT_TRUE(weights_of(out) == expected_weights) << "the weights of some cell differ";
    EXPECT_EQ(json::parse(outcome->out).at("failures"), json::array());
    ++finished;
    // Nothing is left lying about: no claim, no half-written stage.
    for (const auto& entry : fs::directory_iterator(out / ".store")) {
      const std::string name = entry.path().filename().string();
      EXPECT_TRUE(name == "store.json" || name.size() == 32) << name;
    }
  }
  RecordProperty("coordinators", coordinators);
  RecordProperty("sweeps", finished);
}

}  // namespace
}  // namespace bissl::host::test
