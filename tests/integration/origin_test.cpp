// What one file gave is neither overwritten by another one of its name, nor mixed with it.

#include "sweep_fixture.h"

#include <gtest/gtest.h>

namespace bissl::host::test {
namespace {

/// A pretraining of two steps and a fine-tuning of it.
std::string tiny(const std::string& name, const std::string& stage = "ft",
                 const std::string& steps = "2") {
  std::string text = small_pipeline();
  text = text.substr(0, text.find("[stage.bissl]"));
  text.replace(text.find("name = \"small\""), 14, "name = \"" + name + "\"");
  text.replace(text.find("steps     = 8"), 13, "steps     = 2");
  text.replace(text.find("warmup_steps = 2"), 16, "warmup_steps = 1");
  return text + "[stage." + stage + R"(]
kind       = "finetune"
from       = "pretrain"
data       = "labelled"
augment    = { use = "supervised", size = 8 }
downstream = { use = "classification" }
optimizer  = { use = "sgd", lr = 0.05 }
batch      = 8
steps      = )" +
         steps +
         "\nevaluate   = { data = \"test\", augment = { use = \"evaluation\", size = 8 } }\n";
}

class OriginTest : public ::testing::Test {
 protected:
  std::string file(const std::string& name, const std::string& text) const {
    write_file(folder_.path() / name, text);
    return (folder_.path() / name).string();
  }
  Outcome call(const std::string& what, const std::string& of,
               const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words = {what, of, "--out", out_.string(), "--threads", "1"};
    words.insert(words.end(), more.begin(), more.end());
    return run_bissl(words);
  }
  static std::string ablation(const std::string& pipeline, const std::string& more = "") {
    return "pipeline = \"" + pipeline + "\"\nmetric = \"ft.test.top1\"\n" + more +
           "[axes]\nseed = [0]\n";
  }
  std::string results(const std::string& run = "tiny") const {
    return read_file(out_ / run / "results.json");
  }

