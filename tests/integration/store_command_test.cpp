// `bissl store` and `bissl diff` as a user calls them.

#include "program.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class StoreCommandTest : public ::testing::Test {
 protected:
  StoreCommandTest() { write_file(file_, small_pipeline()); }

  Outcome call(const std::vector<std::string>& words) const {
    std::vector<std::string> all = words;
    all.insert(all.end(), {"--out", out_.string()});
    return run_bissl(all);
  }
  void run(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words = {"run", file_.string(), "--threads", "1"};
    words.insert(words.end(), more.begin(), more.end());
    const Outcome outcome = call(words);
    ASSERT_EQ(outcome.code, 0) << outcome.err;
  }

  TemporaryFolder folder_;
  fs::path file_ = folder_.path() / "small.toml";
  fs::path out_ = folder_.path() / "runs";
};

TEST_F(StoreCommandTest, NamesWhatDiffersWhereAStageIsMissing) {
  run();
  const Outcome hit = call({"store", "explain", file_.string()});
  EXPECT_EQ(hit.code, 0) << hit.err;
  EXPECT_EQ(hit.out.find("not in the store"), std::string::npos) << hit.out;
  const Outcome miss =
      call({"store", "explain", file_.string(), "--set", "stage.bissl.hypergradient.damping=3",
            "--set", "stage.finetune.optimizer.lr=0.01"});
  EXPECT_EQ(miss.code, 0) << miss.err;
  for (const char* text :
       {"pretrain: ", " is in the store\nbissl: ", "hypergradient.damping: 3.0 here, 10.0 there",
        "the stage it continues: bissl is another one (see above)",
        "optimizer.lr: 0.01 here, 0.05 there"}) {
    EXPECT_NE(miss.out.find(text), std::string::npos) << text << "\n" << miss.out;
  }
  const json stages = json::parse(
      call({"store", "explain", file_.string(), "--json", "--set", "seed=4"}).out)["stages"];
  EXPECT_EQ(stages[0]["differences"], json::parse(R"([{"key": "seed", "here": 4, "there": 3}])"));
}

