// Output that cannot be written is no success, for any call.

#include "program.h"
#include "support/paths.h"
#include "support/ready_program.h"

#include <gtest/gtest.h>

#include <sys/wait.h>
#include <cstdlib>
#include <iterator>
#include <sstream>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

// Where standard output goes.
constexpr const char* discarded = "/dev/null";
constexpr const char* full_disk = "/dev/full";
constexpr const char* closed_stream = "";

class OutputTest : public ::testing::Test {
 protected:
  OutputTest() {
    write_file(file_, small_pipeline());
    write_file(folder_.path() / "grid.toml",
               "pipeline = \"small.toml\"\nmetric = \"finetune.test.top1\"\n[axes]\nseed = [0]\n");
  }

  /// Calls the program in the folder, with `out` for its standard output, which is closed if that
  /// is empty. `words` are separated by spaces.
  Outcome call(const std::string& words, const fs::path& out) const {
    const fs::path err = folder_.path() / "err";
    fs::remove(err);
    std::istringstream stream(words);
    const std::vector<std::string> arguments{std::istream_iterator<std::string>(stream), {}};
    const pid_t child =
        start_program({.arguments = arguments, .out = out, .err = err, .folder = folder_.path()});
    int status = 0;
    waitpid(child, &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), "", read_file(err)};
  }

  TemporaryFolder folder_;
  fs::path file_ = folder_.path() / "small.toml";
};

TEST_F(OutputTest, LosingItIsAFailureOfEveryCall) {
  ASSERT_EQ(call("run small.toml --threads 1", discarded).code, 0);
  const std::string library = (fs::path(plugin_folder) / "identity.so").string();
  const std::vector<std::string> calls = {"--version",
                                          "--help",
                                          "run --help",
                                          "run small.toml --threads 1",
                                          "check small.toml --threads 1",
                                          "sweep grid.toml --threads 1 --plan",
                                          "sweep grid.toml --threads 1 --check",
                                          "sweep grid.toml --threads 1",
                                          "sweep grid.toml --threads 1 --status",
                                          "report runs/small --to page",
                                          "diff runs/small runs/small",
                                          "store list",
                                          "store explain small.toml",
                                          "store verify",
                                          "store prune --unused --dry-run",
                                          "plugins",
                                          "plugins --check " + library,
                                          "describe resnet18",
                                          "describe sweep",
                                          "schema pipeline",
                                          "schema ablation",
                                          "conform " + library};
  for (const std::string& words : calls) {
    const Outcome full = call(words, full_disk);
    EXPECT_EQ(full.code, 1) << words << "\n" << full.err;
    EXPECT_NE(full.err.find("cannot write standard output: No space left on device"),
              std::string::npos)
        << words << "\n"
        << full.err;
    const Outcome closed = call(words + " --json", closed_stream);
    EXPECT_EQ(closed.code, 1) << words << " --json\n" << closed.err;
  }
}

/// Calls that write files for others, or look at a pipeline's data. The files are there all the
/// same.
TEST_F(OutputTest, LosingItIsAFailureOfCallsThatHandOn) {
  std::string text = small_pipeline();
  const size_t bissl = text.find("[stage.bissl]");
  text.erase(bissl, text.find("[stage.finetune]") - bissl);
  text.erase(text.find("[stage.baseline]"));
  replace_first(text, "\"bissl\"", "\"pretrain\"");
  write_file(file_, text);
  ASSERT_EQ(call("run small.toml --threads 1", discarded).code, 0);
  ASSERT_EQ(call("export runs/small/pretrain --to w.safetensors", discarded).code, 0);
  const std::vector<std::string> calls = {
      "import w.safetensors --into small.toml --stage start --dry-run",
      "export runs/small/pretrain --to w.pth --force",
      "features small.toml --stage finetune --data test --to f.npy --force --threads 1",
      "preview small.toml --stage pretrain --samples 2 --to sheets",
      "bench data small.toml --stage pretrain --seconds 0.01 --threads 1",
      "track runs/small --tensorboard --to board",
      "store pixels",
      "store pixels --prune --dry-run"};
  for (const std::string& words : calls) {
    for (const auto& [form, out] : {std::pair{"", full_disk}, {" --json", closed_stream}}) {
      const Outcome outcome = call(words + form, out);
      EXPECT_EQ(outcome.code, 1) << words << form << "\n" << outcome.err;
      EXPECT_NE(outcome.err.find("cannot write standard output: "), std::string::npos)
          << words << form << "\n"
          << outcome.err;
    }
  }
  // A reader that leaves before anything is printed.
  for (const std::string words : {"export runs/small/pretrain --to w.pth --force",
                                  "track runs/small --tensorboard --to board --json"}) {
    const std::string command = "cd '" + folder_.path().string() + "' && { '" + program + "' " +
                                words + " 2>err; echo $? >code; } | true";
    ASSERT_EQ(std::system(command.c_str()), 0);
    EXPECT_EQ(read_file(folder_.path() / "code"), "1\n") << words;
    EXPECT_NE(read_file(folder_.path() / "err").find("cannot write standard output: Broken pipe"),
              std::string::npos)
        << words << "\n"
        << read_file(folder_.path() / "err");
  }
  for (const char* file :
       {"w.pth", "w.pth.json", "f.npy", "f.targets.npy", "sheets/pretrain.png", "board"}) {
    EXPECT_TRUE(fs::exists(folder_.path() / file)) << file;
  }
}