  TemporaryFolder folder_;
  fs::path out_ = folder_.path() / "runs";
};

TEST_F(OriginTest, AnotherPipelineOfTheSameNameIsRefused) {
  const std::string first = file("first.toml", tiny("tiny"));
  const std::string second = file("other/first.toml", tiny("tiny", "probe", "3"));
  ASSERT_EQ(call("run", first).code, 0);
  const std::string before = results();
  const std::string lock = read_file(out_ / "tiny" / "pipeline.lock.toml");
  for (const char* what : {"run", "check"}) {
    const Outcome refused = call(what, second);
    EXPECT_EQ(refused.code, 2) << what;
    for (const std::string& text :
         {std::string("holds the results of another run: that of "), fs::canonical(first).string(),
          std::string("--set name=…"), std::string("another folder (--out)")}) {
      EXPECT_NE(refused.err.find(text), std::string::npos) << text << refused.err;
    }
  }
  EXPECT_EQ(results(), before);
  EXPECT_EQ(read_file(out_ / "tiny" / "pipeline.lock.toml"), lock);
  EXPECT_FALSE(fs::exists(out_ / "tiny" / "probe"));
  // What the message advises.
  EXPECT_EQ(call("run", second, {"--set", "name=second"}).code, 0);
  EXPECT_EQ(run_bissl({"run", second, "--out", (folder_.path() / "elsewhere").string()}).code, 0);
  fs::remove_all(out_ / "tiny");
  EXPECT_EQ(call("run", second).code, 0);
  // The same settings give the same results, wherever their file lies.
  EXPECT_EQ(call("run", file("copy.toml", tiny("tiny", "probe", "3"))).code, 0);
  EXPECT_EQ(call("run", (out_ / "tiny" / "pipeline.lock.toml").string()).code, 0);
}

TEST_F(OriginTest, AnEditedPipelineLeavesNothingOfItsEarlierVersion) {
  const std::string pipeline = file("p.toml", tiny("tiny"));
  ASSERT_EQ(call("run", pipeline).code, 0);
  write_file(out_ / "tiny" / "notes.txt", "mine");
  // A stage renamed, and one that fails: its old link and results are gone, others stay.
  file("p.toml", tiny("tiny", "probe"));
  const Outcome renamed = call("run", pipeline);
  ASSERT_EQ(renamed.code, 0) << renamed.err;
  EXPECT_FALSE(fs::exists(fs::symlink_status(out_ / "tiny" / "ft")));
  EXPECT_TRUE(fs::exists(out_ / "tiny" / "probe"));
  EXPECT_EQ(read_file(out_ / "tiny" / "notes.txt"), "mine");
  const Outcome fails = call("run", pipeline, {"--set", "stage.probe.optimizer.lr=1e30"});
  ASSERT_EQ(fails.code, 1) << fails.err;
  const json left = json::parse(results()).at("stages");
  EXPECT_EQ(left.size(), 1U) << left;
  EXPECT_TRUE(left.contains("pretrain"));
  // With another seed nothing of the old run is left to look like a result.
  ASSERT_EQ(call("run", pipeline,
                 {"--set", "seed=9", "--set", "stage.pretrain.optimizer.use=sgd", "--set",
                  "stage.pretrain.optimizer.lr=1e30"})
                .code,
            1);
  EXPECT_FALSE(fs::exists(out_ / "tiny" / "results.json") &&
               json::parse(results()).at("stages").contains("probe"));
  EXPECT_FALSE(fs::exists(fs::symlink_status(out_ / "tiny" / "probe")));
}

TEST_F(OriginTest, MovedFoldersGoOn) {
  const std::string pipeline = file("project/p.toml", tiny("tiny"));
  const fs::path project = folder_.path() / "project";
  ASSERT_EQ(run_bissl({"run", pipeline, "--out", (project / "runs").string()}).code, 0);
  // All of it together, edited afterwards.
  fs::rename(project, folder_.path() / "moved");
  const std::string moved = file("moved/p.toml", tiny("tiny", "ft", "3"));
  const Outcome there =
      run_bissl({"run", moved, "--out", (folder_.path() / "moved/runs").string()});
  EXPECT_EQ(there.code, 0) << there.err;
  // The folder of runs alone.
  fs::rename(folder_.path() / "moved/runs", folder_.path() / "far");
  file("moved/p.toml", tiny("tiny", "ft", "4"));
  const Outcome far = run_bissl({"run", moved, "--out", (folder_.path() / "far").string()});
  EXPECT_EQ(far.code, 0) << far.err;
  // The file alone: refused, with what to remove if it is the same.
  fs::rename(moved, folder_.path() / "q.toml");
  const std::string renamed = file("q.toml", tiny("tiny", "ft", "5"));
  const Outcome other = run_bissl({"run", renamed, "--out", (folder_.path() / "far").string()});
  EXPECT_EQ(other.code, 2);
  EXPECT_NE(other.err.find("If this file is that one, moved, remove "), std::string::npos);
  fs::remove(folder_.path() / "far/tiny/.origin.json");
  EXPECT_EQ(run_bissl({"run", renamed, "--out", (folder_.path() / "far").string()}).code, 0);
}

TEST_F(OriginTest, RunsAndSweepsDoNotShareAFolder) {
  const std::string pipeline = file("tiny.toml", tiny("tiny"));
  const std::string of_name = file("sweep.toml", ablation("tiny.toml", "name = \"tiny\"\n"));
  ASSERT_EQ(call("run", pipeline).code, 0);
  const std::string before = results();
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{}, {"--check"}, {"--status"}, {"--plan"}}) {
    const Outcome refused = call("sweep", of_name, more);
    EXPECT_EQ(refused.code, 2);
    EXPECT_NE(refused.err.find("is the folder of a run, not of a sweep"), std::string::npos)
        << refused.err;
  }
  EXPECT_EQ(results(), before);
  EXPECT_FALSE(fs::exists(out_ / "tiny" / "plan.json"));
  // The other way round.
  fs::remove_all(out_ / "tiny");
  ASSERT_EQ(call("sweep", of_name).code, 0);
  for (const char* what : {"run", "check"}) {
    const Outcome refused = call(what, pipeline);
    EXPECT_EQ(refused.code, 2);
    EXPECT_NE(refused.err.find("is the folder of a sweep, not of a run"), std::string::npos)
        << refused.err;
  }
  EXPECT_FALSE(fs::exists(out_ / "tiny" / "pipeline.lock.toml"));
  // A folder of a sweep is no place for runs.
  const Outcome inside = run_bissl({"run", pipeline, "--out", (out_ / "tiny").string()});
  EXPECT_EQ(inside.code, 2);
  EXPECT_NE(inside.err.find("this is the folder of a sweep"), std::string::npos) << inside.err;
}