TEST_F(StoreCommandTest, ListsVerifiesAndPrunes) {
  run();
  const std::string pretrain = fs::canonical(out_ / "small" / "pretrain").filename().string();
  // The same name with another λ: the links of two stages now lead elsewhere.
  run({"--set", "stage.bissl.lambda=0.5"});
  const json entries = json::parse(call({"store", "list", "--json"}).out)["entries"];
  EXPECT_EQ(entries.size(), 6U);
  size_t unused = 0;
  for (const json& entry : entries) {
    EXPECT_EQ(entry["state"], "finished");
    unused += entry["used_by"].empty() ? 1 : 0;
  }
  EXPECT_EQ(unused, 2U);
  EXPECT_EQ(call({"store", "verify"}).code, 0);

  EXPECT_EQ(call({"store", "prune"}).code, 2);
  EXPECT_NE(call({"store", "prune", "--unused", "--dry-run"}).out.find("would free 2 entries"),
            std::string::npos);
  // What a sweep refers to is not known while its plan cannot be read: nothing is taken from it.
  fs::create_directories(out_ / "sweep");
  write_file(out_ / "sweep/plan.json", "{");
  const Outcome refused = call({"store", "prune", "--unused"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_NE(refused.err.find((out_ / "sweep/plan.json").string()), std::string::npos)
      << refused.err;
  fs::remove_all(out_ / "sweep");
  EXPECT_NE(call({"store", "prune", "--unused", "--older-than", "1"}).out.find("freed 0 entries"),
            std::string::npos);
  EXPECT_NE(call({"store", "prune", "--unused"}).out.find("freed 2 entries"), std::string::npos);
  EXPECT_EQ(json::parse(call({"store", "list", "--json"}).out)["entries"].size(), 4U);

  const fs::path weights = out_ / ".store" / pretrain / "backbone.safetensors";
  std::string content = read_file(weights);
  content.back() = static_cast<char>(content.back() + 1);
  write_file(weights, content);
  const Outcome verify = call({"store", "verify"});
  EXPECT_EQ(verify.code, 1);
  EXPECT_NE(verify.err.find(pretrain + ": backbone.safetensors has the checksum "),
            std::string::npos)
      << verify.err;
  const Outcome again = call({"run", file_.string(), "--threads", "1"});
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_NE(again.err.find("It will be computed again"), std::string::npos) << again.err;
  EXPECT_EQ(call({"store", "verify"}).code, 0);
  // With it what a removal that was killed has left.
  const fs::path left = out_ / ".store" / ".bissl-1-0.tmp";
  fs::create_directories(left);
  write_file(left / "weights", "of a stage");
  EXPECT_NE(call({"store", "prune", "--damaged", "--abandoned"}).out.find("freed 1 entries"),
            std::string::npos);
  EXPECT_FALSE(fs::exists(left));
}

TEST_F(StoreCommandTest, StagesWithKeysOfAnEarlierFormAreToldApart) {
  run();
  // As a bissl left them whose descriptions had no form: under other keys.
  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(out_ / ".store")) {
    if (fs::exists(entry.path() / "stage.json")) {
      folders.push_back(entry.path());
    }
  }
  ASSERT_EQ(folders.size(), 4U);
  for (const fs::path& folder : folders) {
    json record = json::parse(read_file(folder / "stage.json"));
    std::string key = record["key"];
    key.front() = key.front() == '0' ? '1' : '0';
    record["key"] = key;
    record["description"].erase("format");
    write_file(folder / "stage.json", record.dump());
    fs::rename(folder, folder.parent_path() / key);
  }
  EXPECT_EQ(call({"store", "verify"}).code, 0) << "they are whole";
  const Outcome explained = call({"store", "explain", file_.string()});
  EXPECT_EQ(explained.code, 0) << explained.err;
  EXPECT_NE(explained.out.find("no stage of this kind is in the store with a key of today's form"),
            std::string::npos)
      << explained.out;
  EXPECT_EQ(explained.out.find("differs in"), std::string::npos) << explained.out;
  EXPECT_NE(call({"store", "prune", "--unused"}).out.find("freed 4 entries"), std::string::npos);
}

TEST_F(StoreCommandTest, AStoreThatIsNotThereIsNotMade) {
  for (const char* command : {"list", "verify"}) {
    const Outcome outcome = call({"store", command});
    EXPECT_EQ(outcome.code, 2);
    EXPECT_NE(outcome.err.find("there is no store"), std::string::npos) << outcome.err;
  }
  EXPECT_FALSE(fs::exists(out_));
}

TEST_F(StoreCommandTest, DiffTellsConfigurationAndResults) {
  run();
  fs::rename(out_ / "small", out_ / "first");
  run({"--set", "stage.bissl.lambda=0.5"});
  const Outcome outcome = run_bissl({"diff", (out_ / "first").string(), (out_ / "small").string()});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  for (const char* text : {"key                 first  small", "stage.bissl.lambda  ", "0.1", "0.5",
                           "Shared stages: baseline, pretrain.", "finetune.test.top1"}) {
    EXPECT_NE(outcome.out.find(text), std::string::npos) << text << "\n" << outcome.out;
  }
  const json same = json::parse(
      run_bissl({"diff", (out_ / "small").string(), (out_ / "small").string(), "--json"}).out);
  EXPECT_EQ(same["configuration"], json::array());
  EXPECT_EQ(same["same_stages"].size(), 4U);
  const Outcome wrong = run_bissl({"diff", out_.string(), (out_ / "small").string()});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_NE(wrong.err.find("is no run's folder"), std::string::npos) << wrong.err;
}

TEST_F(StoreCommandTest, DiffTellsWhatStagesWereComputedWith) {
  run();
  fs::rename(out_, folder_.path() / "one");
  ASSERT_EQ(run_bissl({"run", file_.string(), "--out", out_.string(), "--threads", "2"},
                      {{"OMP_SCHEDULE", "static"}})
                .code,
            0);
  const std::string one = (folder_.path() / "one" / "small").string();
  const std::string two = (out_ / "small").string();
  const Outcome outcome = run_bissl({"diff", one, two});
  for (const char* text : {"pretrain.threads.compute", "pretrain.variables.OMP_SCHEDULE"}) {
    EXPECT_NE(outcome.out.find(text), std::string::npos) << text << "\n" << outcome.out;
  }
  const json both = json::parse(run_bissl({"diff", one, two, "--json"}).out);
  bool threads = false;
  for (const json& difference : both.at("environments")) {
    if (difference.at("key") == "bissl.threads.compute") {
      threads = true;
      EXPECT_EQ(difference.at("left"), 1);
      EXPECT_EQ(difference.at("right"), 2);
    }
  }
  EXPECT_TRUE(threads) << both.dump(2);
  const json same = json::parse(run_bissl({"diff", two, two, "--json"}).out);
  EXPECT_TRUE(same.at("environments").empty());
  EXPECT_NE(same.at("common_environments").at("pretrain").get<std::string>().find("2 threads"),
            std::string::npos);
}

TEST_F(StoreCommandTest, DiffSaysWhatIsNotRecorded) {
  run();
  fs::create_directories(out_ / "old");
  json results = json::parse(read_file(out_ / "small" / "results.json"));
  for (auto& stage : results.at("stages")) {
    stage.erase("environments");
  }
  write_file(out_ / "old" / "results.json", results.dump());
  fs::copy_file(out_ / "small" / "pipeline.lock.toml", out_ / "old" / "pipeline.lock.toml");
  const std::string text =
      run_bissl({"diff", (out_ / "old").string(), (out_ / "small").string()}).out;
  EXPECT_NE(text.find("not recorded"), std::string::npos) << text;
  // Results that differ without a recorded cause are reported as such.
  results = json::parse(read_file(out_ / "small" / "results.json"));
  results["stages"]["finetune"]["metrics"]["test"]["top1"]["mean"] = 0.123;
  write_file(out_ / "old" / "results.json", results.dump());
  const std::string unknown =
      run_bissl({"diff", (out_ / "old").string(), (out_ / "small").string()}).out;
  EXPECT_NE(unknown.find("nothing that is recorded does"), std::string::npos) << unknown;
}

}  // namespace
}  // namespace bissl::host::test