/// It would serve until it is interrupted, at an address that nobody knows.
TEST_F(OutputTest, AServerWhoseAddressIsLostEnds) {
  fs::create_directories(folder_.path() / "runs" / "small");
  write_file(folder_.path() / "runs" / "small" / "pipeline.lock.toml", "");
  const std::string runs = (folder_.path() / "runs").string();
  for (const char* redirection : {"exec >/dev/full", "exec >&-"}) {
    for (const std::vector<std::string>& form :
         {std::vector<std::string>{}, std::vector<std::string>{"--json"}}) {
      std::vector<std::string> words = {"serve", runs, "--port", "0"};
      words.insert(words.end(), form.begin(), form.end());
      const Outcome outcome = run_bissl_under(redirection, words);
      EXPECT_EQ(outcome.code, 1) << redirection << "\n" << outcome.err;
      EXPECT_NE(outcome.err.find("cannot write standard output: "), std::string::npos)
          << outcome.err;
    }
  }
}

TEST_F(OutputTest, LosingItIsAFailureOfANewProjectThatIsThereAllTheSame) {
  for (const auto& [name, out] :
       {std::pair{"full-disk", full_disk}, {"nobody-reads", closed_stream}}) {
    for (const std::string form : {"", "-json"}) {
      const std::string project = name + form;
      const Outcome outcome = call("new pretext " + project + (form.empty() ? "" : " --json"), out);
      EXPECT_EQ(outcome.code, 1) << project << "\n" << outcome.err;
      EXPECT_TRUE(fs::exists(folder_.path() / project / "CMakeLists.txt")) << project;
    }
  }
}

TEST_F(OutputTest, AReaderThatLeavesLosesNoWork) {
  const std::string command = "cd '" + folder_.path().string() + "' && { '" + program +
                              "' run small.toml --threads 1 2>err; echo $? >code; } | true";
  ASSERT_EQ(std::system(command.c_str()), 0);
  EXPECT_EQ(read_file(folder_.path() / "code"), "1\n") << read_file(folder_.path() / "err");
  const Outcome again = call("run small.toml --threads 1", discarded);
  EXPECT_EQ(again.code, 0);
  for (const char* stage : {"pretrain", "bissl", "finetune", "baseline"}) {
    EXPECT_NE(again.err.find(std::string(stage) + ": already in the store"), std::string::npos)
        << again.err;
  }
}

TEST_F(OutputTest, ClosedStreamsAreNotTakenForFiles) {
  // Without a place holder the first file that is opened would have the number of standard error.
  const std::string command = std::string("'") + program + "' run '" + file_.string() +
                              "' --out '" + (folder_.path() / "runs").string() +
                              "' --threads 1 <&- >&- 2>&-";
  const int status = std::system(command.c_str());
  EXPECT_EQ(WEXITSTATUS(status), 1);
  EXPECT_EQ(call("store verify", discarded).code, 0);
}

}  // namespace
}  // namespace bissl::host::test