TEST_F(OriginTest, AblationsOfOneNameInTwoFoldersAreToldApart) {
  file("a/tiny.toml", tiny("tiny"));
  file("b/tiny.toml", tiny("other", "ft", "3"));
  const std::string first = file("a/study.toml", ablation("tiny.toml"));
  const std::string second = file("b/study.toml", ablation("tiny.toml"));
  ASSERT_EQ(call("sweep", first).code, 0);
  const std::string plan = read_file(out_ / "study" / "plan.json");
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{}, {"--check"}, {"--status"}, {"--slurm"}}) {
    const Outcome refused = call("sweep", second, more);
    EXPECT_EQ(refused.code, 2);
    EXPECT_NE(refused.err.find("holds the results of another sweep"), std::string::npos)
        << refused.err;
  }
  EXPECT_EQ(read_file(out_ / "study" / "plan.json"), plan);
  // One that varies other keys of the same pipeline.
  const std::string third =
      file("c/study.toml", ablation("../a/tiny.toml") + "\"stage.ft.steps\" = [2, 3]\n");
  EXPECT_EQ(call("sweep", third).code, 2);
  EXPECT_EQ(read_file(out_ / "study" / "plan.json"), plan);
  // A copy with other values takes the folder over, with a warning, and leaves nothing behind.
  const std::string copy = file("c/study.toml",
                                "pipeline = \"../a/tiny.toml\"\nmetric = "
                                "\"ft.test.top1\"\n[axes]\nseed = [5]\n");
  write_file(out_ / "study" / "cells" / "notes.txt", "of a person");
  const Outcome taken = call("sweep", copy);
  EXPECT_EQ(taken.code, 0) << taken.err;
  EXPECT_NE(taken.err.find("which varies the same keys"), std::string::npos) << taken.err;
  EXPECT_FALSE(fs::exists(out_ / "study" / "cells" / "seed=0"));
  EXPECT_TRUE(fs::exists(out_ / "study" / "cells" / "seed=5"));
  EXPECT_TRUE(fs::exists(out_ / "study" / "cells" / "notes.txt"));
  EXPECT_EQ(call("sweep", copy).err.find("varies the same keys"), std::string::npos);
  ASSERT_EQ(call("sweep", first).code, 0);
  // Another pipeline in the same ablation is an edit.
  file("a/study.toml", ablation("../b/tiny.toml"));
  EXPECT_EQ(call("sweep", first).code, 0);
  // Names of the program's own folders.
  const Outcome store =
      call("sweep", file("s.toml", ablation("a/tiny.toml", "name = \".store\"\n")));
  EXPECT_EQ(store.code, 2);
  const std::string pipeline = (folder_.path() / "a" / "tiny.toml").string();
  const Outcome run = call("run", pipeline, {"--set", "name=.store"});
  EXPECT_EQ(run.code, 2);
  EXPECT_NE(run.err.find("cannot name a pipeline"), std::string::npos) << run.err;
}

TEST_F(OriginTest, SlurmIsRefusedBeforeAnythingIsWritten) {
  const std::string study = file("study.toml", ablation("tiny.toml"));
  file("tiny.toml", tiny("tiny"));
  const fs::path odd = folder_.path() / "line\nbreak";
  const Outcome refused = run_bissl({"sweep", study, "--slurm", "--out", odd.string()});
  EXPECT_EQ(refused.code, 2);
  EXPECT_NE(refused.err.find("holds a line break"), std::string::npos) << refused.err;
  EXPECT_FALSE(fs::exists(odd / "study"));
  // A stand-in for sbatch that does what the script says, in a folder with an odd name.
  write_file(
      folder_.path() / "bin" / "sbatch",
      "#!/bin/sh\nfor script; do :; done\nsh \"$script\" >/dev/null 2>&1 || exit 1\necho 42\n");
  fs::permissions(folder_.path() / "bin" / "sbatch", fs::perms::owner_all);
  const fs::path out = folder_.path() / "50%j it's \"$HOME\" `id`" / "-o";
  const std::string path = (folder_.path() / "bin").string() + ":" + getenv("PATH");
  const Outcome submitted = run_bissl(
      {"sweep", study, "--slurm", "--threads", "1", "--out", out.string()}, {{"PATH", path}});
  EXPECT_EQ(submitted.code, 0) << submitted.err;
  const Outcome status = run_bissl({"sweep", study, "--status", "--out", out.string()});
  EXPECT_NE(status.out.find("1 cells: 1 done"), std::string::npos) << status.out << status.err;
}

/// A supervisor may start the program with SIGCHLD ignored, so that the system would forget how
/// children end.
TEST_F(OriginTest, AFailedCommandIsSeenWhereEndsOfChildrenAreIgnored) {
  const std::string study = file("study.toml", ablation("tiny.toml"));
  file("tiny.toml", tiny("tiny"));
  const std::string out = (folder_.path() / "runs").string();
  const std::string nothing = (folder_.path() / "bin").string();  // no sbatch there
  const Outcome outcome = run_bissl_under(
      "exec /usr/bin/env --ignore-signal=CHLD \"$@\"",
      {"sweep", study, "--slurm", "--threads", "1", "--out", out}, {{"PATH", nothing}});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("sbatch was not found"), std::string::npos) << outcome.err;
}

}  // namespace
}  // namespace bissl::host::test
